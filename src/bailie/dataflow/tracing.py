"""The trace of one request: the calls of its steps with times and bytes, and whether data came on each edge.

An engine gives it the events and effects of a `Flow`, turn by turn. A trace keeps names and sizes and no
data, and is bounded, for a request may come round a cycle for ever. Its values are structs of msgspec, of
which an engine makes bytes: a trace that is over is rarely read, and takes a fifth of the memory as bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from bailie.api.texts import shown
from bailie.dataflow import endings
from bailie.dataflow.events import (
    BatchTook,
    Call,
    CallerLeft,
    CancelCall,
    Fail,
    Record,
    RecordFailure,
    Reply,
    Skipped,
    StepAnswered,
    StepFailed,
)
from bailie.dataflow.plan import Topic  # noqa: TC001 - msgspec reads it

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bailie.dataflow.events import Effect, Event
    from bailie.dataflow.plan import PipelinePlan, Source, StepPlan
    from bailie.dataflow.tensors import Parcel

_MOST_CALLS = 500
_MOST_ARRIVALS = 1_500
_MOST_NAME_BYTES = 256 << 10
"""Of all names of one trace together; a pipeline's tensors are few."""
_LONGEST_WORDS = 500
_OUTCOMES = {"": "not answered yet", "cancelled": "given up", "answered": "no tensor came"}
_NAME_BYTES = 60


class TracedCall(Struct, array_like=True):
    """A call of a step. Times are seconds since the request came; `outcome` is empty while the call runs."""

    step: str
    visit: int
    begun: float
    sent: int
    ended: float | None = None
    received: int = 0
    outcome: str = ""
    words: str = ""

    def data(self) -> dict[str, Any]:
        """Returns the call as JSON data, times in milliseconds."""
        found: dict[str, Any] = {"visit": self.visit, "begun_ms": _ms(self.begun), "sent_bytes": self.sent}
        if self.ended is not None:
            found |= {"ms": _ms(self.ended - self.begun), "outcome": self.outcome}
        if self.outcome == "answered":
            found["received_bytes"] = self.received
        return found | ({"words": self.words} if self.words else {})


class TracedArrival(Struct, array_like=True, frozen=True):
    """Data that came to a topic: the moment, the names of its tensors, and bytes.

    `whole`: whether the names were kept.
    """

    seconds: float
    names: tuple[str, ...]
    size: int
    whole: bool = True


class TracedEnding(Struct, array_like=True, frozen=True):
    """The end of a request for its caller: `code` is `answered`, `cancelled`, or a FailCode's name."""

    seconds: float
    code: str
    words: str = ""
    step: str = ""


class TracedFlow(Struct, array_like=True):
    """One flow as its trace tells of it."""

    calls: dict[tuple[str, int], TracedCall] = {}
    arrivals: dict[Topic, list[TracedArrival]] = {}
    skipped: dict[str, str] = {}
    """Why a step was not called."""
    lost: dict[str, str] = {}
    """Why a step that was called gives the request no data."""
    ending: TracedEnding | None = None

    def data(self, plan: PipelinePlan) -> dict[str, Any]:
        """Returns the trace as JSON data, times in milliseconds: ending, steps, and edges."""
        found: dict[str, Any] = {"ending": "running"}
        if self.ending is not None:
            found = {"ending": self.ending.code, "ms": _ms(self.ending.seconds)}
            found |= {"words": self.ending.words} if self.ending.words else {}
            found |= {"step": self.ending.step} if self.ending.step else {}
        calls: dict[str, list[TracedCall]] = {name: [] for name in plan.steps}
        for call in self.calls.values():
            calls[call.step].append(call)
        found["steps"] = [{"step": name, **self._step(name, made)} for name, made in calls.items()]
        readers = [(name, step) for name, step in plan.steps.items()]
        readers += [(plan.name, plan.output)] if plan.output else []
        found["edges"] = [edge for name, step in readers for edge in self._edges(plan, name, step)]
        return found

    def _step(self, name: str, made: list[TracedCall]) -> dict[str, Any]:
        if made:
            last = made[-1]
            return {"state": last.outcome or "running", "calls": [call.data() for call in made]}
        if name in self.skipped:
            return {"state": "skipped", "why": self.skipped[name]}
        if name in self.lost:
            return {"state": "batched", "why": self.lost[name]}
        return {"state": "not reached"}

    def _edges(self, plan: PipelinePlan, reader: str, step: StepPlan) -> Iterator[dict[str, Any]]:
        for joined, trigger in ((step.data, False), (step.triggers, True)):
            for source in joined.sources:
                yield {
                    "from": f"{source.topic.owner}.{source.topic.side}",
                    "to": reader,
                    "wanted": [*source.tensors],
                    "trigger": trigger,
                    **self._presence(plan, reader, source),
                }

    def _presence(self, plan: PipelinePlan, reader: str, source: Source) -> dict[str, Any]:
        arrived = self.arrivals.get(source.topic, [])
        came = list(dict.fromkeys(name for each in arrived for name in each.names))
        got = [name for name in came if not source.tensors or name in source.tensors]
        if not got and all(each.whole for each in arrived):
            return {"present": False, "why": self._absence(plan, source, came)}
        found: dict[str, Any] = {"present": True, "tensors": got, "ms": _ms(arrived[0].seconds)}
        if not source.tensors:
            found["bytes"] = sum(each.size for each in arrived)
        if self._was_over(plan, reader, arrived[0].seconds):
            found["why"] = "it came after the join had ended"
        return found

    def _was_over(self, plan: PipelinePlan, reader: str, seconds: float) -> bool:
        if reader == plan.name:
            return self.ending is not None and seconds > self.ending.seconds
        call = self.calls.get((reader, 1))
        return call is not None and seconds > call.begun

    def _absence(self, plan: PipelinePlan, source: Source, came: list[str]) -> str:
        """Returns why none of a source's tensors was there."""
        owner = source.topic.owner
        if came:
            return f"none of {', '.join(source.tensors)} came, only {endings.shortened(came, ', ')}"
        if source.topic in self.arrivals:
            return "no tensor came"
        if owner in self.skipped:
            return "skipped"
        if owner in self.lost:
            return self.lost[owner]
        calls = [call for (step, _), call in self.calls.items() if step == owner]
        if calls:
            return _OUTCOMES.get(calls[-1].outcome, "failed")
        return "no request" if owner == plan.name else "not reached"


@dataclass(slots=True)
class FlowTrace:
    """The trace of one flow. `size` returns the bytes of a parcel's data."""

    size: Callable[[Parcel], int]
    told: TracedFlow = field(default_factory=TracedFlow)
    _arrived: int = 0
    _name_bytes: int = 0

    def turn(self, seconds: float, events: Iterable[Event], effects: Iterable[Effect]) -> None:
        """Notes the events that a flow took in one turn, and their effects."""
        for event in events:
            self._take(seconds, event)
        for effect in effects:
            self._note(seconds, effect)

    def _take(self, seconds: float, event: Event) -> None:
        match event:
            case StepAnswered(step, visit, parcel):
                self._end(step, visit, seconds, "answered", size=self.size(parcel))
            case StepFailed(step, visit, code, words):
                self._end(step, visit, seconds, code.name.lower(), words=words)
            case BatchTook(step):
                self.told.lost[step] = endings.batched(step)
            case CallerLeft() if self.told.ending is None:
                self.told.ending = TracedEnding(seconds, "cancelled", endings.CALLER_LEFT)
            case _:
                pass

    def _note(self, seconds: float, effect: Effect) -> None:
        told = self.told
        match effect:
            case Record(topic, parcel):
                self._arrive(seconds, topic, parcel)
            case Call(step, visit, parcel) if len(told.calls) < _MOST_CALLS:
                told.calls[step, visit] = TracedCall(step, visit, seconds, self.size(parcel))
            case CancelCall(step, visit):
                self._end(step, visit, seconds, "cancelled")
            case Skipped(step, why):
                told.skipped[step] = shown(endings.shortened(why.causes, "; "), _LONGEST_WORDS)
            case RecordFailure(step, words):
                told.lost[step] = shown(f"it failed: {words}", _LONGEST_WORDS)
            case Reply() if told.ending is None:
                told.ending = TracedEnding(seconds, "answered")
            case Fail(code, words, step) if told.ending is None:
                told.ending = TracedEnding(seconds, code.name.lower(), shown(words, 4 * _LONGEST_WORDS), step)
            case _:
                pass

    def _end(
        self, step: str, visit: int, seconds: float, outcome: str, *, size: int = 0, words: str = ""
    ) -> None:
        call = self.told.calls.get((step, visit))
        if call is not None and call.ended is None:
            call.ended, call.outcome, call.received = seconds, outcome, size
            call.words = shown(words, _LONGEST_WORDS)

    def _arrive(self, seconds: float, topic: Topic, parcel: Parcel) -> None:
        if self._arrived >= _MOST_ARRIVALS:
            return
        self._arrived += 1
        names = tuple(tensor.name for tensor in parcel.tensors)
        size = sum(len(name) + _NAME_BYTES for name in names)
        if self._name_bytes + size > _MOST_NAME_BYTES:
            names, size = (), 0
        self._name_bytes += size
        whole = len(names) == len(parcel.tensors)
        arrived = TracedArrival(seconds, names, self.size(parcel), whole)
        self.told.arrivals.setdefault(topic, []).append(arrived)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
