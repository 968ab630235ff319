"""One request of a caller, shared by its runs: its headers, its bytes, and the pipelines that follow it.

Made by `engine`, used by `pipeline_run` and `batches`. The bytes are given back when the last of its runs is
over.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from bailie.dataflow import Followers
from bailie.dataflow.events import Begin, Follow, SetTimer, WindowEnded

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.dataflow import FollowerIndex, Parcel, Topic
    from bailie.pipelinegateway.budget import Reservation
    from bailie.pipelinegateway.dialect import Dialect
    from bailie.pipelinegateway.plans import ServedPlan
    from bailie.tracing.context import SpanContext

    StartFollower = Callable[["RootRequest", str, Parcel], None]
    """Begins a run of the newest version of a pipeline, for which nobody waits."""


class RecordSink(Protocol):
    """Hears of the data and failures of one root request: of its pipeline, and of those that follow it.

    The payloads of parcels are those of the request's dialect. No method may wait or raise.
    """

    def data(self, served: ServedPlan, topic: Topic, parcel: Parcel) -> None:
        """Takes the data that came to a topic, the request's own among them."""
        ...

    def failure(self, served: ServedPlan, step: str, words: str, *, ends: bool) -> None:
        """Takes the words of a failure; `step` is empty where it is none alone.

        `ends`: the run has no answer for it. Else the step is a side branch.
        """
        ...

    def over(self) -> None:
        """Notes that nothing more comes: the last run of the request is over."""
        ...


class RequestOrigin(Struct, frozen=True):
    """The headers of a request that each step gets, the request's bytes, and how its tensors are written.

    `sink` is None where nobody records the request.
    """

    to_steps: bytes
    held: Reservation
    dialect: Dialect
    sink: RecordSink | None = None
    place: SpanContext | None = None
    """The span of the request, whose children its steps are; None where the request is not traced."""


class RootRequest:
    """One request of a caller, or a batch whose window has ended."""

    def __init__(
        self, pipeline: str, origin: RequestOrigin, index: FollowerIndex, start: StartFollower
    ) -> None:
        """Begins without a run. `index`: the followers as they are now; `start` begins one."""
        self.to_steps, self.held, self.dialect = origin.to_steps, origin.held, origin.dialect
        self.sink, self.place = origin.sink, origin.place
        self._index, self._start = index, start
        self._followers = Followers(index, pipeline) if index.behind(pipeline) else None
        self._timers: list[asyncio.TimerHandle] = []
        self._runs = 0

    def watched(self, pipeline: str) -> frozenset[Topic]:
        """Returns the topics of a pipeline that the runs of this request are to hand on."""
        return self._index.watched(pipeline) if self._followers else frozenset()

    def begin(self) -> None:
        """Counts a run in."""
        self._runs += 1

    def end(self) -> None:
        """Counts a run out; the last one gives the bytes back."""
        self._runs -= 1
        if not self._runs:
            self.held.release()
            for timer in self._timers:
                timer.cancel()
            if self.sink is not None:
                self.sink.over()

    def follow(self, event: Follow | WindowEnded) -> None:
        """Gives data of a run to the pipelines that follow."""
        if self._followers is None:
            return
        for effect in self._followers.event(event):
            match effect:
                case Begin(pipeline, parcel):
                    self._start(self, pipeline, parcel)
                case SetTimer(join, number, milliseconds):
                    loop = asyncio.get_running_loop()
                    ended = WindowEnded(join, number)
                    self._timers.append(loop.call_later(milliseconds / 1000, self.follow, ended))
