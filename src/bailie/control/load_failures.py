"""Loads that failed: why, how often in a row, and when they are tried again.

Called by the engine. A failure belongs to a version on a replica; another content of the spec is another
version, so a corrected Model is tried at once. A version that ends the servers that load it is given up on
all replicas: it would end the next server as well.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.retry import LONGEST_SECONDS, given_up, retry_delay
from bailie.lifecycle.version import Failure
from bailie.placement import VersionPlace

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bailie.control.agent_port import ModelReport
    from bailie.control.fleet import ModelCopy
    from bailie.placement import ReplicaId, VersionId


class Now(NamedTuple):
    """One moment on both clocks: monotonic seconds for waiting, seconds since 1970 for people."""

    monotonic: float
    wall: float


class _Entry(NamedTuple):
    failure: Failure
    revision: int
    retry_at: float
    deaths: int


class LoadFailures:
    """The failures that still matter, by model, version and replica."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[VersionPlace, _Entry]] = {}
        self._now = Now(0.0, 0.0)

    def observe(self, now: Now) -> None:
        """Begins a pass: `now` is the present time until the next call."""
        self._now = now

    def count(self, name: str, copies: Collection[ModelCopy], wanted: VersionId | None) -> None:
        """Counts each failure of a model once.

        Forgets the failures of other versions than the wanted one, and of places where it is loaded by now.
        """
        serving = {_place(copy) for copy in copies if copy.state.serves}
        entries = {
            place: each
            for place, each in self._entries.get(name, {}).items()
            if place.version == wanted and place not in serving
        }
        for copy in copies:
            place = _place(copy)
            # A version may be there under two numbers: where one serves, the other's failure does not matter.
            if copy.state is CopyState.FAILED and place.version == wanted and place not in serving:
                _count(entries, place, copy.report, self._now)
        if entries:
            self._entries[name] = entries
        else:
            self._entries.pop(name, None)

    def may_try(self, place: VersionPlace) -> bool:
        """Says whether a load may be tried: False while the place backs off, and for a version given up."""
        entries = self._entries.get(place[0].model, {})
        entry = entries.get(place)
        return not _given_up(entries) and (entry is None or self._now.monotonic >= entry.retry_at)

    def of(self, version: VersionId, planned: Collection[ReplicaId] = ()) -> Failure | None:
        """Returns the failure to show for a version, None where there is none.

        It is that of the first replica by name, of those where the version is `planned` if there is one: on
        others it is not tried again. A failure that ended a server goes before others.
        """
        entries = self._entries.get(version.model)
        if not entries:
            return None
        places = sorted(
            entries, key=lambda place: (not entries[place].deaths, place[1] not in planned, place)
        )
        shown = entries[places[0]].failure
        if not _given_up(entries):
            return shown
        text = (
            f"given up until its spec changes: its load has ended inference servers {_deaths(entries)} times"
        )
        return replace(shown, message=text, retry_at=0.0)

    def are_final(self, version: VersionId) -> bool:
        """Says whether the version is given up."""
        return _given_up(self._entries.get(version.model, {}))

    def deadline(self) -> float | None:
        """Returns the monotonic time at which the next place may be tried again; None where none waits."""
        ends = (each.retry_at for entries in self._entries.values() for each in entries.values())
        return min((end for end in ends if self._now.monotonic < end < math.inf), default=None)


def _place(copy: ModelCopy) -> VersionPlace:
    return VersionPlace(copy.id.version, copy.id.replica)


def _deaths(entries: Mapping[VersionPlace, _Entry]) -> int:
    return sum(each.deaths for each in entries.values())


def _given_up(entries: Mapping[VersionPlace, _Entry]) -> bool:
    return given_up(_deaths(entries))


def _count(
    entries: dict[VersionPlace, _Entry], place: VersionPlace, report: ModelReport | None, now: Now
) -> None:
    before = entries.get(place)
    if report is None or (before and before.revision >= report.revision):
        return
    new = 0 if report.cause_gone else 1
    attempts = before.failure.attempts + new if before else 1
    deaths = max(report.deaths, before.deaths if before else 0)
    delay = 0.0 if report.cause_gone else _delay(attempts, report.deaths)
    failure = Failure(
        reason=report.reason or "ModelFailed",
        message=report.message or "the model could not be loaded",
        replica=str(place[1]),
        attempts=attempts,
        retry_at=0.0 if math.isinf(delay) else now.wall + delay,
    )
    entries[place] = _Entry(failure, report.revision, now.monotonic + delay, deaths)


def _delay(attempts: int, deaths: int) -> float:
    if given_up(deaths):
        return math.inf
    return LONGEST_SECONDS if deaths else retry_delay(attempts)
