"""An agent obeys only the orders of the newest leader that it has seen.

Used by `session`. Every term has a higher epoch than the one before, unless the Lease that counts them was
deleted, or has come to the end of its numbers, and begins anew. So a lower epoch belongs either to a former
leader that does not know yet that it was replaced, which it learns within the Lease's four seconds, or to the
only leader there is. An agent that is offered no other epoch for longer accepts the lower one. The epochs
that agents have seen have no effect on the scheduler: no message of an agent moves a Lease.
"""

from __future__ import annotations

from dataclasses import dataclass

STEADY_SECONDS = 6.0
"""Longer than a former leader can believe that it leads (kube.election.LeaseTiming.duration)."""
GAP_SECONDS = 5.0
"""Offers further apart are not one steady offer. Above the longest pause between two attempts."""


@dataclass(slots=True)
class Epochs:
    """The epochs that an agent remembers while its process lives."""

    seen: int = 0
    """The highest epoch that was accepted or obeyed."""
    _offered: int = 0
    _since: float = 0.0
    _last: float = 0.0

    def welcome(self, epoch: int, now: float) -> bool:
        """Says whether the leader of this epoch is to be followed. `now` is monotonic, in seconds."""
        if epoch >= self.seen:
            self.seen = epoch
            return True
        if epoch != self._offered or now - self._last > GAP_SECONDS:
            self._offered, self._since = epoch, now
        self._last = now
        if now - self._since < STEADY_SECONDS:
            return False
        self.seen, self._offered = epoch, 0
        return True

    def obeys(self, epoch: int) -> bool:
        """Says whether an order of this epoch is to be carried out."""
        if epoch < self.seen:
            return False
        self.seen = epoch
        return True
