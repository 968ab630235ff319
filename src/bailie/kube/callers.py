"""The connections that callers make to a port: never more than the process has files for.

Used by `health`, the agent and the pipeline gateway. Every process that reaches a pod can connect. Where
there are too many connections, the one without a request for longest is closed: a process that can open no
file answers no probe, and is restarted with all requests in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.kube.open_files import part_of_files

if TYPE_CHECKING:
    import asyncio

_MOST = 4_096
_SHARE = 2
"""One of so many files may be a connection of a caller: a request has another one to a server."""


def most_callers() -> int:
    """Returns how many connections there may be, by the limit of open files of this process."""
    return part_of_files(_SHARE, _MOST)


class Callers:
    """The connections of one port or several, at most `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._all: set[asyncio.WriteTransport] = set()
        self._at_rest: dict[asyncio.WriteTransport, None] = {}  # in the order in which they came to rest

    def enter(self, caller: asyncio.WriteTransport) -> None:
        """Takes a connection in, in place of one at rest where there are too many, or closes it."""
        if len(self._all) >= self._most:
            closed = next(iter(self._at_rest), caller)
            self.leave(closed)
            closed.abort()
            if closed is caller:
                return
        self._all.add(caller)
        self._at_rest[caller] = None

    def work(self, caller: asyncio.WriteTransport) -> None:
        """Notes that a request has begun."""
        self._at_rest.pop(caller, None)

    def rest(self, caller: asyncio.WriteTransport) -> None:
        """Notes that there is no request any more."""
        if caller in self._all:
            self._at_rest[caller] = None

    def leave(self, caller: asyncio.WriteTransport) -> None:
        """Forgets a connection that has ended."""
        self._all.discard(caller)
        self._at_rest.pop(caller, None)
