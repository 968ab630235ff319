"""A small HTTP server for `/live`, `/ready`, `/metrics` and a few JSON answers.

Used by the operator, the scheduler and the agent for probes, scraping and `bailie explain`. Answers only GET,
one request per connection, and changes nothing. It listens on the address given, never on all interfaces by
itself.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bailie.kube.callers import Callers
from bailie.kube.places import ANYONE, NoTurn, Places

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager

    JsonRoute = Callable[[str], object | Awaitable[object]]
    """Gets the rest of the path (`iris` of `/explain/iris`); returns JSON data, or None for 404."""

log = structlog.get_logger(__name__)

_REQUEST_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_MOST_AT_WORK, _MOST_ASKED = 4, 100
"""Answers that are made at a time, for each takes its slices of the event loop: half of them for one address
at most. And how many questions of one address may wait for theirs."""
_MOST_WAITING, _MOST_WAITING_OF_ONE = 256, 4
"""Questions that wait for an event, of all addresses and of each: a hook of the kubelet's waits beside those
of strangers, whom nothing hinders to ask the same."""
_MOST_SILENT = 100
"""Connections that have not asked yet; more of them end before their five seconds."""
_LAST_SECONDS = 1.0
_HEADER_BYTES = 16 * 1024
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"

Answer = tuple[HTTPStatus, str, bytes]


class HealthServer:
    """Routes of one process.

    `live` and `ready` return a sentence about a fault; None when nothing is. `routes` maps a path prefix
    without slashes (`explain`) to a JsonRoute. The answers of `events` wait for something that may take
    minutes; these wait for no other answer, and none waits for them. `metrics` returns text that follows the
    process's own metrics, in slices between which others run.
    """

    def __init__(
        self,
        *,
        live: Callable[[], str | None],
        ready: Callable[[], str | None],
        routes: Mapping[str, JsonRoute] | None = None,
        events: Mapping[str, JsonRoute] | None = None,
        metrics: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._checks = {"live": live, "ready": ready}
        self._routes = dict(routes or {})
        self._events = dict(events or {})
        self._waiting: Counter[str] = Counter()
        """By address."""
        self._metrics = metrics
        self._open: set[asyncio.Task[object]] = set()
        self._silent = Callers(_MOST_SILENT)
        self._at_work = Places(_MOST_AT_WORK, _MOST_ASKED)
        """Taken for each answer but those to probes, which are short and must not wait for others."""

    @asynccontextmanager
    async def serve(self, host: str, port: int) -> AsyncIterator[int]:
        """Listens while entered, and a moment longer for answers under way, which then end; yields the port.

        The system chooses the port for 0. Raises OSError when it is taken.
        """
        server = await asyncio.start_server(self._connection, host, port, limit=_HEADER_BYTES)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            if self._open:
                _, late = await asyncio.wait(self._open, timeout=_LAST_SECONDS)
                for task in late:
                    task.cancel()
            await server.wait_closed()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio.start_server makes one for each connection
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        self._silent.enter(writer.transport)
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            self._silent.leave(writer.transport)
            peer = str(writer.get_extra_info("peername", ("",))[0])
            status, content_type, body = await self._answer_to(peer, head.split(b"\r\n", 1)[0])
            async with asyncio.timeout(_REQUEST_SECONDS):
                writer.write(_response(status, content_type, body))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._silent.leave(writer.transport)
            writer.close()

    async def _answer_to(self, peer: str, request_line: bytes) -> Answer:
        event = self._events.get(_path(request_line))
        if event is None:
            return await self._answer_in_time(peer, request_line)
        if self._waiting[peer] >= _MOST_WAITING_OF_ONE or self._waiting.total() >= _MOST_WAITING:
            return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"too many ask this already; ask later\n"
        self._waiting[peer] += 1
        try:
            return await _from_route(event, "")
        finally:
            self._waiting[peer] -= 1
            self._waiting += Counter()  # without those of nobody

    async def _answer_in_time(self, peer: str, request_line: bytes) -> Answer:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._answer(peer, request_line)
        except NoTurn:
            told = f"{_MOST_ASKED} questions from there wait for their answers already; ask later\n"
        except TimeoutError:
            told = f"no answer within {_ANSWER_SECONDS:.0f} s, for other questions came first; ask later\n"
        return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, told.encode()

    async def _answer(self, peer: str, request_line: bytes) -> Answer:
        parts = request_line.decode("latin-1").split(" ")
        if len(parts) != 3:
            return HTTPStatus.BAD_REQUEST, _TEXT, b"not HTTP\n"
        if parts[0] != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"GET only\n"
        name, _, rest = unquote(urlsplit(parts[1]).path).lstrip("/").partition("/")
        if name in self._checks and not rest:
            return _checked(self._checks[name]())
        if name == "metrics" and not rest:
            async with self._place(peer):
                return HTTPStatus.OK, CONTENT_TYPE_LATEST, await self._measured()
        if name in self._routes:
            async with self._place(peer):
                return await _from_route(self._routes[name], rest)
        return HTTPStatus.NOT_FOUND, _TEXT, b"not found\n"

    def _place(self, peer: str) -> AbstractAsyncContextManager[None]:
        # Twice as long as `_answer_in_time` waits, which has the words for it.
        return self._at_work.place(peer, ANYONE, 2 * _ANSWER_SECONDS)

    async def _measured(self) -> bytes:
        parts = [generate_latest()]
        for some in self._metrics():
            parts.append(some.encode())
            await asyncio.sleep(0)
        return b"".join(parts)


def _path(request_line: bytes) -> str:
    """Returns the path that is asked for by GET, without slashes; empty for another request."""
    parts = request_line.decode("latin-1").split(" ")
    return parts[1].strip("/") if len(parts) == 3 and parts[0] == "GET" else ""


def _checked(wrong: str | None) -> Answer:
    if wrong is None:
        return HTTPStatus.OK, _TEXT, b"ok\n"
    return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, f"{wrong}\n".encode()


async def _from_route(route: JsonRoute, rest: str) -> Answer:
    try:
        answer = route(rest)
        if inspect.isawaitable(answer):
            answer = await answer
    except Exception:
        log.exception("route raised", path=rest)
        return HTTPStatus.INTERNAL_SERVER_ERROR, _JSON, b'{"error":"internal error"}'
    if answer is None:
        return HTTPStatus.NOT_FOUND, _JSON, msgspec.json.encode({"error": f"nothing is known of {rest!r}"})
    return HTTPStatus.OK, _JSON, msgspec.json.encode(answer)


def _response(status: HTTPStatus, content_type: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
