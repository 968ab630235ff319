"""Decides the number of replicas of one Server from what its models need: up at once, down after a while.

Called by `bailie.control.scaled_servers` at each look. Rules: replicas that start count as there; a replica
that is not ready for five minutes stops growth and never shrinking; fewer replicas must have been enough in
every look of five minutes. Placement says what is needed (`placement.resizing`); this module knows the time.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from bailie.api.texts import abridged, counted
from bailie.scaling.decision import Decision
from bailie.scaling.replicas import HOLD_SECONDS
from bailie.scaling.waits import PATIENCE_SECONDS, LongWaits

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from bailie.scaling.decision import Bounds

MOST_NAMED = 3
"""Models that a sentence names."""


class ServerReason(Enum):
    """Why the number is what it is. The value is the token that users see."""

    STEADY = "Steady"
    WAITING = "ModelsWait"
    FEWER = "FewerSuffice"
    HOLDING = "HoldingReplicas"
    MISSING = "ReplicasMissing"
    AT_MOST = "AtMaxReplicas"
    UNKNOWN = "NoReplicaKnown"
    ASLEEP = "Asleep"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """A Server as of now.

    `replicas` are those that its spec asks for, `needed` those that its models need (one more than the most
    that are allowed, where these are too few), None while no replica has reported. `waiting` are the models
    that would have a place with as many.
    """

    replicas: int
    needed: int | None
    waiting: tuple[str, ...] = ()


def asleep(
    replicas: int, *, needless: bool, awaited: tuple[str, ...], after: str
) -> Decision[ServerReason] | None:
    """Returns the number of a Server that may sleep; None while its replicas are there for its models.

    `replicas` are those of its spec; `needless`: no request needs one, and none has for the time `after`;
    `awaited` are the Models that wait for one.
    """
    if replicas and not needless:
        return None
    if awaited and not replicas:
        text = f"1 replica: {_wait(awaited)} for a place"
        return Decision(replicas=1, reason=ServerReason.WAITING, text=text)
    text = f"0 replicas: nobody has asked for its models for {after}; the next request starts one"
    return Decision(replicas=0, reason=ServerReason.ASLEEP, text=text)


class ServerScaler:
    """The number of replicas of one Server over time."""

    def __init__(self) -> None:
        self._needs: deque[tuple[float, int]] = deque()
        self._began = math.inf
        self._absent = LongWaits[int]()
        self._stated = self._asked = 0
        self._fewer_in: float | None = None

    def observe(self, now: float, absent: AbstractSet[int]) -> None:
        """Takes over which of the wanted replicas, by their ordinals, are not ready now."""
        self._absent.observe(now, absent)

    def late(self, now: float) -> list[int]:
        """Returns the ordinals that have not been ready for five minutes."""
        return sorted(self._absent.late(now))

    def due(self, now: float) -> float:
        """Returns the time at which the decision may be another one by the passing of time alone."""
        late, fewer = self._absent.deadline(now), self._fewer_in
        ends = (late, None if fewer is None else now + fewer)
        return min((each for each in ends if each is not None and each > now), default=math.inf)

    def decide(self, now: float, state: ServerState, bounds: Bounds) -> Decision[ServerReason]:
        """Returns the number of replicas from now on; `observe` has been told of this moment."""
        if state.replicas not in {self._stated, self._asked}:
            self._forget()  # a person has chosen it, and has the five minutes to use it
        decision = self._decided(now, state, bounds)
        self._stated, self._asked, self._fewer_in = state.replicas, decision.replicas, decision.fewer_in
        return decision

    def _decided(self, now: float, state: ServerState, bounds: Bounds) -> Decision[ServerReason]:
        here = bounds.clamp(state.replicas)
        if state.needed is None:
            self._forget()
            text = f"{_replicas(here)}: none has reported yet, so nothing is known of their memory"
            return Decision(replicas=here, reason=ServerReason.UNKNOWN, text=text)
        needed = bounds.clamp(state.needed)
        self._note(now, needed)
        if state.waiting and needed >= here and (late := self.late(now)):
            return _missing(here, state.waiting, late)
        if needed > here:
            text = f"{_replicas(needed)}: {_wait(state.waiting)} for a place"
            return Decision(replicas=needed, reason=ServerReason.WAITING, text=text)
        if state.needed > bounds.most:
            text = f"{_replicas(here)}, the most that are allowed: {_wait(state.waiting)} for a place"
            return Decision(replicas=here, reason=ServerReason.AT_MOST, text=text)
        if needed < here:
            return self._shrink(now, here, needed)
        rest = f"{_wait(state.waiting)} for replicas that start" if state.waiting else "the models need them"
        return Decision(replicas=here, reason=ServerReason.STEADY, text=f"{_replicas(here)}: {rest}")

    def _forget(self) -> None:
        self._needs.clear()
        self._began = math.inf

    def _shrink(self, now: float, here: int, needed: int) -> Decision[ServerReason]:
        """Goes down to the most that any look of the last five minutes needed."""
        fewer = self._needs[0][1]
        if now - self._began >= HOLD_SECONDS and fewer < here:
            text = f"{_replicas(fewer)}: as many have been enough for {HOLD_SECONDS / 60:.0f} minutes"
            return Decision(replicas=fewer, reason=ServerReason.FEWER, text=text)
        last = max((at for at, most in self._needs if most >= here), default=self._began)
        wait = max(0.0, HOLD_SECONDS - (now - max(last, self._began)))
        text = (
            f"{_replicas(here)}: {needed} would do, once that has been so for {HOLD_SECONDS / 60:.0f} minutes"
        )
        return Decision(replicas=here, reason=ServerReason.HOLDING, text=text, fewer_in=wait)

    def _note(self, now: float, needed: int) -> None:
        """Keeps the need of this moment; smaller needs of earlier moments are dropped."""
        self._began = min(self._began, now)
        while self._needs and self._needs[-1][1] <= needed:
            self._needs.pop()
        self._needs.append((now, needed))
        while self._needs[0][0] <= now - HOLD_SECONDS:
            self._needs.popleft()


def _missing(here: int, waiting: tuple[str, ...], late: list[int]) -> Decision[ServerReason]:
    numbers = ", ".join(map(str, late))
    text = (
        f"{_replicas(here)}, and no more while number {numbers} has not been ready for"
        f" {PATIENCE_SECONDS / 60:.0f} minutes: {_wait(waiting)} for a place"
    )
    return Decision(replicas=here, reason=ServerReason.MISSING, text=text)


def _wait(names: tuple[str, ...]) -> str:
    """Returns the models that wait, the first of them by name."""
    return f"{abridged(names, MOST_NAMED)} {'waits' if len(names) == 1 else 'wait'}"


def _replicas(number: int) -> str:
    return counted(number, "replica")
