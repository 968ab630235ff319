"""When a replica's pod counts as ready: only then does a roll-out or a drain go on to the next replica.

Made by `run`, whose health server asks for each probe. If a pod were ready before its models are loaded, a
roll-out would end the last replica that has them. So a pod waits for the first load of each version that it
begins with: those on its disk, and those that the scheduler orders until its orders pause for a second, or
for `ORDERS_SECONDS`.

A load that hangs must not stop the roll-out of the other models. A pod that serves a model waits no longer
than `PATIENCE_SECONDS` for the next of these loads to end; a pod that serves none has only those to wait for,
and each ends by the limits of downloads and loads. No version is waited for again: neither one that has
failed or hung and is tried again, nor one that comes later.

A ready pod stays ready: a scheduler that goes away, or a model that is loaded later, is no reason to take out
a replica that serves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bailie.api.texts import abridged

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

SETTLED_SECONDS = 1.0
"""Within this, a scheduler that has heard of a replica has said what it is to load."""
ORDERS_SECONDS = 10.0
"""Orders that come later are not those for a replica that has begun, though they never pause."""
PATIENCE_SECONDS = 300.0
"""Longer than most models take to load, and as long as a roll-out may stand still for one that hangs."""
_NAMED = 3
"""Versions that a sentence names."""


@dataclass(slots=True, kw_only=True)
class Readiness:
    """Remembers the loads that the pod waits for, as it sees them at each probe."""

    session: Callable[[], str | None]
    """Why no scheduler knows the replica, None when one does."""
    server_ready: Callable[[], bool]
    first_loads: Callable[[], AbstractSet[str]]
    """The versions whose first load has not ended."""
    serves: Callable[[], bool]
    """Whether a model is loaded."""
    clock: Callable[[], float]
    _reached: bool = False
    _begun_with: set[str] = field(default_factory=set)
    """The versions that the pod waits for, while orders come and afterwards."""
    _left: frozenset[str] = frozenset()
    _known_at: float | None = None
    _ordered_at: float = 0.0
    _ended_at: float = 0.0
    _complete: bool = False
    """Whether the orders have paused."""

    def trouble(self) -> str | None:
        """Says why the pod is not ready, None when it is."""
        if self._reached:
            return None
        trouble = self._in_the_way()
        self._reached = trouble is None
        return trouble

    def _in_the_way(self) -> str | None:
        if trouble := self.session():
            return trouble
        if not self.server_ready():
            return "the inference server is not ready"
        now = self.clock()
        self._look(now)
        if self._left and not (self.serves() and now - self._ended_at >= PATIENCE_SECONDS):
            return f"models are being loaded: {abridged(sorted(self._left), _NAMED)}"
        return None if self._complete else "the scheduler may yet say what to load"

    def _look(self, now: float) -> None:
        """Notes the orders that have come, and the loads that have ended, since the look before."""
        loads = self.first_loads()
        if self._known_at is None:
            self._known_at = self._ordered_at = now
        if not self._complete:
            if not self._begun_with.issuperset(loads):
                self._ordered_at = now
                self._begun_with.update(loads)
            paused = now - self._ordered_at >= SETTLED_SECONDS
            self._complete = paused or now - self._known_at >= ORDERS_SECONDS
        left = self._left
        self._left = frozenset(self._begun_with & loads)
        if left - self._left or self._left - left:
            self._ended_at = now
