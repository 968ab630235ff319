"""A Model under load, simulated: requests arrive, queue, and are served by its replicas; a scaler looks on.

Used by the tests of this folder. Time goes in steps of 50 ms; a replica answers some seconds after it was
asked for. Nothing here is real but the scaler.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from bailie.scaling import Bounds, Decision, LoadTarget, ReplicaScaler, Sample

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 0.05
SAMPLE_SECONDS = 2.0
COLD = 2.0


@dataclass
class Simulation:
    """`serves` requests at once on each replica, each of which takes `duration` seconds."""

    targets: tuple[LoadTarget, ...]
    rate: Callable[[float], float]
    bounds: Bounds = field(default_factory=lambda: Bounds(1, 100))
    replicas: int = 1
    serves: int = 8
    duration: float = 0.1
    start_seconds: float = 1.0
    first_seconds: float = 0.0
    most_ready: int = 1000
    measured: Callable[[float], bool] = lambda _: True
    seed: int = 1

    def __post_init__(self) -> None:
        self.now = 0.0
        self.scaler = ReplicaScaler(self.replicas)
        self.history: list[tuple[float, Decision, int]] = []
        self._ready_at = deque([0.0] * self.replicas)
        self._random = Random(self.seed)
        self._queue: deque[float] = deque()
        self._running: list[tuple[float, float]] = []
        self._ended: list[float] = []
        self._next_sample = SAMPLE_SECONDS

    @property
    def ready(self) -> int:
        """How many replicas answer."""
        return min(sum(each <= self.now for each in self._ready_at), self.most_ready)

    def run(self, until: float) -> None:
        """Goes on until that second."""
        while self.now < until:
            self.now = round(self.now + STEP, 6)
            self._arrive()
            self._serve()
            if self.now >= self._next_sample:
                self._next_sample += SAMPLE_SECONDS
                self._look()

    def counts(self, begin: float = 0.0) -> list[int]:
        """Returns the different numbers of replicas from that second on, in their order."""
        found: list[int] = []
        for at, decision, _ in self.history:
            if at >= begin and (not found or found[-1] != decision.replicas):
                found.append(decision.replicas)
        return found

    def first(self, replicas: int, begin: float) -> float:
        """Returns the seconds from `begin` until so many replicas or more answer."""
        return next(at for at, _, ready in self.history if at >= begin and ready >= replicas) - begin

    def _arrive(self) -> None:
        expected = self.rate(self.now) * STEP
        count = int(expected) + (self._random.random() < expected % 1)
        self._queue.extend([self.now] * count)

    def _serve(self) -> None:
        for began, end in [each for each in self._running if each[1] <= self.now]:
            self._running.remove((began, end))
            self._ended.append(end - began)
        while self._queue and len(self._running) < self.ready * self.serves:
            newest = max(self._ready_at)
            new = self.now - newest < COLD and self._random.random() * self.ready < 1
            first = self.first_seconds if new else 0.0
            end = round(self.now + self.duration + first, 6)
            self._running.append((self._queue.popleft(), end))

    def _look(self) -> None:
        sample = None
        if self.measured(self.now):
            sample = Sample(
                at=self.now,
                seconds=SAMPLE_SECONDS,
                in_flight=len(self._queue) + len(self._running),
                ended=len(self._ended),
                busy=sum(self._ended),
            )
        self._ended.clear()
        ready = self.ready
        decision = self.scaler.decide(self.now, sample, bounds=self.bounds, targets=self.targets, ready=ready)
        while len(self._ready_at) > decision.replicas:
            self._ready_at.pop()
        while len(self._ready_at) < decision.replicas:
            self._ready_at.append(self.now + self.start_seconds)
        self.history.append((self.now, decision, ready))
