"""Which certificates an HTTP client trusts: the machine's where it speaks TLS, none where it does not.

httpx2 reads all certificates of the machine for each client that is told nothing: 20 ms of processor time
and nearly a MiB, which an agent, a command and each look at a pod would spend for plain HTTP.
"""

from __future__ import annotations

import ssl


def trusted(url: str) -> ssl.SSLContext | bool:
    """Returns `verify` of a client that asks at `url` and follows no redirects."""
    return True if url.lower().startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
