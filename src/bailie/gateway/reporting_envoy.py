"""One Envoy as its reports tell it, whose parts come as calls of their own, in any order.

Used by `request_counts`, one for each Envoy. Pure: `now` is monotonic, in seconds. Growth that is divided by
time must be that of a whole report: it waits here until all parts have come.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bailie.gateway.request_reports import FLUSH_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bailie.gateway.envoy_life import EnvoyLife
    from bailie.gateway.request_reports import EnvoyReport
    from bailie.gateway.request_series import RecentOfModel, SeriesGrowth

RECENT_REPORTS = 5
"""Reports over which the last requests are counted: ten seconds."""


@dataclass(slots=True)
class ComingReport:
    """The growth that the parts of one report have told: it counts once all of them are there.

    `number` is the report's, `away` for how long there was none before it, `heard_at` when its first part
    came.
    """

    number: int
    away: float
    heard_at: float
    last_at: float = 0.0
    grown: list[SeriesGrowth] = field(default_factory=list)
    recent: list[dict[str, RecentOfModel]] = field(default_factory=list)
    in_flight: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class ReportingEnvoy:
    """One Envoy: its life, and the requests in each of its last reports by Model.

    `former` is the start of the life before, `last_at` when the last part of a report came.
    """

    life: EnvoyLife
    former: float = 0.0
    last_at: float = 0.0
    coming: ComingReport | None = None
    recent: deque[tuple[int, dict[str, RecentOfModel]]] = field(default_factory=deque)
    _counted: int = 0
    _away: float = 0.0
    _parts: int = 0
    _several: bool = False

    def begin(self, report: EnvoyReport, now: float) -> bool:
        """Begins a report, or goes on with the parts of one; returns False for one that comes too late."""
        before = self.life.number
        if not self.life.begin(report):
            return False
        self.last_at = now
        if self.life.number != before:
            self._away = now - self.life.heard_at if before else 0.0
            self._several, self._parts = self._parts > 1, 0
        self._parts += 1
        return True

    def note(
        self,
        report: EnvoyReport,
        grown: list[SeriesGrowth],
        recent: dict[str, RecentOfModel],
        now: float,
    ) -> None:
        """Notes what a part of the present report has told."""
        coming = self.coming
        if coming is None:
            coming = self.coming = ComingReport(self.life.number, self._away, heard_at=now)
        coming.last_at = now
        coming.grown += grown
        coming.recent.append(recent)
        coming.in_flight |= report.in_flight

    def is_whole(self, report: EnvoyReport) -> bool:
        """Says whether this part is certainly all of the report."""
        return self._parts == 1 and not self._several and not report.full

    def settle(self) -> ComingReport | None:
        """Takes out the parts that have come of the present report, which count from now on; returns them."""
        coming, self.coming = self.coming, None
        if coming is None:
            return None
        self.recent.extend((coming.number, each) for each in coming.recent)
        while self.recent[0][0] <= coming.number - RECENT_REPORTS:
            self.recent.popleft()
        if self._counted == coming.number:
            self.life.in_flight = {**self.life.in_flight, **coming.in_flight}
        else:
            self.life.heard_at, self.life.in_flight = coming.heard_at, coming.in_flight
        self._counted = coming.number
        return coming

    def window(self, now: float) -> tuple[float, Iterator[Mapping[str, RecentOfModel]]]:
        """Returns the seconds over which the last requests are counted, and these requests."""
        newest = self._counted + int((now - self.life.heard_at) / FLUSH_SECONDS)
        oldest = newest - RECENT_REPORTS
        found = (models for number, models in self.recent if number > oldest)
        return float(FLUSH_SECONDS * min(RECENT_REPORTS, newest)), found
