"""How far the data planes have followed the published tables: one clock for status, unloads and evictions.

Kept by `routes`. "Has every data plane revision r?" has three answers, because a wrong answer costs something
else each time. A status forgives a data plane that is away for a moment, or the status would flap (`has`). An
unload waits, but not for ever, or one hanging Envoy would fill the servers (`may_end`). An eviction waits
without an end, for a copy that a data plane can still ask directly must stay in memory
(`is_left_everywhere`).
"""

from __future__ import annotations

from bisect import bisect_left
from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

DRAIN_SECONDS = 1.0
"""From the acknowledgement that a route is gone to the unload: requests under way end."""
GIVE_UP_SECONDS = 10.0
"""How long an unload waits for a data plane that does not acknowledge."""
REJOIN_SECONDS = 5.0
"""How long an acknowledgement counts after the data plane that gave it went away."""
LOOK_SECONDS = 0.5
"""Until the next look at whether a data plane is away."""


class Departure(NamedTuple):
    """The revision from which on no route leads to a copy; published at `since`, monotonic seconds."""

    revision: int
    since: float


class Acknowledgements:
    """The revisions that data planes have acknowledged, as of the last `observe`.

    All times are monotonic, in seconds.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._acknowledged = 0
        self._whole = False
        self._ever = False
        self._forgiven = 0
        self._forgiven_at = 0.0
        self._firsts: list[tuple[int, float]] = []
        """Each new highest revision, and when it was acknowledged first; both grow."""

    def observe(self, acknowledged: int, *, whole: bool, now: float) -> None:
        """Begins a pass with the revision that every connected data plane has now, 0 where none is connected.

        While the data planes are not `whole`, one of them is away for a moment and may go on by an older
        table.
        """
        self._now, self._acknowledged, self._whole = now, acknowledged, whole
        self._ever = self._ever or acknowledged > 0
        if acknowledged >= self._forgiven or now - self._forgiven_at >= REJOIN_SECONDS:
            self._forgiven = acknowledged
        if acknowledged >= self._forgiven:
            self._forgiven_at = now
        self.hear(acknowledged)

    def hear(self, acknowledged: int) -> None:
        """Notes when a revision was acknowledged first; within a pass, too, for a drain begins then."""
        if acknowledged > (self._firsts[-1][0] if self._firsts else 0):
            self._firsts.append((acknowledged, self._now))

    @property
    def newest(self) -> int:
        """The newest revision for which `has` is true; 0 for none."""
        return self._forgiven

    def has(self, revision: int) -> bool:
        """Says whether every data plane has acknowledged the table; a short absence is forgiven."""
        return 0 < revision <= self._forgiven

    def is_acknowledged(self, departure: Departure) -> bool:
        """Says whether, at some moment, every connected data plane had the table of the departure."""
        return self._first(departure.revision) is not None

    def end(self, departure: Departure) -> float:
        """Returns when no request reaches the copy any more, or the wait for that is over."""
        first, given_up = self._first(departure.revision), departure.since + GIVE_UP_SECONDS
        # An acknowledgement that comes after the wait was over does not begin another one.
        if first is None or first >= given_up:
            return given_up
        return max(first, departure.since) + DRAIN_SECONDS

    def may_end(self, departure: Departure) -> bool:
        """Says whether the copy may be unloaded."""
        return self._now >= self.end(departure)

    def is_left_everywhere(self, departure: Departure) -> bool:
        """Says whether every data plane has the table, and none is away that may have an older table.

        The wait has an end only where no data plane was ever connected in this term.
        """
        if self._whole and 0 < departure.revision <= self._acknowledged:
            return True
        return not self._ever and self._now >= departure.since + GIVE_UP_SECONDS

    def deadline(self, ending: Iterable[Departure], evicting: Iterable[Departure]) -> float | None:
        """Returns when an answer changes by itself: for copies to unload, for copies to evict, or of `has`.

        None: no answer does.
        """
        ends = [self.end(each) for each in ending]
        strict = list(evicting)
        if strict and not self._whole:
            ends.append(self._now + LOOK_SECONDS)
        if not self._ever:
            ends += [each.since + GIVE_UP_SECONDS for each in strict]
        if self._acknowledged < self._forgiven:
            ends.append(self._forgiven_at + REJOIN_SECONDS)
        return min((end for end in ends if self._now < end < inf), default=None)

    def forget(self, pending: Iterable[Departure]) -> None:
        """Forgets acknowledgements, but for those of the first table, of `pending` departures and later."""
        newest = self._firsts[-1][0] if self._firsts else 0
        oldest = min((each.revision for each in pending), default=newest)
        del self._firsts[1 : bisect_left(self._firsts, (min(oldest, newest), -inf))]

    def _first(self, revision: int) -> float | None:
        at = bisect_left(self._firsts, (revision, -inf))
        return self._firsts[at][1] if at < len(self._firsts) else None
