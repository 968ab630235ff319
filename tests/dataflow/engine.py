"""A stand-in for the engines of pipelines: a clock of its own, and models that behave as a table says.

The tables in `cases/` are data, so that other engines can run them against real models. The payload of a
tensor is its origin: `request.x` for the caller's, `a.y` for the first call of step `a`, `a.y#2` for the
second.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count

from msgspec import structs

from bailie.api.metadata import ObjectMeta
from bailie.api.pipeline import Pipeline, PipelineSpec
from bailie.dataflow import Course, CourseRoom, Flow, Parcel, Passage, TensorHandle
from bailie.dataflow.batches import BatchStore
from bailie.dataflow.compilation import compile_pipeline
from bailie.dataflow.events import (
    Asked,
    BatchCompleted,
    Call,
    CallerLeft,
    CancelCall,
    Collect,
    Fail,
    FailCode,
    Follow,
    GoOn,
    Record,
    RecordFailure,
    Reply,
    SetTimer,
    StepAnswered,
    StepFailed,
    TimeOut,
    WindowEnded,
)
from bailie.dataflow.tracing import FlowTrace

FAILURES = {"error": FailCode.STEP_ERROR, "unreachable": FailCode.UNREACHABLE, "slow": FailCode.TOO_SLOW}
TIME_OUT_MS = 100_000


def compiled(spec, name="p"):
    """Returns the result for a manifest, also for one that `Pipeline.parse` would refuse."""
    return compile_pipeline(
        Pipeline(
            api_version="mlops.seldon.io/v1alpha1",
            kind="Pipeline",
            metadata=ObjectMeta(name=name, namespace="ns"),
            spec=PipelineSpec.model_validate(spec),
        )
    )


def plan_of(spec, name="p"):
    result = compiled(spec, name)
    assert result.plan is not None, result.errors
    return result.plan


def parcel(origin, names, rows=1):
    return Parcel(tuple(TensorHandle(name, "FP32", (rows, 1), f"{origin}.{name}") for name in names))


def written(found):
    """Returns a parcel's tensors as the tables write them: `a.x`, or `a.x as y` under another name."""

    def one(tensor):
        if isinstance(tensor.payload, tuple):
            return "+".join(one(structs.replace(tensor, payload=part)) for part in tensor.payload)
        own = str(tensor.payload).partition(".")[2].partition("#")[0]
        return f"{tensor.payload}" if own == tensor.name else f"{tensor.payload} as {tensor.name}"

    return [one(tensor) for tensor in found.tensors]


def visit_of(model, visit):
    """Returns how a model behaves at a visit; of a list of behaviours, the last is for all further visits."""
    if isinstance(model, list) and model and not isinstance(model[0], str):
        model = model[min(visit, len(model)) - 1]
    return model if isinstance(model, dict) else {"gives": model}


class FlowAndPassage(Flow):
    """A flow, and beside it a passage along the usual course, which must have its effects at each turn."""

    def __init__(self, plan, watched, course):
        super().__init__(plan, watched)
        self.passage = None if watched else Passage(course)
        self.unrecorded = None if watched else Passage(course, recorded=False)

    def event(self, *events):
        effects = super().event(*events)
        if self.passage is not None:
            assert self.passage.event(*events) == effects
            assert deeds(self.unrecorded.event(*events)) == deeds(effects)
            assert self.passage.over == self.unrecorded.over == self.over
        return effects


def deeds(effects):
    return [each for each in effects if not isinstance(each, Record)]


@dataclass
class Trace:
    """All that happened to one request."""

    calls: dict = field(default_factory=dict)
    answers: list = field(default_factory=list)
    fails: list = field(default_factory=list)
    failures: dict = field(default_factory=dict)
    cancelled: list = field(default_factory=list)
    follows: dict = field(default_factory=dict)
    batched: list = field(default_factory=list)
    shared: list = field(default_factory=list)
    open: set = field(default_factory=set)
    ended_ms: int | None = None
    over_ms: int | None = None
    events: int = 0
    flow: Flow | None = None
    traced: FlowTrace = field(default_factory=lambda: FlowTrace(lambda found: len(found.tensors)))


class Engine:
    """Runs requests, one after another, with behaviours of models; batches are kept from one to the next."""

    def __init__(self, plan, models=None, watched=()):
        self.plan = plan
        self.models = models or {}
        self.watched = watched
        self.course = Course(plan, CourseRoom())
        self.batches = {
            step.name: BatchStore(step.batch_rows) for step in plan.steps.values() if step.batch_rows
        }

    def run(self, request, *, rows=1, leaves_ms=None, time_out_ms=TIME_OUT_MS, first=None):
        self.trace, self.now, self.order, self.queue = Trace(), 0, count(), []
        self.trace.flow = flow = FlowAndPassage(self.plan, self.watched, self.course)
        self._at(0, first or Asked(parcel("request", request, rows)))
        self._at(time_out_ms, TimeOut())
        if leaves_ms is not None:
            self._at(leaves_ms, CallerLeft())
        while self.queue and not flow.over:
            self.now = self.queue[0][0]
            events = []
            while self.queue and self.queue[0][0] == self.now:
                events.append(heapq.heappop(self.queue)[2])
            self.trace.open -= {(e.step, e.visit) for e in events if isinstance(e, StepAnswered | StepFailed)}
            self.trace.events += 1
            effects = flow.event(*events)
            self.trace.traced.turn(self.now / 1000, events, effects)
            self._carry_out(effects)
        if flow.over:
            self.trace.over_ms = self.now
        return self.trace

    def _at(self, moment, event):
        heapq.heappush(self.queue, (moment, next(self.order), event))

    def _carry_out(self, effects):
        for effect in effects:
            match effect:
                case Call():
                    self._call(effect)
                case Collect(step, visit, found):
                    self._collect(step, visit, found)
                case CancelCall(step, visit):
                    self.trace.open.discard((step, visit))  # its answer may have come in the same turn
                    self.trace.cancelled.append(step)
                case Reply(found):
                    self.trace.answers.append(written(found))
                    self.trace.ended_ms = self.now
                case Fail():
                    self.trace.fails.append(effect)
                    self.trace.ended_ms = self.now
                case RecordFailure(step, words):
                    self.trace.failures[step] = words
                case SetTimer() | GoOn():
                    self._set_timer(effect)
                case Follow(topic, data):
                    assert topic not in self.trace.follows
                    self.trace.follows[topic] = (self.now, data)

    def _set_timer(self, effect):
        if isinstance(effect, SetTimer):
            self._at(self.now + effect.milliseconds, WindowEnded(effect.join, effect.number))
            return
        self.queue = [each for each in self.queue if not isinstance(each[2], TimeOut)]
        heapq.heapify(self.queue)
        self._at(self.now + TIME_OUT_MS, TimeOut())

    def _call(self, call):
        self.trace.calls.setdefault(call.step, []).append(written(call.parcel))
        self.trace.open.add((call.step, call.visit))
        model = visit_of(self.models.get(call.step, ["o"]), call.visit)
        moment = self.now + model.get("ms", 1)
        for kind, code in FAILURES.items():
            if kind in model:
                self._at(moment, StepFailed(call.step, call.visit, code, model[kind]))
                return
        if "gives" in model:
            again = f"#{call.visit}" if call.visit > 1 else ""
            tensors = (TensorHandle(n, "FP32", (1, 1), f"{call.step}.{n}{again}") for n in model["gives"])
            self._at(moment, StepAnswered(call.step, call.visit, Parcel(tuple(tensors))))

    def _collect(self, step, visit, found):
        event = self.batches[step].add(step, visit, found).event
        self.trace.batched += [] if isinstance(event, BatchCompleted) else [step]
        self.trace.shared += [step] if isinstance(event, BatchCompleted) and event.shared else []
        self._at(self.now, event)
