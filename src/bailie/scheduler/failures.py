"""Loads that failed: why, how often in a row, and when they are tried again.

Called by the engine. A failure belongs to a version on a replica; another content of the spec is another
version, so a corrected Model is tried at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bailie.lifecycle import SERVING, Failure, ReplicaState, retry_delay

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.placement import ReplicaId, VersionId
    from bailie.scheduler.fleet import Standing
    from bailie.scheduler.world import ModelReport

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
    """The failures that still matter, by model, version and replica."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[Place, _Entry]] = {}

    def observe(self, name: str, standings: Iterable[Standing], wanted: VersionId | None, now: Now) -> None:
        """Counts each failure of a model once; forgets what is loaded by now and other versions' failures."""
        entries = {place: each for place, each in self._entries.get(name, {}).items() if place[0] == wanted}
        for standing in standings:
            place = (standing.seat.version, standing.seat.replica)
            if standing.state in SERVING:
                entries.pop(place, None)
            elif standing.state is ReplicaState.FAILED and place[0] == wanted:
                _count(entries, place, standing.report, now)
        if entries:
            self._entries[name] = entries
        else:
            self._entries.pop(name, None)

    def may_try(self, place: Place, now: Now) -> bool:
        """False while the place is backing off."""
        entry = self._entries.get(place[0].model, {}).get(place)
        return entry is None or now.monotonic >= entry.retry_at

    def of(self, version: VersionId) -> Failure | None:
        """The failure to show for a version: that of the first replica by name."""
        entries = self._entries.get(version.model)
        return entries[min(entries)].failure if entries else None

    def deadline(self, now: Now) -> float | None:
        """When the next place may be tried again."""
        ends = (each.retry_at for entries in self._entries.values() for each in entries.values())
        return min((end for end in ends if end > now.monotonic), default=None)


def _count(entries: dict[Place, _Entry], place: Place, report: ModelReport | None, now: Now) -> None:
    before = entries.get(place)
    if report is None or (before and before.revision >= report.revision):
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
    entries[place] = _Entry(failure, report.revision, now.monotonic + delay)
