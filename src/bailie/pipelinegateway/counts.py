"""Counts of requests to pipelines and to their steps, as plain numbers, which cost a request next to nothing.

Kept by `plans` for as long as a pipeline is known, counted by `service` and `pipeline_run`, read by
`metrics`. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from bailie.dataflow.events import FailCode

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper ends in seconds of the histogram that Seldon Core has, too: Prometheus' own defaults."""
MOST_STEPS = 5_000
"""Steps with counts of their own; those beyond share one without names."""


@dataclass(slots=True)
class StepCounts:
    """The calls of one step, side branches included; `seconds` of those that have ended."""

    called: int = 0
    answered: int = 0
    cancelled: int = 0
    failed: dict[FailCode, int] = field(default_factory=dict)
    absent: int = 0
    """Requests that did not come to the step, for its data was not there."""
    late: int = 0
    """Requests that did not come to the step, for its data did not come in time."""
    seconds: float = 0.0
    quiet_until: float = 0.0
    """The moment before which no further failure is logged."""

    @property
    def in_flight(self) -> int:
        """Calls that have not ended."""
        return self.called - self.answered - self.cancelled - sum(self.failed.values())

    def answer(self, seconds: float) -> None:
        """Counts a call that was answered."""
        self.answered += 1
        self.seconds += seconds

    def skip(self, *, late: bool) -> None:
        """Counts a request that does not come to the step."""
        if late:
            self.late += 1
        else:
            self.absent += 1

    def fail(self, code: FailCode, seconds: float) -> None:
        """Counts a call that has failed."""
        self.failed[code] = self.failed.get(code, 0) + 1
        self.seconds += seconds


@dataclass(slots=True)
class RequestTally:
    """Requests and their seconds."""

    number: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class PipelineCounts:
    """The requests to one pipeline by protocol and status, its steps, and its side branches given up."""

    name: str
    steps: dict[str, StepCounts]
    requests: dict[tuple[str, str], RequestTally] = field(default_factory=dict)
    side_dropped: int = 0


class Durations:
    """A histogram: requests by duration, up to each of `ends` (seconds) and beyond, and their seconds."""

    __slots__ = ("buckets", "ends", "seconds")

    def __init__(self, ends: Sequence[float]) -> None:
        """Begins with no request."""
        self.ends, self.buckets, self.seconds = ends, [0] * (len(ends) + 1), 0.0

    def observe(self, seconds: float) -> None:
        """Counts a request."""
        self.buckets[bisect_left(self.ends, seconds)] += 1
        self.seconds += seconds

    def cumulated(self) -> list[tuple[str, float]]:
        """Returns the buckets as Prometheus has them, each with all before it."""
        return list(zip([*map(str, self.ends), "+Inf"], accumulate(self.buckets), strict=True))


class Endings:
    """Requests by the word for their ending."""

    __slots__ = ("numbers",)

    def __init__(self) -> None:
        """Begins with no request."""
        self.numbers: dict[str, int] = {}

    def count(self, ending: str) -> None:
        """Counts a request."""
        self.numbers[ending] = self.numbers.get(ending, 0) + 1


@dataclass(slots=True)
class Counts:
    """The counts of one gateway."""

    api: dict[tuple[str, str], Durations] = field(default_factory=dict)
    _pipelines: dict[str, PipelineCounts] = field(default_factory=dict)
    _others: StepCounts = field(default_factory=StepCounts)
    _steps: int = 0

    def of(self, pipeline: str, steps: Iterable[str]) -> PipelineCounts:
        """Returns the counts of a pipeline, with those of its steps; they go on with a new version."""
        found = self._pipelines.get(pipeline)
        if found is None:
            found = self._pipelines[pipeline] = PipelineCounts(pipeline, {})
        for step in steps:
            if step not in found.steps:
                self._steps += 1
                found.steps[step] = StepCounts() if self._steps <= MOST_STEPS else self._others
        return found

    def keep(self, pipeline: str, steps: Collection[str]) -> None:
        """Forgets the other steps of a pipeline, and with no step the pipeline.

        Requests in progress may go on counting.
        """
        counted = self._pipelines.get(pipeline)
        if counted is None:
            return
        for step in [step for step in counted.steps if step not in steps]:
            del counted.steps[step]
            self._steps -= 1
        if not steps:
            del self._pipelines[pipeline]

    def end(self, counts: PipelineCounts, method: str, code: str, seconds: float) -> None:
        """Counts a request that has its answer, for its pipeline and for all.

        `method`: rest or grpc; `code`: its status.
        """
        key = method, code
        tally = counts.requests.get(key)
        if tally is None:
            tally = counts.requests[key] = RequestTally()
            self.api.setdefault(key, Durations(BUCKETS))
        tally.number += 1
        tally.seconds += seconds
        self.api[key].observe(seconds)

    def pipelines(self) -> Iterator[PipelineCounts]:
        """Yields the counts of each pipeline."""
        yield from self._pipelines.values()

    def steps(self) -> Iterator[tuple[str, str, StepCounts]]:
        """Yields the steps with counts, by pipeline and name; the one without names is that of all others."""
        for pipeline in self._pipelines.values():
            for name, step in pipeline.steps.items():
                if step is not self._others:
                    yield pipeline.name, name, step
        if self._others.called:
            yield "", "", self._others
