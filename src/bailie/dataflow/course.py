"""The usual course of requests through a plan: turns of `Flow` that each request repeats, learnt once.

Most requests meet no failure, no absent data and no window that ends. The effects of such a turn depend only
on the steps that have answered, so a `Course` learns them from a flow, and a `Passage` repeats them in a
fifth of a flow's time. At the first event or parcel that is not usual the passage makes a flow that stands
where the request does, and this flow decides from there on: the effects are a flow's own in either case.

Called by `pipelinegateway`, which keeps a course for each plan and makes a passage for each request. The
courses of all plans have a bounded room together (`course_room`); a request without a course takes a flow.
"""

from __future__ import annotations

from functools import partial
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple

from bailie.dataflow.events import Asked, Call, Record, Reply, StepAnswered
from bailie.dataflow.flow import Flow
from bailie.dataflow.tensors import Parcel, TensorHandle, join, select

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bailie.dataflow.course_room import CourseRoom
    from bailie.dataflow.events import Effect, Event
    from bailie.dataflow.plan import PipelinePlan, Source, Topic

    Maker = tuple[Callable[[Parcel], Effect], int]
    """How an effect is made, and the number of its parcel."""
    Answered = tuple[str, ...]
    """The steps whose answers came together; the pipeline's name stands for the request."""
    Place = tuple[str, int]
    """A source of a join: the name of the step, or of the pipeline for its output, and the source's index."""

_MOST_LEARNT = 1_000
"""Entries of the turns that are learnt of one plan (`UsualTurn.weight`): steps that run beside each other may
answer in many orders."""
_TURN_WEIGHT = 8


class _Arrival(NamedTuple):
    """A source that takes tensors of a parcel of the turn."""

    place: Place
    source: Source
    parcel: int
    whole: bool
    """Whether the source takes all tensors as they are."""


class _Taking(NamedTuple):
    """The places whose data are joined to a new parcel of the turn, and those of triggers, which go."""

    data: tuple[Place, ...]
    triggers: tuple[Place, ...] = ()


class UsualTurn:
    """One usual turn: the parcels that arrive, those that are made of them, and the effects.

    Parcels of a turn are numbered: first those of its events, then one of each taking.
    """

    __slots__ = ("after", "answered", "arrivals", "awaited", "before", "deeds", "effects", "over", "takings")

    def __init__(
        self,
        awaited: frozenset[str],
        *,
        answered: Answered = (),
        before: UsualTurn | None = None,
        over: bool = False,
    ) -> None:
        """Begins without effect.

        `awaited`: the steps that are called behind this turn; `before`: the turn before these answers, None
        for the beginning; `over`: as in `Flow`.
        """
        self.awaited, self.answered, self.before, self.over = awaited, answered, before, over
        self.arrivals: tuple[_Arrival, ...] = ()
        self.takings: tuple[_Taking, ...] = ()
        self.effects: tuple[Maker, ...] = ()
        self.deeds: tuple[Maker, ...] = ()
        """The effects that do more than to record data."""
        self.after: dict[Answered, UsualTurn | None] = {}
        """The turns that may follow; None for one that is not usual."""

    @property
    def weight(self) -> int:
        """The memory that the turn takes, in entries of 100 to 130 bytes."""
        entries = (self.awaited, self.arrivals, self.takings, self.effects, self.deeds)
        return _TURN_WEIGHT + sum(map(len, entries))

    def path(self) -> list[Answered]:
        """Returns the answers up to this turn."""
        found, turn = [], self
        while turn.before is not None:
            found.append(turn.answered)
            turn = turn.before
        return found[::-1]


class Course:
    """The turns of one plan that are known, from the request on."""

    def __init__(self, plan: PipelinePlan, room: CourseRoom) -> None:
        """Begins before the first request."""
        self.plan, self.room = plan, room
        self.last = 0
        """The number in the room of the last passage along this course."""
        self.start = UsualTurn(frozenset({plan.name}))
        self._joins = {**plan.steps, **({plan.name: plan.output} if plan.output else {})}
        self._most = self._left = _MOST_LEARNT if _is_straight(plan) else 0

    def forget(self) -> None:
        """Lets go of all turns, which are learnt again; passages on their way go on."""
        self.start.after.clear()
        self._left = self._most

    def close(self) -> None:
        """Lets go of all turns for good: the plan has gone."""
        self._most = 0
        self.room.leave(self)
        self.forget()

    def after(self, turn: UsualTurn, events: Sequence[Event]) -> UsualTurn | None:
        """Returns the turn that follows another one with these events; None for one that is not usual."""
        answered = self._answered(events)
        if answered is None:
            return None
        if answered in turn.after:
            return turn.after[answered]
        if self._left <= 0 or not self.room.has_room():
            return None
        turn.after[answered] = found = self._learn(turn, answered)
        weight = found.weight if found is not None else 1
        self._left -= weight
        self.room.take(self, weight)
        return found

    def flow(self, turn: UsualTurn, data: Mapping[Place, Parcel]) -> Flow:
        """Returns a flow that stands behind a turn, with the data that its open joins have."""
        flow = Flow(self.plan)
        for answered in turn.path():
            flow.event(*map(self._probe, answered))
        for (name, index), parcel in data.items():
            flow.open_joins[name].queues[index].parcels[:] = [parcel]
        return flow

    def _answered(self, events: Sequence[Event]) -> Answered | None:
        first = events[0]
        if len(events) == 1 and isinstance(first, StepAnswered) and first.visit == 1:
            return (first.step,)  # nearly always, so that it is not put together
        found = []
        for event in events:
            if isinstance(event, StepAnswered) and event.visit == 1:
                found.append(event.step)
            elif isinstance(event, Asked):
                found.append(self.plan.name)
            else:
                return None
        return tuple(found)

    def _learn(self, turn: UsualTurn, answered: Answered) -> UsualTurn | None:
        if len(turn.awaited.intersection(answered)) < len(answered):
            return None
        flow = self.flow(turn, {})
        waiting = flow.open_joins
        effects = flow.event(*map(self._probe, answered))
        made = {
            each.step if isinstance(each, Call) else self.plan.name: each.parcel
            for each in effects
            if isinstance(each, Call | Reply)
        }
        called = made.keys() - {self.plan.name}
        awaited = turn.awaited.difference(answered) | called
        found = UsualTurn(awaited, answered=answered, before=turn, over=flow.over)
        topics = [self._topic(name) for name in answered]
        found.arrivals = tuple(
            _Arrival((name, index), source, number, not (source.tensors or source.renames))
            for number, topic in enumerate(topics)
            for name in self.plan.readers.get(topic, ())
            if name in waiting
            for index in self._joins[name].places[topic]
            for source in [self._joins[name].sources[index]]
        )
        found.takings = tuple(self._taking(name, parcel) for name, parcel in made.items())
        numbers = {topic: at for at, topic in enumerate([*topics, *map(self._made_topic, made)])}
        found.effects = tuple(self._maker(each, numbers) for each in effects)
        deeds = [not isinstance(each, Record) for each in effects]
        found.deeds = tuple(compress(found.effects, deeds))
        return found

    def _probe(self, name: str) -> Event:
        """Returns an answer that has all tensors that the readers want, each with its topic as payload."""
        topic = self._topic(name)
        readers = [self._joins[reader] for reader in self.plan.readers.get(topic, ())]
        sources = [reader.sources[index] for reader in readers for index in reader.places[topic]]
        names = {tensor for source in sources for tensor in source.tensors} or {""}
        parcel = Parcel(tuple(TensorHandle(each, payload=topic) for each in sorted(names)))
        return Asked(parcel) if name == self.plan.name else StepAnswered(name, 1, parcel)

    def _topic(self, name: str) -> Topic:
        return self.plan.request if name == self.plan.name else self.plan.outputs[name]

    def _made_topic(self, name: str) -> Topic:
        return self.plan.answer if name == self.plan.name else self.plan.inputs[name]

    def _taking(self, name: str, parcel: Parcel) -> _Taking:
        plan = self._joins.get(name)
        if plan is None:  # the answer of a pipeline without output
            return _Taking(())
        came = {each.payload for each in parcel.tensors}
        own = len(plan.data.sources)
        data = [(name, index) for index, each in enumerate(plan.data.sources) if each.topic in came]
        return _Taking(tuple(data), tuple((name, index) for index in range(own, len(plan.sources))))

    def _maker(self, effect: Effect, numbers: Mapping[Topic, int]) -> Maker:
        match effect:
            case Record(topic):
                return partial(Record, topic), numbers[topic]
            case Call(step, visit):
                return partial(Call, step, visit), numbers[self.plan.inputs[step]]
            case Reply():
                return Reply, numbers[self.plan.answer]
            case _:
                return partial(_same, effect), 0


class Passage:
    """The state of one request in one pipeline that no other pipeline follows; a stand-in for its `Flow`."""

    __slots__ = ("_course", "_data", "_flow", "_recorded", "_turn")

    def __init__(self, course: Course, *, recorded: bool = True) -> None:
        """Begins before the request. `recorded`: whether usual turns have effects that only record data."""
        self._course, self._turn, self._recorded = course, course.start, recorded
        course.room.passages += 1
        course.last = course.room.passages
        self._data: dict[Place, Parcel] = {}
        self._flow: Flow | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen, as `Flow.over`."""
        return self._turn.over if self._flow is None else self._flow.over

    def event(self, *events: Event) -> list[Effect]:
        """Takes events that came together, and returns their effects, as `Flow.event`."""
        if self._flow is None:
            before = self._turn
            if before.over:
                return []
            turn = self._course.after(before, events)
            if turn is not None and (effects := self._follow(turn, events)) is not None:
                self._turn = turn
                return effects
            self._flow, self._data = self._course.flow(before, self._data), {}
        return self._flow.event(*events)

    def _follow(self, turn: UsualTurn, events: Sequence[Event]) -> list[Effect] | None:
        """Returns the effects of a turn; None if a source gets none of its tensors."""
        parcels: list[Parcel] = [event.parcel for event in events]  # type: ignore[union-attr]  # as `after` says
        arrived = []
        for place, source, number, whole in turn.arrivals:
            parcel = parcels[number]
            chosen = parcel if whole and parcel.tensors else select(parcel, source)
            if chosen is None:
                return None
            arrived.append((place, chosen))
        data = self._data
        data.update(arrived)
        for taken, triggers in turn.takings:
            for place in triggers:
                data.pop(place, None)  # of a join that waits for one of them alone
            if len(taken) == 1:
                parcels.append(data.pop(taken[0]))
            else:
                parcels.append(join([data.pop(place) for place in taken]) if taken else Parcel(()))
        effects = turn.effects if self._recorded else turn.deeds
        return [make(parcels[number]) for make, number in effects]


def _is_straight(plan: PipelinePlan) -> bool:
    """Says whether steps are called once at most, for this request alone, and none reads another's inputs."""
    once = not any(step.repeats or step.batch_rows for step in plan.steps.values())
    return once and all(topic.side == "outputs" or topic == plan.request for topic in plan.readers)


def _same(effect: Effect, _: Parcel) -> Effect:
    return effect
