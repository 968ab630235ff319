"""HTTP clients of httpx for plain HTTP on this machine: they trust no certificate, and read no variables.

httpx reads all certificates that it trusts for each client, and for each `httpx.get`: 20 ms of processor
time, which a test that asks again and again would take from what it waits for.
"""

from __future__ import annotations

import ssl
from functools import partial

import httpx

_OPTIONS = {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "trust_env": False}

client = partial(httpx.Client, **_OPTIONS)
async_client = partial(httpx.AsyncClient, **_OPTIONS)
get = partial(httpx.get, **_OPTIONS)  # noqa: TID251
post = partial(httpx.post, **_OPTIONS)  # noqa: TID251
unix_transport = partial(httpx.AsyncHTTPTransport, **_OPTIONS)
"""For `httpx.AsyncClient`, with `uds`: to an Envoy's admin interface."""
