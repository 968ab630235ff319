"""The connections of the two ports for requests that wait: never more than the agent has files for.

Used by `requests`, `http` and `http2`. Envoys make these connections, but whoever reaches a pod can. Where
there are too many, the one without a request for longest is closed: an agent that can open no file answers no
probe, and is restarted with all requests that wait in it.
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_MOST = 4_096
_SHARE = 2
"""One of so many files may be a connection of a caller: a request has another one to the server."""


def most_callers() -> int:
    """Returns how many connections there may be, by the limit of open files of this process."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if files == resource.RLIM_INFINITY else min(_MOST, files // _SHARE)


class Callers:
    """The connections of both ports, at most `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._all: set[asyncio.BaseTransport] = set()
        self._at_rest: dict[asyncio.Transport, None] = {}  # in the order in which they came to rest

    def enter(self, caller: asyncio.Transport) -> None:
        """Takes a connection in, in place of one at rest where there are too many, or closes it."""
        if len(self._all) >= self._most:
            closed = next(iter(self._at_rest), caller)
            self.leave(closed)
            closed.abort()
            if closed is caller:
                return
        self._all.add(caller)
        self._at_rest[caller] = None

    def work(self, caller: asyncio.Transport) -> None:
        """Notes that a request has begun."""
        self._at_rest.pop(caller, None)

    def rest(self, caller: asyncio.Transport) -> None:
        """Notes that there is no request any more."""
        if caller in self._all:
            self._at_rest[caller] = None

    def leave(self, caller: asyncio.Transport) -> None:
        """Forgets a connection that has ended."""
        self._all.discard(caller)
        self._at_rest.pop(caller, None)
