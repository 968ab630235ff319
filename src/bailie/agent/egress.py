"""The way out of the agent: every connection of a download is resolved, checked and opened here.

`artifacts` checks the hosts that it knows before it starts rclone, and runs rclone behind a proxy of this
module, which lives as long as the download. So an address is checked when it is connected to: a redirect, or
a name that resolves to another address the second time, meets the same rules. A client of the proxy shows a
password, because other processes of the pod share its loopback interface.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
import secrets
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from bailie.agent.addresses import plain
from bailie.agent.errors import ArtifactError
from bailie.agent.outside_proxy import OutsideProxy
from bailie.api.texts import shown
from bailie.wellknown import variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from bailie.agent.addresses import Networks
    from bailie.agent.outside_proxy import Hop

_CONNECT_SECONDS = 15.0
_HEAD_SECONDS = 60.0
_CHUNK = 256 * 1024
_OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"
_REFUSED = "AddressRefused"
_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def resolve(host: str, port: int) -> tuple[str, ...]:
    """Returns the addresses of a host, in the order of the resolver. Raises OSError."""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(0, "it is no host name") from error
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """The hosts and networks that downloads may reach. `api_server` is the host and port of the Kubernetes
    API, never reached."""

    networks: Networks
    api_server: tuple[str, int] | None = None
    outside: OutsideProxy = field(default_factory=OutsideProxy)
    resolve: Callable[[str, int], Awaitable[tuple[str, ...]]] = resolve

    async def check(self, host: str, port: int, *, named: bool) -> tuple[str, ...]:
        """Returns the addresses of a host, all of which may be reached; none of a host that only the
        administrator's proxy knows.

        Raises:
            ArtifactError: `AddressRefused`, `HostUnknown`.
        """
        try:
            found = await self.resolve(host, port)
        except OSError as error:
            if self.outside.way(host, tunnel=True) or self.outside.way(host, tunnel=False):
                return ()
            why = error.strerror or "nothing answers in time"
            raise ArtifactError("HostUnknown", f"the host {shown(host)} has no address: {why}") from error
        for address in found:
            kind = self.networks.refusal(address, named=named)
            if kind is not None:
                raise ArtifactError(_REFUSED, _sentence(host, port, address, kind))
        if await self._is_api_server(host, port, found):
            raise ArtifactError(
                _REFUSED, f"{shown(host)}:{port} is the Kubernetes API; no artifact is fetched from it"
            )
        return found

    async def _is_api_server(self, host: str, port: int, found: tuple[str, ...]) -> bool:
        if self.api_server is None or port != self.api_server[1]:
            return False
        try:
            own = set(map(plain, await self.resolve(*self.api_server)))
        except OSError:
            own = set()
        return host.lower() == self.api_server[0] or not own.isdisjoint(map(plain, found))

    @asynccontextmanager
    async def proxy(self, named: frozenset[str]) -> AsyncIterator[Proxy]:
        """Runs a proxy for one download, on a loopback port. `named` are the hosts of the remote's
        parameters."""
        proxy = Proxy(egress=self, named=named)
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        try:
            proxy.port = server.sockets[0].getsockname()[1]
            yield proxy
        finally:
            server.close()
            await proxy.hang_up()


def _sentence(host: str, port: int, address: str, kind: str) -> str:
    where = shown(host) if host == address else f"{shown(host)} ({address})"
    return (
        f"{where} is {kind}, and downloads may not connect to it (port {port}); the administrator may allow "
        f"networks in {variables.ALLOWED_NETWORKS} of the agent"
    )


@dataclass(slots=True, kw_only=True)
class Proxy:
    """One download's proxy. `refusal` is the first connection that it refused, `failure` the last that could
    not be made, until another is."""

    egress: Egress
    named: frozenset[str]
    port: int = 0
    refusal: ArtifactError | None = None
    failure: ArtifactError | None = None
    _password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """The proxy's address with the password, for the environment of one child."""
        return f"http://bailie:{self._password}@127.0.0.1:{self.port}"

    async def hang_up(self) -> None:
        """Ends every connection."""
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection of the child: one tunnel, or one plain request."""
        self._connections.add(task := cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            await self._answer(head, reader, writer)
            writer.close()
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError):
            writer.transport.abort()  # whatever the child or the host did; the task ends here either way
        finally:
            self._connections.discard(task)

    async def _answer(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, headers = _read_head(head)
        if not self._is_ours(headers):
            writer.write(_text_answer("407 Proxy Authentication Required", "this proxy is not for you"))
            return
        host, port, path = _split(method, target)
        is_tunnel = method == "CONNECT"
        via = self.egress.outside.way(host, tunnel=is_tunnel)
        try:
            upstream = await self._connect(host, port, via, tunnel=is_tunnel)
        except ArtifactError as error:
            writer.write(_text_answer("403 Forbidden", error.message))
            return
        try:
            if is_tunnel:
                writer.write(_OPEN)
            else:
                upstream[1].write(_request(method, target if via else path, headers, via))
            await _join((reader, writer), upstream)
        finally:
            upstream[1].transport.abort()

    def _is_ours(self, headers: list[tuple[str, str]]) -> bool:
        shown_password = next((value for name, value in headers if name == "proxy-authorization"), "")
        expected = base64.b64encode(f"bailie:{self._password}".encode()).decode()
        return hmac.compare_digest(shown_password.encode(), f"Basic {expected}".encode())

    def _is_named(self, host: str) -> bool:
        """Buckets are often a part of the host's name: `models.minio.store` of the endpoint `minio.store`."""
        return any(host == each or host.endswith(f".{each}") for each in self.named)

    async def _connect(self, host: str, port: int, via: Hop | None, *, tunnel: bool) -> _Stream:
        """Connects to a host that may be reached, or to the proxy that leads there. Raises ArtifactError."""
        try:
            addresses = await self.egress.check(host, port, named=self._is_named(host))
        except ArtifactError as error:
            self.refusal = self.refusal or error
            raise
        try:
            found = await _first([(each, port) for each in addresses] if via is None else [via.place])
            if via is not None and tunnel:
                await via.tunnel(found, host, port)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else error.strerror or "no answer in time"
            self.failure = ArtifactError(
                "HostUnreachable", f"no connection to {shown(host)}:{port}: {shown(why)}"
            )
            raise self.failure from error
        self.failure = None
        return found


async def _first(places: list[tuple[str, int]]) -> _Stream:
    """Connects to the first place that answers. Raises OSError."""
    last = OSError(0, "it has no address")
    for host, port in places:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await asyncio.open_connection(host, port, limit=_CHUNK)
        except OSError as error:  # TimeoutError is one
            last = error
    raise last


def _read_head(head: bytes) -> tuple[str, str, list[tuple[str, str]]]:
    """Returns method, target and headers (names in lower case). Raises ValueError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = [line.split(":", 1) for line in lines if line]
    return method, target, [(name.strip().lower(), value.strip()) for name, value in pairs]


def _split(method: str, target: str) -> tuple[str, int, str]:
    """Returns host, port and path of a request to a proxy. Raises ValueError."""
    parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
    if method != "CONNECT" and parts.scheme != "http":
        raise ValueError("not a request to a proxy")
    path, host = parts.path or "/", (parts.hostname or "").lower()
    if not host:
        raise ValueError("a request without a host")
    return host, parts.port or 80, f"{path}?{parts.query}" if parts.query else path


def _request(method: str, path: str, headers: list[tuple[str, str]], via: Hop | None) -> bytes:
    """Returns the request as the server, or another proxy, expects it. It closes the connection, so that the
    next request is checked anew."""
    kept = [
        f"{name}: {value}"
        for name, value in headers
        if not name.startswith("proxy-") and name not in {"connection", "keep-alive"}
    ]
    kept += [f"{name}: {value}" for name, value in (via.login if via else [])]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *kept, "connection: close", "", ""]).encode("latin-1")


def _text_answer(status: str, text: str) -> bytes:
    body = text.encode()
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body


async def _join(child: _Stream, upstream: _Stream) -> None:
    """Carries bytes both ways until the host has said all, or one of the two is gone."""
    async with asyncio.TaskGroup() as group:
        up = group.create_task(_carry(child[0], upstream[1]))
        await _carry(upstream[0], child[1])
        up.cancel()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Passes an end on as an end, and a broken connection as a broken one: nothing cut off looks whole."""
    try:
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
    except OSError:
        target.transport.abort()
