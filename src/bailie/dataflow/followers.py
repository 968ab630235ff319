"""The pipelines that take their inputs from a request to another pipeline, and the joins of these inputs.

An engine keeps one `Followers` for each request of its own (the root), and gives it the `Follow` effects of
the root's flow and of the flows that it begins. All of them are one request, so that no data of two requests
is ever joined, and `cycles_between` has made sure that they end.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.dataflow import endings
from bailie.dataflow.events import Absence, Begin, Follow, SetTimer, WindowEnded
from bailie.dataflow.joins import JoinState, StepJoin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.dataflow.plan import PipelinePlan, Topic


class FollowerIndex:
    """The readers of each topic among a namespace's pipelines; made again when the plans change."""

    def __init__(self, plans: Mapping[str, PipelinePlan]) -> None:
        """Reads the external inputs and triggers of all pipelines of a namespace, by name."""
        self.externals = {name: plan.external for name, plan in plans.items() if plan.external is not None}
        self._readers: defaultdict[str, dict[Topic, list[str]]] = defaultdict(dict)
        for name, external in self.externals.items():
            for topic in external.topics:
                self._readers[topic.pipeline].setdefault(topic, []).append(name)

    def watched(self, pipeline: str) -> frozenset[Topic]:
        """Returns the topics of a pipeline that others read: its flows are to give `Follow` for these."""
        return frozenset(self._readers.get(pipeline, ()))

    def readers(self, topic: Topic) -> list[str]:
        """Returns the pipelines that read a watched topic."""
        return self._readers[topic.pipeline][topic]

    def behind(self, root: str) -> list[str]:
        """Returns the pipelines that take data of a request to `root`, straight or through others."""
        if root not in self._readers:
            return []
        found: dict[str, None] = {}
        todo = [root]
        while todo:
            for readers in self._readers.get(todo.pop(), {}).values():
                todo += [name for name in readers if name not in found]
                found.update(dict.fromkeys(readers))
        return list(found)


class Followers:
    """The pipelines behind one request that have not begun yet."""

    def __init__(self, index: FollowerIndex, root: str) -> None:
        """Begins before the request to the pipeline `root`."""
        self._index = index
        self._joins = {}
        taking_part = {root, *index.behind(root)}
        for name in index.behind(root):
            self._joins[name] = join = StepJoin(index.externals[name])
            for topic in join.plan.topics:
                if topic.pipeline not in taking_part:
                    join.close(topic, Absence((endings.no_part(topic.pipeline),)))

    @property
    def over(self) -> bool:
        """Whether every pipeline behind the request has begun or will not."""
        return not self._joins

    def event(self, *events: Follow | WindowEnded) -> list[Begin | SetTimer]:
        """Takes events that came together, and returns the pipelines that begin and the timers to set."""
        changed = dict[str, None]()
        for each in events:
            changed.update(dict.fromkeys(self._take(each)))
        effects: list[Begin | SetTimer] = []
        todo = list(changed)
        while todo:
            name = todo.pop()
            if name in self._joins:
                todo += self._advance(name, effects)
        return effects

    def _take(self, event: Follow | WindowEnded) -> list[str]:
        if isinstance(event, WindowEnded):
            join = self._joins.get(event.join)
            if join is None or join.timer != event.number:
                return []
            join.ended = True
            return [event.join]
        readers = [name for name in self._index.readers(event.topic) if name in self._joins]
        for name in readers:
            if isinstance(event.data, Absence):
                self._joins[name].close(event.topic, event.data)
            else:
                self._joins[name].put(event.topic, event.data, last=True)
        return readers

    def _advance(self, name: str, effects: list[Begin | SetTimer]) -> list[str]:
        """Begins a pipeline, or gives it up, and returns the pipelines that change with it."""
        join = self._joins[name]
        state = join.state()
        if state is JoinState.WAIT:
            if join.open_window():
                effects.append(SetTimer(name, join.timer, join.plan.window_ms))
            return []
        del self._joins[name]
        if state is JoinState.FIRE:
            effects.append(Begin(name, join.take()))
            return []
        why, changed = join.why(), list[str]()
        for topic in sorted(self._index.watched(name)):
            changed += self._take(Follow(topic, why))
        return changed
