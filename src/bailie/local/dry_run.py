"""A pipeline's request on this machine alone: the flow of a gateway, with stubs in place of its models.

Called by `cli.pipeline_runs`. The same `bailie.dataflow` that gateways run decides what a manifest means. A
step is answered by its stub, by the namespace's own model, or by its inputs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from bailie.dataflow import Flow
from bailie.dataflow.batches import BatchStore
from bailie.dataflow.events import (
    Asked,
    BatchCompleted,
    Call,
    CancelCall,
    Collect,
    Fail,
    FailCode,
    RecordFailure,
    Reply,
    SetTimer,
    StepAnswered,
    StepFailed,
    TimeOut,
    WindowEnded,
)
from bailie.dataflow.tracing import FlowTrace
from bailie.inference.client import ServerUnreachable
from bailie.local.errors import LocalError
from bailie.pipelinegateway.json_bodies import (
    MalformedBody,
    data_size,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
    stacked,
)
from bailie.pipelinegateway.step_answers import StepResponse, event_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bailie.dataflow import Parcel, PipelinePlan
    from bailie.dataflow.events import Effect, Event
    from bailie.inference.client import RestClient

_SECONDS = 60.0
"""For one request, as in a gateway."""


class StepModel(Protocol):
    """Answers a call of one step."""

    async def answer(self, call: Call) -> StepAnswered | StepFailed:
        """Returns the event of a call's answer."""
        ...


class Echo:
    """Answers with the tensors of the request."""

    async def answer(self, call: Call) -> StepAnswered | StepFailed:
        """Returns the inputs as outputs."""
        return StepAnswered(call.step, call.visit, call.parcel)


@dataclass(frozen=True, slots=True)
class Stub:
    """Answers with given bodies, one for each visit, the last one for all further visits.

    A body is an inference response, or has `error` where the model fails.
    """

    bodies: Sequence[Mapping[str, Any]]

    async def answer(self, call: Call) -> StepAnswered | StepFailed:
        """Returns the answer of a visit."""
        body = self.bodies[min(call.visit, len(self.bodies)) - 1]
        return event_of(call, StepResponse(400 if "error" in body else 200, msgspec.json.encode(body)))


@dataclass(frozen=True, slots=True)
class NamespaceModel:
    """Answers by the running Model of the namespace."""

    client: RestClient

    async def answer(self, call: Call) -> StepAnswered | StepFailed:
        """Returns the answer of the Model."""
        body = msgspec.json.decode(encode_request(call.parcel).content)
        try:
            found = await self.client.infer(call.step, body, {})
        except ServerUnreachable as error:
            return StepFailed(call.step, call.visit, FailCode.UNREACHABLE, f"was not reached: {error}")
        content = found.body if isinstance(found.body, str) else msgspec.json.encode(found.body)
        content = content.encode() if isinstance(content, str) else content
        return event_of(call, StepResponse(int(found.status), content))


@dataclass(slots=True)
class DryRun:
    """The end of a run: the answer, or why there is none; `side_failures`: words by step."""

    trace: FlowTrace
    answer: dict[str, Any] | None = None
    fail: Fail | None = None
    side_failures: dict[str, str] = field(default_factory=dict)


def stub_of(step: str, text: str | bytes) -> Stub:
    """Returns the stub of a step from JSON: one answer, or a list of them. Raises LocalError."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LocalError(f"the stub of step {step} is not JSON: {error}") from None
    bodies = found if isinstance(found, list) else [found]
    for body in bodies:
        if not isinstance(body, dict):
            raise LocalError(f"the stub of step {step} is no answer: an object with `outputs` or `error`")
        if "error" in body:
            continue
        try:
            decode_answer(msgspec.json.encode(body))
        except MalformedBody as error:
            hint = 'for example {"outputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}'
            raise LocalError(f"the stub of step {step} is no answer: {error}", hint=hint) from None
    if not bodies:
        raise LocalError(f"the stub of step {step} has no answer in its list")
    return Stub(tuple(bodies))


def request_of(body: Mapping[str, Any]) -> Parcel:
    """Returns the tensors of a request. Raises LocalError."""
    try:
        return decode_request(msgspec.json.encode(body))
    except MalformedBody as error:
        raise LocalError(f"the input is no inference request: {error}") from None


async def dry_run(plan: PipelinePlan, request: Parcel, models: Mapping[str, StepModel]) -> DryRun:
    """Runs one request to its end, side branches included. `models`: one for each step."""
    async with asyncio.TaskGroup() as group:
        run = _Run(plan, models, group)
        return await run.go(request)


class _Run:
    def __init__(self, plan: PipelinePlan, models: Mapping[str, StepModel], group: asyncio.TaskGroup) -> None:
        self._flow, self._models, self._group = Flow(plan), models, group
        self._found = DryRun(FlowTrace(lambda parcel: sum(map(data_size, parcel.tensors))))
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._calls: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._timers: list[asyncio.TimerHandle] = []
        self._batches = {
            name: BatchStore(step.batch_rows) for name, step in plan.steps.items() if step.batch_rows
        }
        self._loop = asyncio.get_running_loop()

    async def go(self, request: Parcel) -> DryRun:
        """Runs the request."""
        begun = self._loop.time()
        self._later(_SECONDS, TimeOut())
        self._events.put_nowait(Asked(request))
        while not self._flow.over:
            events = [await self._events.get()]
            while not self._events.empty():
                events.append(self._events.get_nowait())
            effects = self._flow.event(*events)
            self._found.trace.turn(self._loop.time() - begun, events, effects)
            self._carry_out(effects)
        for timer in self._timers:
            timer.cancel()
        for call in self._calls.values():
            call.cancel()
        return self._found

    def _later(self, seconds: float, event: Event) -> None:
        self._timers.append(self._loop.call_later(seconds, self._events.put_nowait, event))

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Call(step, visit):
                    self._calls[step, visit] = self._group.create_task(self._call(effect))
                case CancelCall(step, visit):
                    self._calls[step, visit].cancel()
                case Collect(step, visit, parcel):
                    self._events.put_nowait(_put_together(self._batches[step].add(step, visit, parcel).event))
                case SetTimer(join, number, milliseconds):
                    self._later(milliseconds / 1000, WindowEnded(join, number))
                case Reply(parcel):
                    self._found.answer = msgspec.json.decode(encode_answer(parcel).content)
                case Fail():
                    self._found.fail = effect
                case RecordFailure(step, words):
                    self._found.side_failures[step] = words
                case _:
                    pass

    async def _call(self, call: Call) -> None:
        self._events.put_nowait(await self._models[call.step].answer(call))


def _put_together(event: Event) -> Event:
    """Returns the event of a full batch with its tensors as a step takes them."""
    if not isinstance(event, BatchCompleted):
        return event
    tensors = tuple(stacked(tensor) for tensor in event.parcel.tensors)
    return BatchCompleted(event.step, event.visit, msgspec.structs.replace(event.parcel, tensors=tensors))
