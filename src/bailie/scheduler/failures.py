"""Loads that failed: why, how often in a row, and when they are tried again.

Called by the engine. A failure belongs to a version on a replica; another content of the spec is another
version, so a corrected Model is tried at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bailie.lifecycle import Failure, ReplicaState, retry_delay

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.placement import ReplicaId, VersionId
    from bailie.scheduler.fleet import Standing

Place = tuple["VersionId", "ReplicaId"]


class Now(NamedTuple):
    """One moment on both clocks: monotonic seconds for waiting, seconds since 1970 for people."""

    monotonic: float
    wall: float


class _Entry(NamedTuple):
    failure: Failure
    revision: int
    retry_at: float


class Failures:
    """The failures that still matter, by version and replica."""

    def __init__(self) -> None:
        self._entries: dict[Place, _Entry] = {}
        self._shown: dict[VersionId, Failure] = {}

    def observe(self, standings: Iterable[Standing], wanted: set[VersionId], now: Now) -> None:
        """Counts each failure once; forgets what is loaded by now and versions that nobody wants any more."""
        self._entries = {place: entry for place, entry in self._entries.items() if place[0] in wanted}
        for standing in standings:
            place = (standing.seat.version, standing.seat.replica)
            if standing.state in {ReplicaState.LOADED, ReplicaState.EVICTED}:
                self._entries.pop(place, None)
            elif standing.state is ReplicaState.FAILED and place[0] in wanted:
                self._count(place, standing, now)
        places = sorted(self._entries, reverse=True)
        self._shown = {place[0]: self._entries[place].failure for place in places}

    def _count(self, place: Place, standing: Standing, now: Now) -> None:
        report, before = standing.report, self._entries.get(place)
        if report is None or (before and before.revision == report.revision):
            return
        attempts = before.failure.attempts + 1 if before else 1
        delay = retry_delay(attempts)
        failure = Failure(
            reason=report.reason or "ModelFailed",
            message=report.message or "the model could not be loaded",
            replica=str(place[1]),
            attempts=attempts,
            retry_at=now.wall + delay,
        )
        self._entries[place] = _Entry(failure, report.revision, now.monotonic + delay)

    def may_try(self, place: Place, now: Now) -> bool:
        """False while the place is backing off."""
        entry = self._entries.get(place)
        return entry is None or now.monotonic >= entry.retry_at

    def of(self, version: VersionId) -> Failure | None:
        """The failure to show for a version: that of the first replica by name."""
        return self._shown.get(version)

    def deadline(self, now: Now) -> float | None:
        """When the next place may be tried again."""
        return min((e.retry_at for e in self._entries.values() if e.retry_at > now.monotonic), default=None)
