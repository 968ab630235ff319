"""The runs of one gateway: admission within limits, side branches, pipelines that follow, batches.

Made by `run`, asked by `service` for each request. A request is refused at once when there is no room:
nothing waits here, so that a model that calls a pipeline back can never block itself. No pipeline takes more
of the room than it leaves to the others: one whose models hang has callers enough to fill any.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bailie.agent.waiting.room import Room
from bailie.dataflow.events import Asked
from bailie.pipelinegateway import metrics
from bailie.pipelinegateway.batches import Batches
from bailie.pipelinegateway.deadlines import Deadlines
from bailie.pipelinegateway.pipeline_run import PipelineRun
from bailie.pipelinegateway.root_request import RootRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.dataflow import Parcel
    from bailie.dataflow.events import BatchCompleted
    from bailie.pipelinegateway.budget import ByteBudget
    from bailie.pipelinegateway.pipeline_run import RunEnding
    from bailie.pipelinegateway.plans import Plans, ServedPlan
    from bailie.pipelinegateway.root_request import RequestOrigin
    from bailie.pipelinegateway.spans import PipelineSpans
    from bailie.pipelinegateway.step_client import StepClient
    from bailie.pipelinegateway.traces import TraceRing


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Seconds for one run, requests at a time, and runs at a time that go on after their answer."""

    seconds: float
    most_requests: int
    most_side_runs: int


@dataclass(slots=True)
class PipelineEngine:
    """All runs of this process."""

    plans: Plans
    client: StepClient
    budget: ByteBudget
    limits: RunLimits
    traces: TraceRing
    spans: PipelineSpans
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    batches: Batches = field(init=False)
    deadlines: Deadlines = field(init=False)
    places: Room = field(init=False)
    """Those of the requests in progress, by version."""
    _waiting: set[PipelineRun] = field(default_factory=set)
    _sides: dict[PipelineRun, None] = field(default_factory=dict)
    _all_over: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.batches = Batches(self.budget, self._start_batch)
        self.deadlines = Deadlines(self.limits.seconds)
        self.places = Room(self.limits.most_requests)
        self.budget.reclaim = self._reclaim
        metrics.COUNTED.counts = self.plans.counts
        metrics.IN_PROGRESS.set_function(lambda: len(self._waiting))
        metrics.SIDE_RUNS.set_function(lambda: len(self._sides))
        metrics.HELD_BYTES.set_function(lambda: self.budget.used)

    @property
    def full(self) -> bool:
        """Whether as many requests are in progress as may be."""
        return self.places.free <= 0

    async def finish(self, seconds: float) -> bool:
        """Waits until no run is in progress; False where one still is after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while self._waiting or self._sides:
                    self._all_over.clear()
                    await self._all_over.wait()
        except TimeoutError:
            return False
        return True

    def start(
        self,
        served: ServedPlan,
        parcel: Parcel,
        origin: RequestOrigin,
        ended: Callable[[RunEnding], None],
        *,
        seconds: float,
    ) -> PipelineRun:
        """Begins the run of a request that may take `seconds`, and gives its bytes back at the end."""
        root = RootRequest(served.name, origin, self.plans.followers, self._start_follower)
        run = PipelineRun(self, served, root, ended)
        self._waiting.add(run)
        self.places.take(served.key, 1)
        run.begin(Asked(parcel), seconds)
        return run

    def settled(self, run: PipelineRun) -> None:
        """Notes that the caller of a run has its answer."""
        if run in self._waiting:
            self._waiting.remove(run)
            self.places.give(run.served.key, 1)

    def close(self, run: PipelineRun) -> None:
        """Forgets a run that is over."""
        self.settled(run)
        self._sides.pop(run, None)
        if not (self._waiting or self._sides):
            self._all_over.set()

    def keep_side(self, run: PipelineRun) -> None:
        """Keeps a run for which nobody waits, or drops it where there are too many."""
        if run in self._sides:
            return
        self.settled(run)
        self._sides[run] = None
        if len(self._sides) > self.limits.most_side_runs:
            self.drop_side()

    def drop_side(self, key: str = "") -> bool:
        """Gives up the newest run for which nobody waits, of one version or of all; False for none.

        Not the run that makes room by this: it may be about to call a full batch.
        """
        of_key = (each for each in reversed(self._sides) if key in {"", each.served.key})
        run = next((each for each in of_key if not each.turning), None)
        if run is None:
            return False
        del self._sides[run]
        metrics.SIDE_DROPPED.inc()
        run.served.counts.side_dropped += 1
        run.drop()
        return True

    def _reclaim(self, key: str) -> bool:
        """Lets go of what no caller waits for, of one version or of all: a side branch, or else a batch."""
        return self.drop_side(key) or self.batches.drop(key)

    def _start_follower(self, root: RootRequest, pipeline: str, parcel: Parcel) -> None:
        served = self.plans.newest(pipeline)
        if served is not None:
            PipelineRun(self, served, root, None).begin(Asked(parcel), self.limits.seconds)

    def _start_batch(self, served: ServedPlan, event: BatchCompleted, origin: RequestOrigin) -> None:
        root = RootRequest(served.name, origin, self.plans.followers, self._start_follower)
        PipelineRun(self, served, root, None).begin(event, self.limits.seconds)
