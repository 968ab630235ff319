"""The life of one Envoy, as its reports tell it: by how much each of its series has grown since the report
before.

Used by `request_counts`, one for each Envoy. Pure. Envoy reports totals since it started. A series that Envoy
has dropped as idle begins anew at 0, and only the times of reports tell this: once every so many reports
Envoy looks for idle series. Series that were not used since the look before are marked, and left out of
reports; at the next look Envoy drops the series that are still marked. So a series that was left out of more
reports than lie between two looks has begun anew, and no other has. Of a series that may have been in reports
that were lost this is not certain; it counts as the old one as long as its total allows that, for no request
may be counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bailie.gateway.request_reports import FLUSH_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.gateway.request_reports import EnvoyReport, Value

_YOUNG_SECONDS = 3 * FLUSH_SECONDS
_LATE_SECONDS = 60.0
"""A report that is older by more than that has not been on its way for so long: its Envoy's clock was set
back."""


@dataclass(slots=True)
class _Seen:
    """The last value of a series, and the number of the report that had it."""

    value: tuple[int, ...]
    number: int


@dataclass(slots=True)
class EnvoyLife:
    """The reports of one Envoy since it started; `idle_reports` lie between two of its looks for idle series.

    `number` is that of the last report, those that were lost counted, too.
    `heard_at` is when it came (monotonic seconds of this process), `at` when it was made, by Envoy's clock.
    """

    idle_reports: int
    started: float = 0.0
    number: int = 0
    at: float = 0.0
    heard_at: float = 0.0
    in_flight: Mapping[str, int] = field(default_factory=dict)
    _first_at: float = 0.0
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _lost: dict[int, int] = field(default_factory=dict)

    def is_of(self, report: EnvoyReport) -> bool:
        """Says whether the report belongs to this life. That of an Envoy that
        was started by an earlier version has no start while it has no series."""
        return 0 in {report.started, self.started} or report.started == self.started

    def begin(self, report: EnvoyReport) -> bool:
        """Begins a report, or goes on with the parts of one; returns False for one that comes after a later
        one."""
        ahead = report.at - self.at
        if -_LATE_SECONDS <= ahead < 0:
            return False
        self.started, self.at = report.started or self.started, report.at
        if not self.number:
            self.number, self._first_at = 1, report.at
        elif ahead:
            lost = max(0, round(ahead / FLUSH_SECONDS) - 1)
            if lost:
                self._lost[self.number] = lost
            self.number += lost + 1
        return True

    def knows(self, name: str) -> bool:
        """Says whether the growth of a series is that since the last report.

        The requests in the first report may have come long ago. So may those of a series that appears later,
        if Envoy had left it out of the first report as idle. Before Envoy's first look there is no such
        series, and after two more looks there is none any more.
        """
        age = self._first_at - self.started
        if self.number == 1:
            return age < _YOUNG_SECONDS
        before_look = age < self.idle_reports * FLUSH_SECONDS
        return name in self._seen or before_look or self.number > 2 * self.idle_reports + 1

    def growth(self, name: str, value: Value) -> tuple[int, ...]:
        """Returns by how much a series has grown, and notes its value: of a counter one number, of a
        histogram one for each of its parts; empty for not at all."""
        after = value if isinstance(value, tuple) else (value,)
        seen = self._seen.get(name)
        if seen is None:
            self._seen[name] = _Seen(after, self.number)
            return after if any(after) else ()
        before, left_out = seen.value, self.number - seen.number - 1 - self._lost.get(seen.number, 0)
        seen.value, seen.number = after, self.number
        if left_out >= self.idle_reports or len(after) != len(before):
            return after
        if after == before:
            return ()
        grown = tuple(x - y for x, y in zip(after, before, strict=True))
        return after if min(grown) < 0 else grown

    def forget_idle(self) -> None:
        """Drops the series that Envoy has dropped, too, and what was remembered for their sake."""
        oldest = self.number - 2 * self.idle_reports - 1
        gone = [
            name for name, seen in self._seen.items() if seen.number + self._lost.get(seen.number, 0) < oldest
        ]
        for name in gone:
            del self._seen[name]
        self._lost = {number: lost for number, lost in self._lost.items() if number + lost >= oldest}
