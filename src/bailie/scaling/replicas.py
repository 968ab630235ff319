"""Decides the number of replicas of one Model from its load: up at once in a burst, down after five minutes.

Called by `bailie.control.scaled_models` every few seconds. Rules: replicas that are still being loaded count
as there; no requests are a load of nothing, but no measurement is none; replicas that never answer stop
growth and never shrinking; a queue that is left is worked off by one replica more after the other, not by as
many as it is long. Sources of the windows: Knative's autoscaler (60 s, 6 s at twice the load), Kubernetes'
horizontal autoscaler (tolerance of a tenth, five minutes before fewer).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from bailie.api.texts import counted
from bailie.scaling.decision import Decision
from bailie.scaling.load import BURST_SECONDS, STABLE_SECONDS, LoadWindow
from bailie.scaling.targets import LoadMeasure
from bailie.scaling.waits import PATIENCE_SECONDS

if TYPE_CHECKING:
    from bailie.scaling.decision import Bounds
    from bailie.scaling.load import Average, Sample
    from bailie.scaling.targets import LoadTarget

TOLERANCE = 0.1
"""Share of a replica's target above which another replica is wanted."""
MANY = 20
"""Arrivals of one sample that are enough to see a burst in it: fewer may be chance."""
BURST_FACTOR = 2
"""The load of so many times the present replicas is a burst."""
RECENT_SECONDS = 20.0
"""The window of queues, durations and fewer replicas, and the time between two steps against a queue."""
STEP = 8
"""A step against a queue is one replica, or one of so many."""
HOLD_SECONDS = 300.0
"""How long fewer replicas must have been enough, every moment of it measured."""
GAP_SECONDS = 10.0
"""Time without a sample after which the past is unknown."""
COLD_SECONDS = 10.0
"""How long a replica that has become ready is new: its durations do not count."""
FAR_BELOW = 0.5
"""Share of the target of durations below which one replica fewer is tried."""
KNOWN_SHARE = 0.8
"""Share of the arrivals for which a number of replicas was too small; below it that number is tried again."""
KNOWN_SECONDS = 3600.0
"""How long this is remembered: a Model may have become faster."""
_RESTED = 60
"""The most samples without a request that are kept: those of a minute, at least a second each."""


class Reason(Enum):
    """Why the number is what it is. The value is the token that users see."""

    STEADY = "Steady"
    MORE_LOAD = "MoreLoad"
    BURST = "Burst"
    LESS_LOAD = "LessLoad"
    HOLDING = "HoldingReplicas"
    MISSING = "ReplicasMissing"
    AT_MOST = "AtMaxReplicas"
    UNMEASURED = "NoMeasurements"


@dataclass(frozen=True, slots=True)
class _Need:
    """So many times the load of one replica, and the words for that load."""

    share: float = 0.0
    words: str = "no target says more"

    @property
    def replicas(self) -> int:
        """The replicas that carry it, a tenth of one more allowed."""
        return math.ceil(self.share - TOLERANCE)


class ReplicaScaler:
    """The number of replicas of one Model over time."""

    def __init__(self, replicas: int) -> None:
        """Begins with the number that is there, which a leader before may have chosen."""
        self.replicas = replicas
        self._window = LoadWindow()
        self._needs: deque[tuple[float, int]] = deque()
        self._measured_since = self._measured = -math.inf
        self._grown = self._newest = self._burst_until = -math.inf
        self._missing_since: float | None = None
        self._ready = 0
        self._last: Decision[Reason] | None = None
        self._too_few: dict[int, tuple[float, float]] = {}
        self._resting: tuple[Bounds, tuple[LoadTarget, ...]] | None = None
        self._rested: deque[Sample] = deque(maxlen=_RESTED)

    def rest(
        self, now: float, sample: Sample | None, *, bounds: Bounds, targets: tuple[LoadTarget, ...]
    ) -> Decision[Reason] | None:
        """Returns the decision before where `decide` would make the same one again, None where it may not.

        So it is for a Model that nobody calls, of which there may be thousands.
        """
        if (
            sample is None
            or not sample.quiet
            or self._resting != (bounds, targets)
            or now - self._measured > GAP_SECONDS
        ):
            return None
        self._measured = now
        self._rested.append(sample)
        return self._last

    def decide(
        self,
        now: float,
        sample: Sample | None,
        *,
        bounds: Bounds,
        targets: tuple[LoadTarget, ...],
        ready: int,
    ) -> Decision[Reason]:
        """Returns the number of replicas from now on. `ready` of the present ones answer.

        `sample` is None where nothing was measured now; then nothing changes but by `bounds`.
        """
        self.replicas = bounds.clamp(self.replicas)
        self._watch(now, ready)
        if sample is None or not targets:
            return self._unmeasured(now)
        self._take(now, sample, targets)
        need, burst = self._needed(now, targets)
        if need.replicas > self.replicas:
            self._last = self._grow(now, need, bounds, burst=burst)
        else:
            self._last = self._shrink(now, need, bounds, targets)
        steady = self._last.reason is Reason.STEADY and self.replicas == bounds.least
        self._resting = (bounds, targets) if steady and self._window.quiet else None
        return self._last

    def _unmeasured(self, now: float) -> Decision[Reason]:
        """Returns the decision before, as long as it can be that of the present load."""
        if now - self._measured <= GAP_SECONDS and self._last and self._last.replicas == self.replicas:
            return self._last
        text = f"{self._count()}: no Envoy has counted its requests"
        return Decision(replicas=self.replicas, reason=Reason.UNMEASURED, text=text)

    def _watch(self, now: float, ready: int) -> None:
        """Notes since when replicas are missing, and whether one is new."""
        if ready > self._ready:
            self._newest = now
        self._ready = ready
        if ready >= self.replicas:
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = now

    def _take(self, now: float, sample: Sample, targets: tuple[LoadTarget, ...]) -> None:
        if now - self._measured > GAP_SECONDS:
            self._measured_since = now
            self._needs.clear()
            self._rested.clear()
            self._window = LoadWindow()
        self._measured = now
        for each in self._rested:
            self._window.add(each, warm=True, crowded=False)
        self._rested.clear()
        most = min((each.value for each in targets if each.measure is LoadMeasure.IN_FLIGHT), default=1.0)
        crowded = sample.in_flight > most * max(self._ready, 1) * (1 + TOLERANCE)
        self._window.add(sample, warm=now - self._newest >= COLD_SECONDS, crowded=crowded)

    def _needed(self, now: float, targets: tuple[LoadTarget, ...]) -> tuple[_Need, bool]:
        """Returns what the load needs, and whether it is a burst."""
        stable = self._need(STABLE_SECONDS, targets)
        burst = self._need(BURST_SECONDS, targets)
        newest = self._need(0.0, targets)
        if self._window.newest_arrivals >= MANY and newest.share >= BURST_FACTOR * self.replicas:
            burst = max(burst, newest, key=lambda need: need.share)
        if burst.share >= BURST_FACTOR * self.replicas:
            self._burst_until = now + STABLE_SECONDS
        if now < self._burst_until and burst.replicas > stable.replicas:
            return burst, True
        return max(stable, self._against_queue(now, targets), key=lambda need: need.share), False

    def _need(self, seconds: float, targets: tuple[LoadTarget, ...]) -> _Need:
        """Returns the largest need that the arrivals of the last so many seconds make."""
        average = self._window.over(seconds)
        needs = [_of_arrivals(each, average) for each in targets if average]
        return max((each for each in needs if each), key=lambda need: need.share, default=_Need())

    def _against_queue(self, now: float, targets: tuple[LoadTarget, ...]) -> _Need:
        """Returns a step up where requests queue or answers are slow though all replicas are there."""
        settled = now - max(self._grown, self._newest, self._measured_since) >= RECENT_SECONDS
        average = self._window.over(RECENT_SECONDS)
        comes = self._missing_since is not None and now - self._missing_since < PATIENCE_SECONDS
        if average is None or not settled or comes:
            return _Need()
        words = next((found for each in targets if (found := self._crowded(each, average))), None)
        shrinks = average.ended > average.arrived * (1 + TOLERANCE)
        if words is None or shrinks:
            return _Need()
        step = max(1, self.replicas // STEP)
        # Replicas that work without a pause end as many requests as they can.
        rate = average.ended / self.replicas
        enough = math.ceil(average.arrived / rate - TOLERANCE) if rate else 0
        return _Need(max(self.replicas + step, min(enough, BURST_FACTOR * self.replicas)), words)

    def _crowded(self, target: LoadTarget, average: Average) -> str | None:
        """Returns the words for a queue or for slow answers, None where there is neither.

        Where requests do not meet (less than one at once for each replica), a duration is the model's own,
        and more replicas would not change it.
        """
        above = 1 + TOLERANCE
        if target.measure is LoadMeasure.IN_FLIGHT and average.present > target.value * self.replicas * above:
            return f"{average.present:.1f} requests are there at once, {target.value:g} for each"
        if target.measure is LoadMeasure.LATENCY and average.duration and average.present >= self.replicas:
            return _slow(target, average.duration) if average.duration > target.value * above else None
        return None

    def _grow(self, now: float, need: _Need, bounds: Bounds, *, burst: bool) -> Decision[Reason]:
        self._note(now, need.replicas)
        if self._missing_since is not None and now - self._missing_since >= PATIENCE_SECONDS:
            text = (
                f"{self._count()}: {need.words}; no more are asked for, because for "
                f"{now - self._missing_since:.0f} s only {self._ready} of them answer"
            )
            return Decision(replicas=self.replicas, reason=Reason.MISSING, text=text)
        wanted = bounds.clamp(need.replicas)
        if wanted == self.replicas:
            text = f"{self._count()}, the most that are allowed: {need.words}"
            return Decision(replicas=wanted, reason=Reason.AT_MOST, text=text)
        self._too_few[self.replicas] = now, self._arrived()
        self.replicas, self._grown = wanted, now
        reason = Reason.BURST if burst else Reason.MORE_LOAD
        return Decision(replicas=wanted, reason=reason, text=f"{self._count()}: {need.words}")

    def _shrink(
        self, now: float, need: _Need, bounds: Bounds, targets: tuple[LoadTarget, ...]
    ) -> Decision[Reason]:
        """Goes down to the most that any moment of the last five minutes needed."""
        recent = max(
            self._need(RECENT_SECONDS, targets), self._by_duration(targets), key=lambda each: each.share
        )
        self._note(now, recent.replicas)
        fewer = self._enough(now, bounds.clamp(self._needs[0][1]))
        if now - self._measured_since >= HOLD_SECONDS and fewer < self.replicas:
            self.replicas = fewer
            text = f"{self._count()}: {recent.words}"
            return Decision(replicas=fewer, reason=Reason.LESS_LOAD, text=text)
        text = f"{self._count()}: {need.words}"
        if self._enough(now, bounds.clamp(recent.replicas)) >= self.replicas:
            return Decision(replicas=self.replicas, reason=Reason.STEADY, text=text)
        last = max((at for at, most in self._needs if most >= self.replicas), default=self._measured_since)
        wait = max(0.0, HOLD_SECONDS - (now - max(last, self._measured_since)))
        return Decision(replicas=self.replicas, reason=Reason.HOLDING, text=text, fewer_in=wait)

    def _by_duration(self, targets: tuple[LoadTarget, ...]) -> _Need:
        """Returns what a target of durations needs: the present number, or one fewer far below the target."""
        target = next((each for each in targets if each.measure is LoadMeasure.LATENCY), None)
        average = self._window.over(RECENT_SECONDS)
        if target is None or average is None or average.duration is None:
            return _Need()
        far_below = average.duration < FAR_BELOW * target.value
        return _Need(self.replicas - far_below, _slow(target, average.duration))

    def _enough(self, now: float, fewer: int) -> int:
        """Returns the smallest number from `fewer` on that was not too small for such arrivals before."""
        arrived = self._arrived()
        for number in range(fewer, self.replicas):
            at, rate = self._too_few.get(number, (-math.inf, 0.0))
            if now - at > KNOWN_SECONDS or arrived < KNOWN_SHARE * rate:
                return number
        return self.replicas

    def _arrived(self) -> float:
        average = self._window.over(STABLE_SECONDS)
        return average.arrived if average else 0.0

    def _note(self, now: float, replicas: int) -> None:
        """Keeps the need of this moment; smaller needs of earlier moments are dropped."""
        while self._needs and self._needs[-1][1] <= replicas:
            self._needs.pop()
        self._needs.append((now, replicas))
        while self._needs[0][0] <= now - HOLD_SECONDS:
            self._needs.popleft()

    def _count(self) -> str:
        return counted(self.replicas, "replica")


def _of_arrivals(target: LoadTarget, average: Average) -> _Need | None:
    """Returns what the arrivals need; None where they say nothing of the target."""
    if target.measure is LoadMeasure.IN_FLIGHT and average.load is not None:
        words = f"{average.load:.1f} requests at once, {target.value:g} for each"
        return _Need(average.load / target.value, words)
    if target.measure is LoadMeasure.RATE:
        words = f"{average.arrived:.1f} requests a second, {target.value:g} for each"
        return _Need(average.arrived / target.value, words)
    return None


def _slow(target: LoadTarget, duration: float) -> str:
    return f"answers take {duration * 1000:.0f} ms, the target is {target.value * 1000:g} ms"
