"""One run of a pipeline: a `Flow` with a clock and calls, from its first event until nothing more happens.

Begun by `engine`. Everything happens in callbacks of the event loop: no task for each request.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import msgspec
import structlog

from bailie.dataflow import Flow, Parcel, Passage
from bailie.dataflow.events import (
    Call,
    CallerLeft,
    CancelCall,
    Collect,
    Fail,
    FailCode,
    Follow,
    GoOn,
    NoRoom,
    Record,
    RecordFailure,
    Reply,
    SetTimer,
    Skipped,
    StepFailed,
    TimeOut,
    WindowEnded,
)
from bailie.pipelinegateway import metrics
from bailie.pipelinegateway.json_bodies import EncodedBody, MalformedBody

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from bailie.dataflow.events import Effect, Event, StepAnswered
    from bailie.pipelinegateway.batches import Batches
    from bailie.pipelinegateway.deadlines import Deadlines
    from bailie.pipelinegateway.plans import ServedPlan
    from bailie.pipelinegateway.root_request import RootRequest
    from bailie.pipelinegateway.spans import PipelineSpans
    from bailie.pipelinegateway.step_client import PendingCall, StepClient
    from bailie.pipelinegateway.traces import TraceRing
    from bailie.tracing.spans import Span

log = structlog.get_logger(__name__)

_SHARED_BYTES = 16 << 10
"""Of a body that is kept for the next step: longer ones would take memory that nobody counts."""
_NOTHING_SHARED = Parcel(()), EncodedBody(b"")
_QUIET_SECONDS = 1.0
"""How long failures of a side branch are only counted after one was logged: each request may have one."""


class RunEnding(msgspec.Struct, frozen=True):
    """The end of a request: the answer, or why there is none. Neither of both: a mistake of this program.

    `routes`: the `x-seldon-route` of each model passed; `status`: that of the model that failed, 0 for none.
    """

    answer: Parcel | None
    fail: Fail | None = None
    routes: tuple[bytes, ...] = ()
    status: int = 0
    timing: bytes = b""
    """The value of `server-timing` for a caller who has asked for it."""


class AllRuns(Protocol):
    """The part of the engine that a run needs."""

    loop: asyncio.AbstractEventLoop
    client: StepClient
    batches: Batches
    traces: TraceRing
    deadlines: Deadlines
    spans: PipelineSpans

    def keep_side(self, run: PipelineRun) -> None:
        """Keeps a run for which nobody waits, or drops it."""
        ...

    def settled(self, run: PipelineRun) -> None:
        """Notes that the caller of a run has its answer."""
        ...

    def close(self, run: PipelineRun) -> None:
        """Forgets a run that is over."""
        ...


class PipelineRun:
    """The run of one request through one version of a pipeline, side branches included."""

    def __init__(
        self, runs: AllRuns, served: ServedPlan, root: RootRequest, ended: Callable[[RunEnding], None] | None
    ) -> None:
        """Begins before the first event; `ended` is told the ending, None where nobody waits for it."""
        self.served, self._runs, self._root, self._ended = served, runs, root, ended
        self._loop = runs.loop
        self._timers: list[asyncio.TimerHandle] = []
        self._own_limit: asyncio.TimerHandle | None = None
        """The end of a run that has other than the usual time."""
        self._deadline = 0.0
        self._calls: dict[tuple[str, int], tuple[PendingCall, float]] = {}
        """Each with the moment when it began (`perf_counter`)."""
        self._spans: dict[tuple[str, int], Span] = {}
        """Of the calls under way, where the request is traced."""
        self._later: list[Call] = []
        """Of side branches, until those that the answer needs are on their way."""
        self._routes: dict[bytes, None] = {}
        self._statuses: dict[str, int] = {}
        self._events: list[Event] = []
        self._shared = _NOTHING_SHARED
        self._due = self._closed = False
        self.turning = False
        """Whether it carries out what follows from its events."""
        self.dropped = False
        self._trace = runs.traces.begin(served, root, perf_counter(), follower=ended is None)
        recorded = root.sink is not None or self._trace is not None
        watched = root.watched(served.name)
        self._flow = Flow(served.plan, watched) if watched else Passage(served.course, recorded=recorded)
        root.begin()

    @property
    def waiting(self) -> bool:
        """Whether a caller waits for the ending."""
        return self._ended is not None

    def begin(self, event: Event, seconds: float) -> None:
        """Takes the first event, and sets the deadline of the whole run."""
        deadlines = self._runs.deadlines
        if seconds == deadlines.seconds:
            self._deadline = deadlines.begin(self)
        else:
            self._deadline = self._loop.time() + seconds
            self._own_limit = self._loop.call_at(self._deadline, self.take, TimeOut())
        self._events.append(event)
        self._turn()

    def leave(self) -> None:
        """Ends a run whose caller has gone."""
        if self._ended is not None:
            self._ended = None
            metrics.ENDINGS.count("cancelled")
            self.take(CallerLeft())

    def drop(self) -> None:
        """Gives up a run that nobody waits for, and that is not `turning`."""
        self.dropped = True
        self._events.append(NoRoom())
        self._turn()

    def take(self, event: Event) -> None:
        """Takes an event; those of one turn of the event loop count together, where more may come."""
        self._events.append(event)
        if self._due or self.turning:
            return
        if self._calls:
            self._due = True
            self._loop.call_soon(self._turn)
        else:
            self._turn()

    def _turn(self) -> None:
        """Carries out what follows from the events, also from those that come meanwhile."""
        self._due = False
        if self._closed:
            return
        self.turning = True
        try:
            while self._events:
                events, self._events = self._events, []
                effects = self._flow.event(*events)
                if self._trace is not None:
                    self._trace.turn(perf_counter(), events, effects)
                self._carry_out(effects)
        except Exception:
            # The edge of a request: without this its caller would wait until the deadline.
            log.exception("run failed", pipeline=self.served.source.key)
            self._end(RunEnding(None))
            self._close()
            return
        finally:
            self.turning = False
        if self._flow.over:
            self._close()
        elif self._ended is None:
            self._runs.keep_side(self)

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Call():
                    self._call_in_turn(effect)
                case SetTimer():
                    self._set_timer(effect)
                case Reply(parcel):
                    self._end(RunEnding(parcel, routes=tuple(self._routes)))
                case Record(topic, parcel):
                    if self._root.sink is not None:
                        self._root.sink.data(self.served, topic, parcel)
                case Collect():
                    self.take(self._runs.batches.collect(effect, self.served, self._root))
                case CancelCall(step, visit):
                    self._cancel_call(step, visit)
                case _:
                    self._tell(effect)

    def _set_timer(self, timer: SetTimer) -> None:
        """Sets the timer of a window that ends before the run itself, as few do: the usual times are one."""
        seconds = timer.milliseconds / 1000
        if (
            seconds < self._runs.deadlines.seconds
            and (moment := self._loop.time() + seconds) < self._deadline
        ):
            event = WindowEnded(timer.join, timer.number)
            self._timers.append(self._loop.call_at(moment, self.take, event))

    def _tell(self, effect: Effect) -> None:
        """Carries out the effects that others hear of."""
        match effect:
            case Fail(words=words, step=step):
                if self._root.sink is not None:
                    self._root.sink.failure(self.served, step, words, ends=True)
                self._end(RunEnding(None, effect, status=self._statuses.get(effect.step, 0)))
            case RecordFailure(step, words):
                if self._root.sink is not None:
                    self._root.sink.failure(self.served, step, words, ends=False)
                self._record(step, words)
            case Skipped(step, why):
                self.served.steps[step].skip(late=why.late)
            case Follow():
                self._root.follow(effect)
            case GoOn():
                self._limit_anew()
            case _:
                pass

    def _limit_anew(self) -> None:
        self._runs.deadlines.forget(self)
        if self._own_limit is not None:
            self._own_limit.cancel()
        self._deadline = self._runs.deadlines.begin(self)

    def _call_in_turn(self, call: Call) -> None:
        if self._ended is None or self.served.course.plan.steps[call.step].required:
            self._call(call)
            return
        if not self._later:
            self._loop.call_soon(self._call_later)
        self._later.append(call)

    def _call_later(self) -> None:
        """Begins the calls of side branches, in a turn of the event loop behind those for the answer."""
        calls, self._later = self._later, []
        for call in calls:
            self._call(call)

    def _call(self, call: Call) -> None:
        key, root, begun = (call.step, call.visit), self._root, perf_counter()
        place = root.place
        span, line = (None, b"") if place is None else self._runs.spans.of_call(place, call.step, call.visit)
        try:
            body = self._body(call.parcel)
        except MalformedBody as error:
            self.take(StepFailed(call.step, call.visit, FailCode.STEP_ERROR, str(error)))
            return
        pending = root.dialect.infer(call, body, root.to_steps + line, (root.held, self._hear))
        if span is not None:
            self._spans[key] = span
        self._calls[key] = pending, begun
        self.served.steps[call.step].called += 1
        self._runs.client.call(pending)

    def _body(self, parcel: Parcel) -> EncodedBody:
        """Returns the body of a call: steps that get the same short data share one. Raises MalformedBody."""
        if parcel is self._shared[0]:
            return self._shared[1]
        body = self._root.dialect.encode_request(parcel)
        if len(body.content) <= _SHARED_BYTES:
            self._shared = parcel, body
        return body

    def _hear(self, event: StepAnswered | StepFailed, status: int, routes: tuple[bytes, ...]) -> None:
        """Takes the answer of a call."""
        key, counts = (event.step, event.visit), self.served.steps[event.step]
        _, begun = self._calls.pop(key)
        seconds = perf_counter() - begun
        for route in routes:
            self._routes[route] = None
        if self._spans:
            words = event.words if isinstance(event, StepFailed) else ""
            self._runs.spans.tracer.end(self._spans.pop(key, None), words)
        if isinstance(event, StepFailed):
            self._statuses[event.step] = status
            counts.fail(event.code, seconds)
        else:
            counts.answer(seconds)
        self.take(event)

    def _cancel_call(self, step: str, visit: int) -> None:
        """Ends a call, unless an answer of the same turn has taken it out."""
        self._later = [each for each in self._later if (each.step, each.visit) != (step, visit)]
        if called := self._calls.pop((step, visit), None):
            self._cancel((step, visit), called[0])

    def _cancel(self, key: tuple[str, int], pending: PendingCall) -> None:
        pending.cancel()
        self.served.steps[key[0]].cancelled += 1
        self._runs.spans.tracer.end(self._spans.pop(key, None), "cancelled")

    def _record(self, step: str, words: str) -> None:
        if self.dropped:
            return
        metrics.SIDE_FAILURES.inc()
        counts, now = self.served.steps[step], self._loop.time()
        if now < counts.quiet_until:
            return
        counts.quiet_until = now + _QUIET_SECONDS
        log.info("side branch failed", pipeline=self.served.source.key, step=step, cause=words)

    def _end(self, ending: RunEnding) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            if self._trace is not None and self._trace.asked:
                ending = msgspec.structs.replace(ending, timing=self._trace.timing(perf_counter()))
            name = ending.fail.code.name.lower() if ending.fail else "answered" if ending.answer else "bug"
            metrics.ENDINGS.count(name)
            self._runs.settled(self)
            ended(ending)

    def _close(self) -> None:
        """Lets go of everything; no callback comes after this."""
        if self._closed:
            return
        self._closed = True
        self._runs.deadlines.forget(self)
        for timer in self._timers:
            timer.cancel()
        if self._own_limit is not None:
            self._own_limit.cancel()
        for key, (pending, _) in self._calls.items():
            self._cancel(key, pending)
        self._calls.clear()
        self._later.clear()
        if self._trace is not None:
            self._runs.traces.end(self._trace)
        self._runs.close(self)
        self._root.end()
