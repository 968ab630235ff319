"""The state of one delivery, and its next state: a step on, promoted, or back to the default.

Called by `bailie.control.deliveries` every second or two with the requests that have come since. Only time in
which both candidates answer counts, in monotonic seconds: neither a jump of the clock nor a time without a
leader ends a pause. A step has to be certain of its limits; a broken limit is looked for in the last ten
seconds, in the last minute and in the whole step, so that a candidate that was good for hours is taken back
as quickly as one that never was.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

from bailie.delivery.limits import broken, unproven
from bailie.routing.requests import RequestOutcomes

if TYPE_CHECKING:
    from bailie.delivery.rules import DeliveryRules, DeliveryStep

WINDOWS = (10.0, 60.0)
"""Seconds."""
LONGEST_GAP = 10.0
"""The most seconds that count between two decisions."""


class DeliveryPhase(Enum):
    """How far a delivery is."""

    UNDER_WAY = "UnderWay"
    PROMOTED = "Promoted"
    BACK = "Back"


class Hand(Enum):
    """A person's word on a delivery."""

    PROMOTE = "promote"
    BACK = "back"
    AGAIN = "again"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryState:
    """One delivery as its record keeps it.

    `spec` is a digest of the spec and rules, and `version` the identity of the candidate's version: with
    another one of these a delivery begins again. `step` counts from 0, `seconds` of it have passed, and
    `since` says when it or the end began (RFC 3339). `candidate` and `default` have the requests of the step,
    `reason` and `text` why it ended. `hand` is the person's word that was obeyed last.
    """

    spec: str
    version: str
    since: str
    phase: DeliveryPhase = DeliveryPhase.UNDER_WAY
    step: int = 0
    seconds: float = 0.0
    candidate: RequestOutcomes = field(default_factory=RequestOutcomes)
    default: RequestOutcomes = field(default_factory=RequestOutcomes)
    reason: str = ""
    text: str = ""
    hand: str = ""


@dataclass(frozen=True, slots=True)
class _Look:
    """The requests of the step before those that were told at a moment."""

    at: float
    candidate: RequestOutcomes
    default: RequestOutcomes


class Delivery:
    """A delivery over time. `state` is the present one, `waits_for` says why it goes no further now."""

    def __init__(self, rules: DeliveryRules, state: DeliveryState) -> None:
        """Goes on from a state; a step that the rules do not have is their last one."""
        self.rules = rules
        self.state = replace(state, step=min(state.step, len(rules.steps) - 1))
        self.waits_for = ""
        self._at: float | None = None
        self._looks: deque[_Look] = deque()

    @property
    def step(self) -> DeliveryStep:
        """The present step, or the last one that there was."""
        return self.rules.steps[self.state.step]

    @property
    def weight(self) -> int:
        """The candidate's share now, in per cent."""
        if self.state.phase is DeliveryPhase.UNDER_WAY:
            return self.step.weight
        return 100 if self.state.phase is DeliveryPhase.PROMOTED else 0

    def decide(
        self,
        now: float,
        today: str,
        candidate: RequestOutcomes,
        default: RequestOutcomes,
        *,
        absent: str = "",
    ) -> None:
        """Takes the requests since the last call, and goes on where these say so.

        `now` is monotonic, in seconds, and `today` the same moment for people (RFC 3339). `absent` says who
        does not answer; then nothing is decided.
        """
        before, self._at = self._at, now
        if self.state.phase is not DeliveryPhase.UNDER_WAY:
            return
        self.waits_for = absent
        if absent:
            return
        self._take(now, min(now - before, LONGEST_GAP) if before is not None else 0.0, candidate, default)
        for mine, theirs, words in self._windows(now):
            if finding := broken(self.rules, mine, theirs):
                self.end(DeliveryPhase.BACK, today, finding.reason, f"{finding.text} ({words})")
                return
        self.waits_for = self._missing()
        if not self.waits_for:
            self._go_on(today)
        elif self.state.seconds >= self.step.pause + self.rules.deadline:
            text = f"step {self.state.step + 1} is not proven in {_time(self.rules.deadline)} after its pause"
            self.end(DeliveryPhase.BACK, today, "NotProven", f"{text}: {self.waits_for}")

    def end(self, phase: DeliveryPhase, today: str, reason: str, text: str) -> None:
        """Ends the delivery."""
        self.waits_for = ""
        self.state = replace(self.state, phase=phase, since=today, reason=reason, text=text)

    def _take(self, now: float, seconds: float, candidate: RequestOutcomes, default: RequestOutcomes) -> None:
        state = self.state
        self._looks.append(_Look(now, state.candidate, state.default))
        while self._looks[0].at <= now - max(WINDOWS):
            self._looks.popleft()
        self.state = replace(
            state,
            seconds=state.seconds + max(seconds, 0.0),
            candidate=state.candidate + candidate,
            default=state.default + default,
        )

    def _windows(self, now: float) -> list[tuple[RequestOutcomes, RequestOutcomes, str]]:
        """Returns the requests to both in each window, the shortest first, with the words for it."""
        found, candidate, default = [], self.state.candidate, self.state.default
        for seconds in WINDOWS:
            first = next(each for each in self._looks if each.at > now - seconds)
            mine, theirs = candidate.since(first.candidate), default.since(first.default)
            found.append((mine, theirs, f"in the last {seconds:g} s"))
        found.append((candidate, default, "in this step"))
        return found

    def _missing(self) -> str:
        """Returns why the step is not at its end; empty where it is."""
        left = self.step.pause - self.state.seconds
        if left > 0:
            return f"{_time(left)} of its pause are left"
        return unproven(self.rules, self.state.candidate, self.state.default)

    def _go_on(self, today: str) -> None:
        number = self.state.step + 1
        if number == len(self.rules.steps):
            steps = f"all {number} steps" if number > 1 else "its only step"
            said = f"{self.state.candidate.failures} of {self.state.candidate.requests} requests failed"
            self.end(
                DeliveryPhase.PROMOTED,
                today,
                "Promoted",
                f"it kept its limits in {steps}; {said} in the last",
            )
            return
        nothing = RequestOutcomes()
        self.state = replace(
            self.state, step=number, seconds=0.0, since=today, candidate=nothing, default=nothing
        )
        self._looks.clear()


def _time(seconds: float) -> str:
    """Returns a time in the unit that people would take: 90 s, 5 min, 2 h."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (seconds >= size and not seconds % size):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
