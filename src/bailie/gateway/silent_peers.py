"""How long an Envoy keeps a connection whose other end has gone without a word. Pure.

Used by `listener`, `clusters` and `meshes`. A machine that loses its power or its network closes no
connection. Requests have no time limit, so that without these questions of TCP's a request of a caller who is
gone, or to a server that is gone, would be in progress for ever: it would take a connection and a place, keep
its model awake, and a caller would wait for nothing. A process that hangs is another matter, for its kernel
answers.
"""

from __future__ import annotations

from typing import Any

SILENT_SECONDS = 60
"""So long nothing comes from a peer before its kernel is asked."""
ASK_SECONDS, MOST_UNANSWERED = 15, 4
"""How often it is asked, and after how many questions without an answer the connection ends."""


_SOCKET, _KEEPALIVE = 1, 9
_TCP, _IDLE, _INTERVAL, _COUNT = 6, 4, 5, 6
"""Linux's numbers of levels and options."""


def of_cluster() -> dict[str, Any]:
    """Returns the TcpKeepalive message for connections to servers."""
    return {
        "keepalive_time": SILENT_SECONDS,
        "keepalive_interval": ASK_SECONDS,
        "keepalive_probes": MOST_UNANSWERED,
    }


def of_listener() -> list[dict[str, Any]]:
    """Returns the SocketOption messages for connections of callers, which have them from the listener's
    socket."""
    options = (
        (_SOCKET, _KEEPALIVE, 1),
        (_TCP, _IDLE, SILENT_SECONDS),
        (_TCP, _INTERVAL, ASK_SECONDS),
        (_TCP, _COUNT, MOST_UNANSWERED),
    )
    return [{"level": level, "name": name, "int_value": value} for level, name, value in options]
