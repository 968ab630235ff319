"""The administrator's proxy to the internet: HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the agent.

`egress` connects through this proxy where one is set. Only proxies with an http:// address are supported.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

_HEAD_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideProxy:
    """The proxies as URLs, empty for none. `bypass` lists hosts that are reached without a proxy."""

    http: str = ""
    https: str = ""
    bypass: str = ""

    def way(self, host: str, *, tunnel: bool) -> Hop | None:
        """Returns the proxy for a host, None for a host that is reached directly."""
        url = self.https if tunnel else self.http
        return None if not url or self._is_near(host) else Hop(urlsplit(url))

    def _is_near(self, host: str) -> bool:
        """Says whether NO_PROXY names the host: by name, end of name, address or network, as is usual."""
        if proxy_bypass_environment(host, {"no": self.bypass}):
            return True
        return any(_contains(word.strip(), host) for word in self.bypass.split(",") if "/" in word)


def outside_proxy(environ: Mapping[str, str]) -> OutsideProxy:
    """Reads the variables, in capitals or not. Raises ValueError with a sentence."""
    found = {name: environ.get(name.lower()) or environ.get(name, "") for name in _VARIABLES}
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        parts = urlsplit(found[name])
        if found[name] and not (parts.scheme == "http" and parts.hostname):
            raise ValueError(f"{name} is no http:// address of a proxy; the agent speaks to no other kind")
    return OutsideProxy(http=found["HTTP_PROXY"], https=found["HTTPS_PROXY"], bypass=found["NO_PROXY"])


_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def _contains(network: str, host: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Hop:
    """One proxy."""

    url: SplitResult

    @property
    def place(self) -> tuple[str, int]:
        """Its host and port."""
        return self.url.hostname or "", self.url.port or 80

    @property
    def login(self) -> list[tuple[str, str]]:
        """The header with its user and password, where the URL has them."""
        if self.url.username is None:
            return []
        words = f"{unquote(self.url.username)}:{unquote(self.url.password or '')}"
        return [("proxy-authorization", f"Basic {base64.b64encode(words.encode()).decode()}")]

    async def tunnel(
        self, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], host: str, port: int
    ) -> None:
        """Asks for a tunnel on a new connection to the proxy, and ends it where there is none.

        Raises:
            OSError: with the proxy's answer.
        """
        try:
            await self._ask(*connection, host, port)
        except BaseException:
            connection[1].transport.abort()
            raise

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
    ) -> None:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"host: {target}"]
        lines += [f"{name}: {value}" for name, value in self.login]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                answer = await reader.readuntil(b"\r\n\r\n")
        except (EOFError, asyncio.LimitOverrunError) as error:
            raise OSError(0, "the proxy hung up") from error
        status = answer.split(b"\r\n", 1)[0].decode("latin-1")
        if status.split(" ")[1:2] != ["200"]:
            raise OSError(0, f"the proxy answered {status!r}")
