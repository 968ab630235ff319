"""The streams of an HTTP/2 connection: one call each, read and written at the pace of both sides.

Used by `http2` and `grpc`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from h2.errors import ErrorCodes

if TYPE_CHECKING:
    from collections.abc import Callable

    Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class StreamPart:
    """A part of a stream: headers or trailers, else bytes. `window`: bytes of the window that it takes.
    `end`: nothing follows."""

    headers: Headers | None = None
    data: bytes | bytearray = b""
    window: int = 0
    end: bool = False


class StreamLost(Exception):  # noqa: N818 - a state of the world
    """A stream ended before its time: the peer or the connection ended it."""


class Carrier(Protocol):
    """The connection of a stream. Streams are known to a carrier by their numbers."""

    def send_headers(self, number: int, headers: Headers, *, end: bool) -> None:
        """Sends headers. Raises StreamLost."""

    def send_data(self, number: int, data: memoryview, *, end: bool) -> None:
        """Sends bytes that `room` has room for. Raises StreamLost."""

    def room(self, number: int) -> int:
        """Returns how many bytes of a stream can be sent now. Raises StreamLost."""

    async def more_room(self, stream: Stream) -> None:
        """Waits until there may be more room for a stream. Raises StreamLost."""

    def took(self, number: int, window: int) -> None:
        """Lets the peer of a stream replace bytes that were read."""

    def forget(self, stream: Stream, unread: int, code: ErrorCodes) -> None:
        """Ends a stream whose last `unread` bytes nobody reads; no error where it has ended."""


class Stream:
    """One call on a connection. Not more than one reader and one writer at a time."""

    def __init__(self, connection: Carrier, number: int) -> None:
        self.number = number
        self.begun = False
        """Whether headers were sent."""
        self.lost = False
        """Whether peer or connection have ended the stream."""
        self.when_lost: Callable[[], object] | None = None
        self._connection = connection
        self._parts: deque[StreamPart] = deque()
        self._news = asyncio.Event()

    async def read(self) -> StreamPart:
        """Returns the next part, whose bytes the peer may then replace. Raises StreamLost."""
        while not self._parts:
            await self.changed()
        part = self._parts.popleft()
        self._connection.took(self.number, part.window)
        return part

    async def send(self, part: StreamPart) -> None:
        """Sends a part as far as the peer's window goes, and waits for the rest. Raises StreamLost."""
        if part.headers is not None:
            self.begun = True
            self._connection.send_headers(self.number, part.headers, end=part.end)
            return
        data = memoryview(part.data)
        while True:
            size = min(len(data), self._connection.room(self.number))
            if size or not data:
                self._connection.send_data(self.number, data[:size], end=part.end and size == len(data))
                data = data[size:]
            if not data:
                return
            if not size:
                await self._connection.more_room(self)

    def put(self, part: StreamPart) -> None:
        """Takes a part from the connection. Bytes are joined with those before: a frame of none takes no
        window, and any number may come."""
        last = self._parts[-1] if self._parts else None
        if last is None or last.headers is not None or part.headers is not None:
            self._parts.append(part)
        else:
            last.data += part.data
            last.window += part.window
            last.end = part.end
        self.tell()

    def lose(self) -> None:
        """Notes that the stream is gone. Parts that have come can still be read."""
        self.lost = True
        self.tell()
        if self.when_lost is not None:
            self.when_lost()

    def tell(self) -> None:
        """Wakes the reader and the writer."""
        self._news.set()

    async def changed(self) -> None:
        """Waits for a change. Raises StreamLost."""
        if self.lost:
            raise StreamLost
        self._news.clear()
        await self._news.wait()

    def close(self, code: ErrorCodes = ErrorCodes.CANCEL) -> None:
        """Forgets the stream, and ends it for the peer unless both sides have ended."""
        self.when_lost = None
        self._connection.forget(self, sum(part.window for part in self._parts), code)
        self._parts.clear()
