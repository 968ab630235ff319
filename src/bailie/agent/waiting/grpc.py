"""gRPC calls for evicted models: each call waits until its model is in memory, then streams to the server.

Opened by `listeners`. Envoy names the version in a header, so nothing of a message is read while a call
waits, and messages pass through in both directions as they come, whatever they say.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakSet

import structlog
from h2.errors import ErrorCodes

from bailie._gen import inference_pb2
from bailie.agent.waiting.http2 import WINDOW, Http2Connection
from bailie.agent.waiting.requests import CONNECT_SECONDS, STOP_SECONDS, NotAnswered
from bailie.agent.waiting.streams import StreamLost, StreamPart
from bailie.inference.grpc_words import status_words
from bailie.routing.refusal import no_answer, not_served
from bailie.tracing.context import HEADER
from bailie.wellknown import headers as known_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bailie.agent.settings import Settings
    from bailie.agent.waiting.requests import WaitingRequests
    from bailie.agent.waiting.streams import Headers, Stream
    from bailie.routing.refusal import ErrorAnswer

log = structlog.get_logger(__name__)

_PATH = b"/inference.GRPCInferenceService/"
METHODS = ("ModelInfer", "ModelMetadata", "ModelReady", "ModelStreamInfer")
"""The methods that the data plane lets through."""
_READY = _PATH + b"ModelReady"
_PATHS = frozenset(_PATH + method.encode() for method in METHODS)
_VERSION, _TRACE = known_headers.VERSION.encode(), HEADER.encode()
_ANSWER: Headers = [(b":status", b"200"), (b"content-type", b"application/grpc")]
_FRAME_BYTES = 5


@asynccontextmanager
async def serve_grpc(waiting: WaitingRequests, settings: Settings) -> AsyncIterator[int]:
    """Listens while entered; yields the port. Raises OSError."""
    listening = socket.create_server((settings.address, settings.held_grpc_port))
    async with asyncio.TaskGroup() as group:
        calls = _Calls(waiting, settings, group)
        server = await asyncio.get_running_loop().create_server(calls.connection, sock=listening)
        try:
            yield listening.getsockname()[1]
        finally:
            server.close()
            await calls.end()


class _ServerLink:
    """The connection to the inference server: made when a call needs it, and again after it was lost."""

    def __init__(self, settings: Settings) -> None:
        self._place = (settings.address, settings.grpc_port)
        self._connection: Http2Connection | None = None
        self._connecting = asyncio.Lock()

    async def open(self, headers: Headers) -> Stream:
        """Begins a call. Raises OSError (TimeoutError among them) or StreamLost."""
        # Those that wait for another's attempt have no more time than that one.
        async with asyncio.timeout(CONNECT_SECONDS), self._connecting:
            if self._connection is None or not self._connection.usable:
                loop = asyncio.get_running_loop()
                _, self._connection = await loop.create_connection(Http2Connection, *self._place)
        return self._connection.open(headers)

    def end(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.end()


class _Calls:
    """All calls that wait or are passed on, and the connections that they came by."""

    def __init__(self, requests: WaitingRequests, settings: Settings, group: asyncio.TaskGroup) -> None:
        self._requests, self._namespace, self._group = requests, settings.namespace, group
        self._server = _ServerLink(settings)
        self._connections: WeakSet[Http2Connection] = WeakSet()
        self._under_way: set[asyncio.Task[None]] = set()

    def connection(self) -> Http2Connection:
        """Returns the protocol of a connection that a caller makes."""
        made = Http2Connection(self._begin, self._requests.callers)
        self._connections.add(made)
        return made

    async def end(self) -> None:
        """Gives calls some seconds to end, then ends them, and closes all connections."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=STOP_SECONDS)
        for task in self._under_way:
            task.cancel()
        for connection in self._connections:
            connection.end()
        self._server.end()

    def _begin(self, stream: Stream, headers: Headers) -> None:
        task = self._group.create_task(self._serve(stream, headers))
        stream.when_lost = task.cancel
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        # Not at the end of `_serve`: where the caller leaves at once, the task is cancelled before it begins.
        task.add_done_callback(lambda _: stream.close(ErrorCodes.NO_ERROR))

    async def _serve(self, stream: Stream, headers: Headers) -> None:
        try:
            await self._answer(stream, headers)
        except NotAnswered as error:
            await _refuse(stream, error.refusal)
        except StreamLost:
            log.debug("call lost")
            stream.close(ErrorCodes.INTERNAL_ERROR)
        except Exception:
            log.exception("call failed unexpectedly")
            stream.close(ErrorCodes.INTERNAL_ERROR)

    async def _answer(self, stream: Stream, headers: Headers) -> None:
        """Answers a call. Raises NotAnswered, or StreamLost where the answer cannot be ended in words."""
        said = dict(headers)
        path, name = said.get(b":path", b""), said.get(_VERSION, b"").decode("ascii", "replace")
        if path not in _PATHS:
            raise NotAnswered(not_served(self._namespace, grpc=True))
        if not name:
            told = "the call does not name the version that Envoy chose"
            raise NotAnswered(no_answer(self._namespace, "", told))
        if path == _READY and self._requests.is_evicted(name):
            await _say_ready(stream)
            return
        async with self._requests.hold(name, WINDOW, said.get(_TRACE, b"")):
            await self._pass_on(name, stream, [each for each in headers if each[0] != _VERSION])

    async def _pass_on(self, name: str, stream: Stream, headers: Headers) -> None:
        try:
            to_server = await self._server.open(headers)
        except (OSError, StreamLost) as error:
            raise NotAnswered(self._requests.unanswered(name, error)) from error
        try:
            if await _exchange(stream, to_server):
                return
        finally:
            to_server.close()
        if stream.begun:
            raise StreamLost
        raise NotAnswered(self._requests.unanswered(name, None))


async def _exchange(stream: Stream, to_server: Stream) -> bool:
    """Passes a request on and its answer back; returns whether the answer is whole. A caller who leaves
    cancels it."""
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(_pump(stream, to_server))
        whole = await _pump(to_server, stream)
        asking.cancel()
    return whole


async def _pump(source: Stream, sink: Stream) -> bool:
    """Passes parts on until the end; returns False where a side was lost before."""
    try:
        while True:
            part = await source.read()
            await sink.send(part)
            if part.end:
                return True
    except StreamLost:
        return False


async def _say_ready(stream: Stream) -> None:
    message = inference_pb2.ModelReadyResponse(ready=True).SerializeToString()
    await stream.send(StreamPart(headers=_ANSWER))
    await stream.send(StreamPart(data=len(message).to_bytes(_FRAME_BYTES, "big") + message))
    await stream.send(StreamPart(headers=[(b"grpc-status", b"0")], end=True))


async def _refuse(stream: Stream, refusal: ErrorAnswer) -> None:
    """Ends a call in words, also one whose answer has begun: then they are its trailers."""
    status = [
        (b"grpc-status", b"%d" % refusal.grpc_status),
        (b"grpc-message", status_words(refusal.message)),
    ]
    try:
        await stream.send(StreamPart(headers=status if stream.begun else [*_ANSWER, *status], end=True))
    except StreamLost:
        log.debug("caller went away")
