"""Calls of the namespace's Envoy over HTTP/1.1, on connections that are kept and used again.

Used by `step_calls`. A call ends exactly once: with a whole answer, or with the reason why there is none.
Nothing is sent twice: whether a call may be repeated is the caller's to know.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import httptools
import msgspec
import structlog

from bailie.dataflow.events import FailCode
from bailie.pipelinegateway import grpc_frames
from bailie.pipelinegateway.http_values import parts_of
from bailie.pipelinegateway.json_bodies import INFERENCE_LENGTH
from bailie.pipelinegateway.step_answers import NoResponse, StepResponse
from bailie.wellknown import headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bailie.pipelinegateway.budget import Reservation

    WhereEnvoyIs = Callable[[], tuple[str, int]]
    """Returns host and port of an Envoy for a new connection. Raises OSError."""
    Done = Callable[[StepResponse | NoResponse], None]

log = structlog.get_logger(__name__)

_CONNECT_SECONDS = 5.0
"""The kernel asks again after 1 and 3 s where the queue of a busy Envoy was full."""
_IDLE_SECONDS = 60.0
"""Shorter than an Envoy keeps an idle connection (gateway/listener.py), so that this side closes."""
_MOST_IDLE = 256
_MOST_CONNECTIONS = 8_192
"""Connections at a time, each with one call: a bound for file descriptors."""
_MOST_HEAD_BYTES = 256 << 10
"""Bytes in a row that are of no body: heads, those of answers 1xx among them, trailers, and the framing of a
chunk. Headers and trailers are counted in no reservation, so this is what an answer may hold beside it."""
_ROUTE = headers.ROUTE.encode()


class PendingCall(msgspec.Struct, eq=False):
    """A call on its way. `held` takes the bytes of the answer."""

    head: bytes
    body: bytes
    held: Reservation
    done: Done
    connection: StepConnection | None = None
    ended: bool = False

    def end(self, answer: StepResponse | NoResponse) -> None:
        """Gives the answer, unless the call has ended."""
        if not self.ended:
            self.ended, self.connection = True, None
            self.done(answer)

    def cancel(self) -> None:
        """Gives the call up; its connection is of no use to others."""
        connection, self.connection = self.connection, None
        self.ended = True
        if connection is not None:
            connection.abandon()


@dataclass(slots=True)
class StepClient:
    """The connections of one gateway; made by `step_client`."""

    where: WhereEnvoyIs
    most_answer_bytes: int
    _group: asyncio.TaskGroup
    _idle: deque[StepConnection] = field(default_factory=deque)
    _open: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def call(self, call: PendingCall) -> None:
        """Sends a call; `call.done` is told later, never from here."""
        if self._idle:
            self._idle.pop().send(call)
        elif self._open < _MOST_CONNECTIONS:
            self._open += 1
            self._group.create_task(self._connect(call))
        else:
            words = f"was not called: the pipeline gateway has {_MOST_CONNECTIONS} calls in progress"
            self._loop.call_soon(call.end, NoResponse(words))

    async def _connect(self, call: PendingCall) -> None:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                host, port = self.where()
                _, connection = await self._loop.create_connection(lambda: StepConnection(self), host, port)
        except OSError as error:  # TimeoutError is one
            self._open -= 1
            cause = str(error) or f"no connection within {_CONNECT_SECONDS:.0f} s"
            log.info("envoy not reached", cause=cause)
            call.end(NoResponse(f"was not reached: no connection to the namespace's Envoys: {cause}"))
            return
        if call.ended:
            self.keep(connection)
        else:
            connection.send(call)

    def keep(self, connection: StepConnection) -> None:
        """Takes a connection back for the next call."""
        if len(self._idle) >= _MOST_IDLE:
            connection.abandon()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)

    def forget(self, connection: StepConnection) -> None:
        """Counts a connection out that is closed."""
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)

    async def sweep(self) -> None:
        """Closes connections that were idle for long, until cancelled."""
        while True:
            await asyncio.sleep(_IDLE_SECONDS / 4)
            self.close(older_than=self._loop.time() - _IDLE_SECONDS)

    def close(self, older_than: float) -> None:
        """Closes the connections that are idle since a time before `older_than`."""
        while self._idle and self._idle[0].idle_since < older_than:
            self._idle.popleft().abandon()


@asynccontextmanager
async def step_client(where: WhereEnvoyIs, most_answer_bytes: int) -> AsyncIterator[StepClient]:
    """Yields a client; when the block ends, connects that are under way are given up.

    `most_answer_bytes`: the longest answer of a step.
    """
    async with asyncio.TaskGroup() as group:
        client = StepClient(where, most_answer_bytes, group)
        sweep = group.create_task(client.sweep())
        try:
            yield client
        finally:
            sweep.cancel()
            client.close(older_than=float("inf"))


class StepConnection(asyncio.Protocol):
    """One connection; the methods `on_…` are called by httptools."""

    def __init__(self, client: StepClient) -> None:
        self._client = client
        self._transport: asyncio.Transport | None = None
        self._call: PendingCall | None = None
        self._headers: dict[bytes, bytes] = {}
        """Headers and trailers of the answer, in small letters: Envoy writes all names so."""
        self.on_header = self._headers.__setitem__
        """Called for each of a dozen headers, so it is no function of Python's."""
        self._parser = httptools.HttpResponseParser(self)
        self.idle_since = 0.0
        self._begin()

    def _begin(self) -> None:
        self._headers.clear()
        self._parts: list[bytes] = []
        self._size = self._fed = self._bare = 0
        self._answer: StepResponse | None = None
        self._keep = False

    def send(self, call: PendingCall) -> None:
        """Sends a call on this connection, which is idle."""
        self._call, call.connection = call, self
        if self._transport is not None:
            self._transport.writelines(parts_of(call.head, call.body))

    def abandon(self) -> None:
        """Closes the connection; its call, if there is one, hears nothing."""
        self._call = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport (asyncio's, as the next three methods)."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the call: its model may have run."""
        self._client.forget(self)
        self._fail(
            NoResponse(f"was not answered: Envoy closed the connection{f': {exc}' if exc else ''}", True)
        )

    def data_received(self, data: bytes) -> None:
        """Reads the answer."""
        if self._call is None:
            self.abandon()  # nobody has asked
            return
        self._fed += len(data)
        before = self._size
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(NoResponse(f"was not answered: the answer is no HTTP/1.1: {error}", True))
            return
        if self._answer is not None:
            self._finish(self._answer)
        elif self._call is not None:
            self._bare = self._bare + len(data) if self._size == before else 0
            if self._bare > _MOST_HEAD_BYTES or self._fed > 8 * self._size + _MOST_HEAD_BYTES:
                self._fail(NoResponse("was not answered: the answer is framing for the greater part", True))

    def on_message_begin(self) -> None:
        """Notes bytes behind the answer, which nobody has asked for."""
        if self._answer is not None:
            self._keep = False

    def on_body(self, data: bytes) -> None:
        """Takes a part of the answer, within the limits of one answer and of all requests."""
        call = self._call
        if call is None or self._answer is not None:
            return
        self._size += len(data)
        if self._size > self._client.most_answer_bytes:
            most = self._client.most_answer_bytes
            words = f"the answer has more than {most} bytes, the limit of a pipeline's step"
            self._fail(NoResponse(words, True, FailCode.STEP_ERROR))
        elif call.held.take(len(data)):
            self._parts.append(data)
        else:
            self._fail(NoResponse("has an answer for which the pipeline gateway has no memory now", True))

    def on_message_complete(self) -> None:
        """Notes that the answer is whole."""
        status = self._parser.get_status_code()
        if status < 200:
            self._headers.clear()
        if self._call is None or status < 200 or self._answer is not None:
            return
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        found = self._headers
        route, length, grpc = found.get(_ROUTE), found.get(INFERENCE_LENGTH), found.get(grpc_frames.STATUS)
        self._answer = StepResponse(
            status,
            body,
            0 if length is None else _number(length, 0),
            () if route is None else (route,),
            -1 if grpc is None else _number(grpc, -1),
            found.get(grpc_frames.MESSAGE, b""),
        )
        self._keep = self._parser.should_keep_alive()

    def _finish(self, answer: StepResponse) -> None:
        """Ends the call, and keeps the connection where that is possible."""
        call, keep = self._call, self._keep
        self._begin()
        if keep:
            self._call = None
            self._client.keep(self)
        else:
            self.abandon()
        if call is not None:
            call.end(answer)

    def _fail(self, why: NoResponse) -> None:
        call = self._call
        self.abandon()
        if call is not None:
            call.end(why)


def _number(text: bytes, otherwise: int) -> int:
    """Returns the number of a header, or the other one where the header is none."""
    return int(text[:18]) if text.isdigit() else otherwise
