"""How the client connects to an API server: credentials, TLS, proxies, time-outs and limits, for httpx2.

Used by `client`. The credentials and the TLS context are lightkube's, but for those of `exec_credentials`.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2

from bailie import __version__
from bailie.kube.exec_credentials import ExecCredentials
from bailie.kube.lightkube_config import ConfigError, ConnectionParams, ExecAuth, User

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.kube.lightkube_config import SingleConfig

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0
_USER_AGENT = f"bailie/{__version__}"
"""The API takes the name before the slash as field manager of writes that name none."""


def timeouts(read: float | None = _READ_SECONDS) -> httpx2.Timeout:
    """Returns the time-outs of a call; `read`: seconds without a byte of the answer, None for no limit."""
    return httpx2.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS, read=read)


def http_options(config: SingleConfig) -> dict[str, Any]:
    """Returns lightkube's options for httpx2 with our limits; pools share credentials and TLS context.

    Raises ConfigError.
    """
    params = ConnectionParams(timeout=timeouts(), trust_env=not _is_loopback(config.cluster.server))
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=8, keepalive_expiry=30.0)
    known = config if config.user else config._replace(user=User())
    hooks = {"request": [_watch_opening]}
    headers = {"User-Agent": _USER_AGENT}
    try:
        options = params.httpx_params(known)
    except OSError as error:  # no file, or no PEM in it
        raise ConfigError(f"its certificates cannot be used: {error}") from error
    if known.user and known.user.exec and isinstance(options["auth"], ExecAuth):
        options["auth"] = ExecCredentials(known.user.exec, Path(config.fname or "").parent)
    return {**options, "limits": limits, "event_hooks": hooks, "headers": headers}


async def _watch_opening(request: httpx2.Request) -> None:
    request.extensions = {**request.extensions, "trace": _Opening()}


class _Opening:
    """Closes the connection of a request that is cancelled within its TLS handshake.

    httpcore closes it after an error only: the socket would stay open until the collector finds it.
    """

    def __init__(self) -> None:
        self._stream: Any = None

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._stream = info["return_value"]
        elif event == "connection.start_tls.failed" and isinstance(info["exception"], asyncio.CancelledError):
            await self._stream.aclose()


def _is_loopback(server: str) -> bool:
    """Says whether the host is this machine, which is reached without a proxy whatever the environment says
    (as in Go's clients)."""
    host = urlsplit(server).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
