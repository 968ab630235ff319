"""The data of one request: a board gives the data of each topic to the joins and pipelines that read it.

Called by `flow`, which decides; a board only carries, and remembers whose joins have changed.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from bailie.dataflow import endings
from bailie.dataflow.events import Absence, Effect, Follow, Record, SetTimer
from bailie.dataflow.joins import StepJoin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from bailie.dataflow.plan import PipelinePlan, StepGroup, Topic
    from bailie.dataflow.tensors import Parcel


class Board:
    """The open joins of one request, and the effects that have gathered in this turn."""

    def __init__(self, plan: PipelinePlan, watched: Iterable[Topic]) -> None:
        """Begins with a join for each step and for the output, and no data."""
        self._plan = plan
        self.joins = {name: StepJoin(step) for name, step in plan.steps.items()}
        """The steps that may still fire."""
        self.output = StepJoin(plan.output, "the output") if plan.output else None
        self.effects: list[Effect] = []
        self._changed: list[int] = []
        """A heap of the indices of groups whose joins have changed."""
        self._watched = set(watched)

    def arrive(self, topic: Topic, parcel: Parcel, *, last: bool) -> None:
        """Gives data to the readers of a topic. `last`: no more will come."""
        self.effects.append(Record(topic, parcel))
        for name in self._plan.readers.get(topic, ()):
            join = self.join(name)
            if join is not None:
                join.put(topic, parcel, last=last)
                self.mark(name)
        if self._watched:
            self._follow(topic, parcel)

    def close(self, topic: Topic, why: Absence | None) -> None:
        """Tells the readers of a topic that no more data will come; without a reason, data came before."""
        for name in self._plan.readers.get(topic, ()):
            join = self.join(name)
            if join is not None:
                join.close(topic, why)
                self.mark(name)
        self._follow(topic, why or Absence((endings.NOTHING_LEFT,)))

    def join(self, name: str) -> StepJoin | None:
        """Returns the open join of a step, or that of the output for the pipeline's name."""
        return self.output if name == self._plan.name else self.joins.get(name)

    def mark(self, name: str) -> None:
        """Notes that a step's group is to be advanced; the output is looked at in each turn."""
        if name != self._plan.name:
            heappush(self._changed, self._plan.group_of[name])

    def changed(self) -> Iterator[StepGroup]:
        """Yields the marked groups in the order of their data, also those that are marked meanwhile."""
        while self._changed:
            index = heappop(self._changed)
            if index not in self._changed[:1]:  # else it was marked twice
                yield self._plan.groups[index]

    def open_window(self, name: str, join: StepJoin) -> None:
        """Sets the timer of a join that has begun to wait."""
        if join.open_window():
            self.effects.append(SetTimer(name, join.timer, join.plan.window_ms))

    def take_back(self, topics: AbstractSet[Topic]) -> None:
        """Forgets the records of this turn in topics of steps that are not called after all."""
        if topics:
            self.effects = [
                each for each in self.effects if not (isinstance(each, Record) and each.topic in topics)
            ]

    def leave(self, going: AbstractSet[str], why: Absence) -> None:
        """Lets go of all data but that of the steps that go on, to whom the rest is absent."""
        self.output = None
        self.joins = {name: join for name, join in self.joins.items() if name in going}
        for topics in (self._plan.inputs, self._plan.outputs):
            for owner, topic in topics.items():
                if owner not in going:
                    self.close(topic, why)

    def clear(self, why: Absence) -> None:
        """Lets go of all data; topics that pipelines behind still wait for are absent."""
        for topic in sorted(self._watched):
            self._follow(topic, why)
        self.output = None
        self.joins.clear()
        self._changed.clear()

    def _follow(self, topic: Topic, data: Parcel | Absence) -> None:
        if topic in self._watched:
            self._watched.remove(topic)
            self.effects.append(Follow(topic, data))
