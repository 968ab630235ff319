"""Limits by caller: for what a caller asks in a time, and for log lines about a caller.

Used by the gRPC servers of the scheduler and the gateway against callers that repeat themselves without end.
The number of callers that are remembered is bounded, whatever names callers invent.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

_MOST_NAMES = 1_000
_LONGEST_CALLER = 253


class Allowance:
    """`burst` at once, and `rate` more per second, for each name by itself."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, float(burst), clock
        self._left: dict[str, tuple[float, float]] = {}
        """How much was left for a name, and when. A name that is not there has all."""

    def take(self, name: str = "") -> bool:
        """Takes one; False when none is left."""
        now = self._clock()
        left = self._now_left(name, now)
        if left < 1:
            return False
        self._left[name] = (left - 1, now)
        if len(self._left) > _MOST_NAMES:
            self._forget(now)
        return True

    def spend(self, amount: float, name: str = "") -> None:
        """Takes so much, also where less is left: then there is none until the rest has been made up for."""
        now = self._clock()
        self._left[name] = (self._now_left(name, now) - amount, now)
        if len(self._left) > _MOST_NAMES:
            self._forget(now)

    def wait(self, name: str = "") -> float:
        """Returns the seconds until there is one more."""
        return max(0.0, (1 - self._now_left(name, self._clock())) / self._rate)

    def _now_left(self, name: str, now: float) -> float:
        left, since = self._left.get(name, (self._burst, now))
        return min(self._burst, left + (now - since) * self._rate)

    def _forget(self, now: float) -> None:
        """Drops the callers whose allowance is full again, and if there are none, the oldest caller."""
        full = [name for name in self._left if self._now_left(name, now) >= self._burst]
        for name in full or [next(iter(self._left))]:
            del self._left[name]


class Complaints:
    """Log lines about callers: one per minute for each kind and caller, and at most ten a second in all."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._each = Allowance(1 / 60, 1, clock)
        self._all = Allowance(10, 30, clock)

    def warn(self, event: str, caller: str, **more: object) -> None:
        """Logs a complaint about the caller, unless the same complaint was logged just now."""
        caller = caller[:_LONGEST_CALLER]
        if self._each.take(f"{event} {caller}") and self._all.take():
            log.warning(event, caller=caller, **more)
