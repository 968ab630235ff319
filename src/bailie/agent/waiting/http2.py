"""HTTP/2 connections whose streams are read at the pace of their readers, so that no message is kept whole.

Used by `grpc` for the connections of Envoys, and for the one to the inference server. h2 speaks the protocol;
this module moves its bytes. The peer of a stream may send `WINDOW` bytes beyond those that were read: a call
that waits takes no more memory than that, however long its messages are.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError, TooManyStreamsError
from h2.settings import SettingCodes, Settings

from bailie.agent.waiting.engine import CallDecoder, CallEngine
from bailie.agent.waiting.streams import Stream, StreamLost, StreamPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from h2.errors import ErrorCodes
    from h2.events import Event

    from bailie.agent.waiting.streams import Headers
    from bailie.kube.callers import Callers

WINDOW = 65_535
"""Bytes of a stream that come unread."""
_CONNECTION_WINDOW = 1 << 30
"""Bytes of all streams of a connection that come unread: no stream that is not read may stop the others."""
_MOST_STREAMS = 1_000_000
"""Of one connection. The room for waiting requests, and Envoy, bound the calls."""

_PROBES = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
"""Seconds of silence before a connection is probed, seconds between probes, and how many are not answered
where the peer is gone."""


def _notice_loss(connection: socket.socket) -> None:
    """Makes the system probe a silent peer: a node that is gone says no goodbye, and a stream of its callers
    would keep a version in memory for ever."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _PROBES.items():
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


class Http2Connection(asyncio.Protocol):
    """One connection, whose state h2 knows. `accept` is called with each stream that the peer opens."""

    def __init__(
        self, accept: Callable[[Stream, Headers], None] | None = None, callers: Callers | None = None
    ) -> None:
        """Begins before the connection is made: the side of a server with `accept`, else that of a client.

        A connection of `callers` is counted among them.
        """
        client = accept is None
        config = H2Configuration(
            client_side=client,
            # Both sides have looked at the headers: here a mistake of one call would end them all.
            validate_inbound_headers=False,
            validate_outbound_headers=False,
        )
        self._engine = CallEngine(config)
        values = {
            SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
            SettingCodes.MAX_CONCURRENT_STREAMS: _MOST_STREAMS,
        }
        if client:
            values[SettingCodes.ENABLE_PUSH] = 0
        self._engine.local_settings = Settings(client=client, initial_values=values)
        self._engine.decoder = CallDecoder()
        self._engine.decoder.max_header_list_size = H2Connection.DEFAULT_MAX_HEADER_LIST_SIZE
        self._accept, self._callers = accept, callers
        self._streams: dict[int, Stream] = {}
        self._blocked: set[Stream] = set()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._parting = False
        """Whether the peer takes no other calls."""

    @property
    def usable(self) -> bool:
        """Whether a call can begin."""
        return not (self._parting or self._transport is None or self._transport.is_closing())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets the peer."""
        self._transport = cast("asyncio.Transport", transport)
        _notice_loss(transport.get_extra_info("socket"))
        self._engine.initiate_connection()
        self._engine.increment_flow_control_window(_CONNECTION_WINDOW - WINDOW)
        self._flush()
        if self._callers:
            self._callers.enter(self._transport)

    def data_received(self, data: bytes) -> None:
        """Reads. A peer that breaks the protocol is told so, and left."""
        try:
            events = self._engine.receive_data(data)
        except ProtocolError:
            self._flush()
            self.end()
            return
        for event in events:
            self._take(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Loses all streams."""
        if self._callers and self._transport is not None:
            self._callers.leave(self._transport)
        self._transport = None
        for stream in tuple(self._streams.values()):
            stream.lose()

    def pause_writing(self) -> None:
        """Sends no bytes, and reads none that would be answered, until the peer has taken some."""
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Goes on."""
        self._paused = False
        if self._transport is not None:
            self._transport.resume_reading()
        self._wake(self._blocked)

    def open(self, headers: Headers) -> Stream:
        """Begins a call. Raises StreamLost."""
        try:
            number = self._engine.get_next_available_stream_id()
            self._engine.send_headers(number, headers)
        except TooManyStreamsError as error:  # the peer's limit: the calls under way go on
            raise StreamLost from error
        except ProtocolError as error:
            self.end()
            raise StreamLost from error
        stream = self._streams[number] = Stream(self, number)
        self._flush()
        return stream

    def send_headers(self, number: int, headers: Headers, *, end: bool) -> None:
        """Sends headers. Raises StreamLost."""
        try:
            self._engine.send_headers(number, headers, end_stream=end)
        except ProtocolError as error:
            raise StreamLost from error
        self._flush()

    def send_data(self, number: int, data: memoryview, *, end: bool) -> None:
        """Sends bytes that `room` has room for. Raises StreamLost."""
        try:
            self._engine.send_data(number, bytes(data), end_stream=end)
        except ProtocolError as error:
            raise StreamLost from error
        self._flush()

    def room(self, number: int) -> int:
        """Returns how many bytes of a stream can be sent now. Raises StreamLost."""
        try:
            window = self._engine.local_flow_control_window(number)
        except ProtocolError as error:
            raise StreamLost from error
        return 0 if self._paused else max(0, min(window, self._engine.max_outbound_frame_size))

    async def more_room(self, stream: Stream) -> None:
        """Waits until there may be more room for a stream. Raises StreamLost."""
        self._blocked.add(stream)
        try:
            await stream.changed()
        finally:
            self._blocked.discard(stream)

    def took(self, number: int, window: int) -> None:
        """Lets the peer of a stream replace bytes that were read."""
        if window:
            with suppress(ProtocolError):
                self._engine.acknowledge_received_data(window, number)
            self._flush()

    def forget(self, stream: Stream, unread: int, code: ErrorCodes) -> None:
        """Ends a stream whose last `unread` bytes nobody reads; no error where it has ended."""
        if self._streams.pop(stream.number, None) is None:
            return
        with suppress(ProtocolError):
            self._engine.reset_stream(stream.number, code)
        self.took(stream.number, unread)
        self._flush()
        self._part()
        if self._callers and self._transport is not None and not self._streams:
            self._callers.rest(self._transport)

    def end(self) -> None:
        """Closes the connection as soon as the bytes that were sent have left."""
        if self._transport is not None:
            self._transport.close()

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived) and self._accept is not None:
            self._begin(event, self._accept)
        elif isinstance(event, ConnectionTerminated):
            self._take_goodbye(event.last_stream_id or 0)
        elif isinstance(event, RemoteSettingsChanged) or (
            isinstance(event, WindowUpdated) and not event.stream_id
        ):
            self._wake(self._blocked)
        elif stream := self._streams.get(getattr(event, "stream_id", 0)):
            self._take_of(stream, event)

    def _take_goodbye(self, last: int) -> None:
        """Lets the calls under way end, except those behind the last that the server has begun."""
        self._parting = True
        for stream in tuple(self._streams.values()):
            if self._accept is None and stream.number > last:
                stream.lose()
        self._part()

    def _part(self) -> None:
        if self._parting and not self._streams:
            self.end()

    def _begin(self, event: RequestReceived, accept: Callable[[Stream, Headers], None]) -> None:
        if self._callers and self._transport is not None:
            self._callers.work(self._transport)
        stream = self._streams[event.stream_id] = Stream(self, event.stream_id)
        accept(stream, event.headers)
        if event.stream_ended is not None:
            stream.put(StreamPart(data=bytearray(), end=True))

    def _take_of(self, stream: Stream, event: Event) -> None:
        if isinstance(event, ResponseReceived | TrailersReceived):
            end = event.stream_ended is not None
            stream.put(StreamPart(headers=event.headers, end=end))
        elif isinstance(event, DataReceived):
            end, window = event.stream_ended is not None, event.flow_controlled_length
            stream.put(StreamPart(data=bytearray(event.data), window=window, end=end))
        elif isinstance(event, WindowUpdated):
            stream.tell()
        elif isinstance(event, StreamReset):
            stream.lose()

    def _wake(self, streams: Iterable[Stream]) -> None:
        for stream in tuple(streams):
            stream.tell()

    def _flush(self) -> None:
        data = self._engine.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)
