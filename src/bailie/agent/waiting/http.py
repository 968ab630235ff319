"""REST requests for evicted models: each waits until its model is in memory, then streams to the server.

Opened by `listeners`. It is an ASGI application of our own, because no part of a request may be lost or read
twice.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx2
import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bailie.agent.waiting.requests import CONNECT_SECONDS, STOP_SECONDS, NotAnswered
from bailie.inference.trust import trusted
from bailie.routing.refusal import not_served
from bailie.tracing.context import HEADER
from bailie.wellknown.headers import VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from bailie.agent.settings import Settings
    from bailie.agent.waiting.requests import WaitingRequests
    from bailie.kube.callers import Callers
    from bailie.routing.refusal import ErrorAnswer

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]
    Headers = list[tuple[bytes, bytes]]

log = structlog.get_logger(__name__)

_MODEL = re.compile(r"/v2/models/(?P<name>[^/?#]+)(?P<rest>/[^?#]*)?", re.DOTALL)
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
_KEEP_ALIVE_SECONDS = 10
"""Longer than Envoy keeps an idle connection (gateway/clusters.py), so that Envoy is the side that closes."""
_READ_AHEAD_BYTES = 320 << 10
"""The part of a body that uvicorn reads ahead: it reads until it has 64 KiB, and up to 256 KiB at once."""


class _CallerGone(Exception):  # noqa: N818 - a state of the world
    """The caller of a request does not wait for the answer any more."""


@asynccontextmanager
async def serve_http(requests: WaitingRequests, settings: Settings) -> AsyncIterator[int]:
    """Listens while entered; yields the port. Raises OSError."""
    timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    base = f"http://{settings.address}:{settings.http_port}"
    listening = socket.create_server((settings.address, settings.held_http_port))
    async with httpx2.AsyncClient(
        base_url=base, trust_env=False, verify=trusted(base), timeout=timeout, limits=limits
    ) as client:
        config = uvicorn.Config(
            _Application(requests, settings, client),
            http=partial(_HeldConnection, requests.callers),  # type: ignore[arg-type]  # called as a class is
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        server = _Server(config)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(sockets=[listening]))
            try:
                yield listening.getsockname()[1]
            finally:
                server.should_exit = True
                await asyncio.wait([serving])


class _HeldConnection(HttpToolsProtocol):
    """A connection that is counted among those of the callers."""

    def __init__(self, callers: Callers, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._callers = callers

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a place among the callers; the connection is closed where there is none."""
        super().connection_made(transport)
        self._callers.enter(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Makes room for others."""
        self._callers.leave(self.transport)
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """Notes that a request has begun."""
        self._callers.work(self.transport)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Notes that the connection is at rest, unless another request has come."""
        if not self.pipeline:
            self._callers.rest(self.transport)
        super().on_response_complete()


class _Server(uvicorn.Server):
    """A server that leaves the signals of its process alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to the handlers of the process."""
        yield


class _Application:
    """Passes requests on; `__call__` is the entry that ASGI prescribes."""

    def __init__(self, requests: WaitingRequests, settings: Settings, client: httpx2.AsyncClient) -> None:
        self._requests, self._settings, self._client = requests, settings, client

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("ascii", "replace")
        if path == "/v2/health/live":
            await _answer(send, 200, b"", [])
            return
        found = _MODEL.fullmatch(path)
        name = found["name"] if found else _named_by_envoy(path, scope["headers"])
        if not name:
            await _refuse(send, not_served(self._settings.namespace, grpc=False))
            return
        asks_only = scope["method"] == "GET" and found is not None and found["rest"] == "/ready"
        if asks_only and self._requests.is_evicted(name):
            await _answer(send, 200, b"", [])
            return
        await self._hold(name, scope, receive, send)

    async def _hold(self, name: str, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: dict[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            traceparent = dict(scope["headers"]).get(HEADER.encode(), b"")
            async with self._requests.hold(name, _read_ahead(scope["headers"]), traceparent):
                await self._pass_on(scope, receive, sending)
        except NotAnswered as error:
            if not begun:  # else uvicorn closes the connection, for the answer is not whole
                await _refuse(send, error.refusal)
        except httpx2.TransportError as error:
            await _refuse(send, self._requests.unanswered(name, error))
        except _CallerGone:
            log.debug("caller went away", server_name=name)

    async def _pass_on(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Streams the request to the server and the answer back.

        Raises TransportError only before the first byte of an answer.
        """
        query = scope["query_string"]
        target = scope["raw_path"] + (b"?" + query if query else b"")
        request = httpx2.Request(
            scope["method"],
            self._client.base_url.copy_with(raw_path=target),
            headers=_end_to_end(scope["headers"]),
            content=_body(receive),
        )
        response = await self._client.send(request, stream=True)
        try:
            headers = _end_to_end(response.headers.raw)
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            async for chunk in response.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except httpx2.TransportError as error:
            raise _CallerGone from error  # uvicorn closes the connection: the answer has begun
        finally:
            await response.aclose()


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _CallerGone
        if body := message.get("body", b""):
            yield body
        if not message.get("more_body", False):
            return


def _named_by_envoy(path: str, headers: Headers) -> str:
    """Returns the version that a call of OpenAI's API is for: its path has no name, so Envoy says it."""
    sent = dict(headers).get(VERSION.encode(), b"") if path.startswith("/v1/") else b""
    return sent.decode("ascii", "replace")


def _read_ahead(headers: Headers) -> int:
    """Returns how many bytes of the body are read at most while the request waits."""
    length = dict(headers).get(b"content-length", b"")
    return min(int(length), _READ_AHEAD_BYTES) if length.isdigit() else _READ_AHEAD_BYTES


def _end_to_end(headers: Headers) -> Headers:
    return [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]


async def _refuse(send: Send, refusal: ErrorAnswer) -> None:
    body = json.dumps(refusal.body()).encode()
    await _answer(send, refusal.status, body, [(b"content-type", b"application/json")])


async def _answer(send: Send, status: int, body: bytes, headers: Headers) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
