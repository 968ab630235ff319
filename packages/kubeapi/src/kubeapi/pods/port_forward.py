"""The `portforward` subresource of Pods: connections of `kubectl port-forward` to ports of a pod.

Made by `http.upgrades` for an authorised request. kubectl opens one WebSocket, whose messages are the bytes
of a SPDY connection (https://kep.k8s.io/4006); in that, for each connection to its local port, a stream
`error` and a stream `data` with one `requestID`. Pod and client are strangers: each may end a connection at
any moment.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from kubeapi.pods import spdy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
    Connect = Callable[[int], Awaitable[Streams]]

log = structlog.get_logger(__name__)
PROTOCOL = "SPDY/3.1+portforward.k8s.io"
_MOST = 256
"""Connections at a time through one `kubectl port-forward`."""
_CONNECT_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_CHUNK = 64 * 1024
_PROTOCOL_ERROR = 1002


@dataclass
class _Forward:
    """One connection: its two streams, and what the client has sent before the pod has accepted."""

    port: int
    data: int = 0
    error: int = 0
    sent: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(1))
    task: asyncio.Task[None] | None = None


class PortForward:
    """One `kubectl port-forward` as an ASGI application for a WebSocket."""

    def __init__(self, connect: Connect) -> None:
        """Takes a function that connects to a port of the pod; an OSError of it is told to the client."""
        self._connect = connect
        self._spdy = spdy.Spdy()
        self._forwards: dict[str, _Forward] = {}
        self._by_stream: dict[int, _Forward] = {}

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Forwards until the client goes."""
        await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
        trouble = ""
        async with asyncio.TaskGroup() as tasks:
            try:
                await self._read(receive, send, tasks)
            except spdy.SpdyError as error:
                trouble = f"not SPDY/3.1: {error}"
            for forward in self._forwards.values():
                if forward.task is not None:
                    forward.task.cancel()
        if trouble:
            log.warning("port-forward ended", why=trouble)
            await send({"type": "websocket.close", "code": _PROTOCOL_ERROR, "reason": trouble[:120]})

    async def _read(self, receive: Receive, send: Send, tasks: asyncio.TaskGroup) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            for event in self._spdy.receive(message.get("bytes") or b""):
                await self._handle(event, send, tasks)

    async def _handle(
        self,
        event: spdy.Opened | spdy.Received | spdy.Gone | spdy.Pinged,
        send: Send,
        tasks: asyncio.TaskGroup,
    ) -> None:
        match event:
            case spdy.Pinged():
                await _send(send, event.answer)
            case spdy.Opened():
                await self._open(event, send, tasks)
            case spdy.Gone():
                self._cancel(event.stream)
            case spdy.Received():
                await self._pass_on(event)

    async def _open(self, opened: spdy.Opened, send: Send, tasks: asyncio.TaskGroup) -> None:
        headers, stream = opened.headers, opened.stream
        port, request = headers.get("port", ""), headers.get("requestid", "")
        known = self._forwards.get(request)
        whole = port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536
        if not whole or stream in self._by_stream or (known is None and len(self._forwards) >= _MOST):
            await _send(send, self._spdy.reset(stream, spdy.REFUSED))
            return
        forward = known or _Forward(int(port))
        self._forwards[request] = self._by_stream[stream] = forward
        if headers.get("streamtype") == "error":
            forward.error = stream
        else:
            forward.data = stream
        await _send(send, self._spdy.accept(stream))
        if forward.data and forward.error and forward.task is None:
            forward.task = tasks.create_task(self._run(request, forward, send))

    async def _pass_on(self, received: spdy.Received) -> None:
        """Hands on what the client sent. A pod that does not read holds up the other connections, too, as on
        Kubernetes: the client cannot be told to send on one stream only."""
        forward = self._by_stream.get(received.stream)
        if forward is None or received.stream != forward.data:
            return
        if received.data:
            await _put(forward, received.data)
        if received.last:
            await _put(forward, b"")

    def _cancel(self, stream: int) -> None:
        forward = self._by_stream.get(stream)
        if forward is not None and forward.task is not None:
            forward.task.cancel()

    async def _run(self, request: str, forward: _Forward, send: Send) -> None:
        try:
            trouble = await self._forward(forward, send)
        finally:
            del self._forwards[request]
            self._by_stream = {key: each for key, each in self._by_stream.items() if each is not forward}
        await _send(send, self._spdy.data(forward.data, b"", last=True))
        await _send(send, self._spdy.data(forward.error, trouble.encode(), last=True))

    async def _forward(self, forward: _Forward, send: Send) -> str:
        """Returns why there was no connection to the pod; nothing where there was one, which is over."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                reader, writer = await self._connect(forward.port)
        except TimeoutError:
            return f"port {forward.port} has not accepted a connection within {_CONNECT_SECONDS:g} s"
        except OSError as error:
            return f"port {forward.port}: {error.strerror or error}"
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(_to_pod(forward, writer))
                while chunk := await _chunk(reader):
                    await _send(send, self._spdy.data(forward.data, chunk))
                sending.cancel()
        finally:
            writer.close()
        return ""


async def _put(forward: _Forward, data: bytes) -> None:
    """Waits until the connection takes the data, or is over."""
    while forward.task is None or not forward.task.done():
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await forward.sent.put(data)
                return


async def _to_pod(forward: _Forward, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # the pod reads no more; its answer may still come
        while data := await forward.sent.get():
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK)
    except OSError:  # the pod has cut the connection off
        return b""


async def _send(send: Send, data: bytes) -> None:
    with suppress(OSError):  # the client is gone, which `receive` says, too
        await send({"type": "websocket.send", "bytes": data})
