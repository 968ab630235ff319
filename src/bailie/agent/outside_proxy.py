"""The administrator's proxy to the internet: HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the agent.

`egress` connects through this proxy where one is set. Only proxies with an http:// address are supported.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

from bailie.settings import fields
from bailie.settings.reader import Setting
from bailie.wellknown import variables

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_HEAD_SECONDS = 30.0


def _proxy(variable: str, scheme: str) -> dict[str, Setting]:
    """Describes a variable that may hold a password. Its name in small letters comes first, as elsewhere."""
    return fields.of(
        Setting(
            variable=variable,
            meaning=f"The administrator's proxy for downloads by {scheme}. Small letters will do.",
            allowed="an http:// address of a proxy, as the agent speaks to no other kind",
            parse=_proxy_url,
            secret=True,
            small=True,
        )
    )


def _proxy_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideProxy:
    """The proxies as URLs, empty for none. `bypass` lists hosts that are reached without a proxy."""

    http: str = field(default="", metadata=_proxy(variables.HTTP_PROXY, "http"))
    https: str = field(default="", metadata=_proxy(variables.HTTPS_PROXY, "https"))
    bypass: str = field(
        default="",
        metadata=fields.of(
            Setting(
                variable=variables.NO_PROXY,
                meaning="Hosts that downloads reach without a proxy. Small letters will do.",
                allowed="names, ends of names, addresses and networks, separated by commas",
                parse=str,
                small=True,
            )
        ),
    )

    def way(self, host: str, *, tunnel: bool) -> Hop | None:
        """Returns the proxy for a host, None for a host that is reached directly."""
        url = self.https if tunnel else self.http
        return None if not url or self._is_near(host) else Hop(urlsplit(url))

    def _is_near(self, host: str) -> bool:
        """Says whether NO_PROXY names the host: by name, end of name, address or network, as is usual."""
        if proxy_bypass_environment(host, {"no": self.bypass}):
            return True
        return any(_contains(word.strip(), host) for word in self.bypass.split(",") if "/" in word)


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
