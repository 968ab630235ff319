"""When a replica's pod counts as ready: only then does a roll-out or a drain go on to the next replica.

Made by `run`, whose health server asks for each probe. If a pod were ready before its models are loaded, a
roll-out would end the last replica that has them. A ready pod stays ready: a scheduler that goes away, or a
model that is loaded later, is no reason to take out a replica that serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SETTLED_SECONDS = 1.0
"""Within this, a scheduler that has heard of a replica has said what it is to load."""


@dataclass(slots=True, kw_only=True)
class Readiness:
    """Remembers since when nothing is in the way."""

    session: Callable[[], str | None]
    """Why no scheduler knows the replica, None when one does."""
    server_ready: Callable[[], bool]
    at_work: Callable[[], bool]
    """Whether models are being loaded."""
    clock: Callable[[], float]
    _reached: bool = False
    _quiet_since: float | None = None

    def trouble(self) -> str | None:
        """Says why the pod is not ready, None when it is."""
        if self._reached:
            return None
        trouble = self._in_the_way()
        if trouble is not None:
            self._quiet_since = None
            return trouble
        now = self.clock()
        if self._quiet_since is None:
            self._quiet_since = now
        if now - self._quiet_since < SETTLED_SECONDS:
            return "the scheduler may yet say what to load"
        self._reached = True
        return None

    def _in_the_way(self) -> str | None:
        if trouble := self.session():
            return trouble
        if not self.server_ready():
            return "the inference server is not ready"
        return "models are being loaded" if self.at_work() else None
