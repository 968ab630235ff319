"""A join at work for one request: queues of data, and the decision to fire, to skip or to wait.

Each source of a step is at any moment in one of three states::

    pending ──► present(tensors) ──► taken by the step
       └──────► absent(why)

Absent is final: the owner was skipped, has failed beside the answer, or gave none of the wanted tensors.
Made by `board` and by `followers`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from bailie.dataflow.endings import shortened
from bailie.dataflow.events import Absence
from bailie.dataflow.tensors import Parcel, join, select

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bailie.api.pipeline import Join
    from bailie.dataflow.plan import Source, StepPlan, Topic


_MOST_CAUSES = 20
_CAME = Absence(())
"""Of a source whose data has come: no more follows."""


class JoinState(Enum):
    """The decision about a join."""

    FIRE = "fire"
    SKIP = "skip"
    WAIT = "wait"


_FIRE, _SKIP, _WAIT = JoinState.FIRE, JoinState.SKIP, JoinState.WAIT


class SourceQueue:
    """The data of one source that its step has not taken yet. More than one parcel comes only from cycles."""

    __slots__ = ("absence", "came", "parcels", "source")

    def __init__(self, source: Source) -> None:
        """Begins pending."""
        self.source = source
        self.parcels: list[Parcel] = []
        self.absence: Absence | None = None
        self.came = False
        """Whether any data has come."""

    @property
    def pending(self) -> bool:
        """Whether data may come and none is there."""
        return not self.parcels and self.absence is None


def decide(kind: Join, queues: Sequence[SourceQueue], ended: bool) -> JoinState:
    """Returns whether a join fires: inner with all sources, outer with all that come, any with the first.

    `ended`: nothing is waited for any more, because the window has ended.
    """
    present = pending = False
    for queue in queues:
        if queue.parcels:
            present = True
        elif queue.absence is None and not ended:
            pending = True
        elif kind == "inner":
            return _SKIP
    if pending and not (kind == "any" and present):
        return _WAIT
    return _FIRE if present or kind == "inner" else _SKIP


class StepJoin:
    """The data and triggers of one step, of the output, or of the external inputs, for one request."""

    __slots__ = ("_missed", "_reader", "_windows", "data", "ended", "plan", "queues", "timer", "triggers")

    def __init__(self, plan: StepPlan, reader: str = "") -> None:
        """Begins with nothing present. `reader` names the join in sentences, in place of the step's name."""
        self.plan = plan
        self._reader = reader
        self.queues = [SourceQueue(source) for source in plan.sources]
        own = len(plan.data.sources)
        self.data, self.triggers = self.queues[:own], self.queues[own:]
        self.ended = False
        """Whether the window has ended."""
        self.timer = 0
        """The number of the window that is open; 0 for none."""
        self._windows = 0
        self._missed: list[Absence] = []
        """Why earlier windows have ended in vain."""

    @property
    def reader(self) -> str:
        """The step or output in a sentence."""
        return self._reader or f'"{self.plan.name}"'

    def put(self, topic: Topic, parcel: Parcel, *, last: bool) -> None:
        """Adds to each queue the tensors that its source takes from a topic's data.

        `last`: no more data will come from the topic.
        """
        for place in self.plan.places[topic]:
            queue = self.queues[place]
            if (chosen := select(parcel, queue.source)) is not None:
                queue.parcels.append(chosen)
                queue.came = True
        if last:
            self.close(topic, None)

    def close(self, topic: Topic, why: Absence | None) -> None:
        """Says that no more data will come from a topic; without a reason, it came without wanted tensors."""
        for place in self.plan.places[topic]:
            queue = self.queues[place]
            if queue.absence is None:
                queue.absence = why or (_CAME if queue.came else Absence((self._none_of(queue.source),)))

    def state(self, *, ended: bool = False) -> JoinState:
        """Returns whether the step fires: its data and its triggers, both by their own kind of join."""
        over = ended or self.ended
        data = decide(self.plan.data.kind, self.data, over)
        if data is _SKIP or not self.triggers:
            return data
        triggers = decide(self.plan.triggers.kind, self.triggers, over)
        return data if triggers is _FIRE else triggers

    def take(self) -> Parcel:
        """Takes the first parcel of each queue that has one, ends the window, and returns the joined data."""
        return join(self.drop())

    def drop(self) -> list[Parcel]:
        """Drops the first parcel of each queue that has one, and the window; returns those of the data."""
        self.ended, self.timer = False, 0
        for queue in self.triggers:
            if queue.parcels:
                queue.parcels.pop(0)
        return [queue.parcels.pop(0) for queue in self.data if queue.parcels]

    def miss(self) -> None:
        """Drops the data that a window has ended for, and keeps the reason."""
        self._missed = [self.why()]
        self.drop()

    def open_window(self) -> bool:
        """Opens a window if a source is present that waits for another one, and no window is open."""
        if self.timer or not self._waits():
            return False
        self._windows += 1
        self.timer = self._windows
        return True

    def pending(self) -> Iterator[SourceQueue]:
        """Yields the queues whose data may still come."""
        return (queue for queue in self.queues if queue.pending)

    def why(self) -> Absence:
        """Returns why the join is skipped: the causes of all absent sources, late ones included."""
        absent = (queue.absence for queue in self.queues if queue.absence and not queue.came)
        found = [*self._missed, *absent]
        if self.ended:
            found += [self._late(queue.source) for queue in self.pending()]
        return merged(found)

    def _waits(self) -> bool:
        """Says whether one source is present and another one pending."""
        present = pending = False
        for queue in self.queues:
            if queue.parcels:
                present = True
            elif queue.absence is None:
                pending = True
        return present and pending

    def _none_of(self, source: Source) -> str:
        tensors = f"none of {shortened(source.tensors, ', ')}" if source.tensors else "no tensor"
        return f"{self.reader} got {tensors} from {_named(source.topic)}"

    def _late(self, source: Source) -> Absence:
        words = f"{self.reader} waited {self.plan.window_ms} ms for {_named(source.topic)}"
        return Absence((words,), late=True)


def merged(absences: Iterable[Absence]) -> Absence:
    """Returns the causes of several absences, each once; the first ones, for a graph may have thousands."""
    absences = list(absences)
    causes = dict.fromkeys(cause for each in absences for cause in each.causes)
    return Absence(tuple(causes)[:_MOST_CAUSES], any(each.late for each in absences))


def _named(topic: Topic) -> str:
    if topic.owner == topic.pipeline:
        return "the request" if topic.side == "inputs" else f'the pipeline "{topic.pipeline}"'
    return f'"{topic.owner}"' if topic.side == "outputs" else f'the inputs of "{topic.owner}"'
