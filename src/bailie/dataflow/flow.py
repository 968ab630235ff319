"""One request on its way through a pipeline: events in, effects out, without clock or I/O.

The life of a step, for one request; a step in or behind a cycle goes round once for each arrival::

              ┌────────────── joined ───────────────┐
              │  nothing can come, or the window    │  its data and triggers are there
              │  has ended without them             ▼
              │                       Call, or Collect into a batch
              ▼                        │          │           │
           skipped                 StepAnswered  StepFailed  BatchTook
              │                        │          │           │
              ▼                        ▼          ▼           ▼
         data absent(why)        data present    absent(why)  absent(why)
              └───────────┬────────────┴──────────┴───────────┘
                          ▼
               joins of the steps behind it, and the output ──► Answer | Fail

Absence travels as data does, so every join ends as soon as its end is certain, and no request hangs. After
each turn of events: the answer if the output fires, else the failure of a step that the answer needs, else
the causes for which the output cannot fire. After the answer the rest runs on as side branches, whose
failures are recorded and harm nothing.

Engines make a `Flow` for each request; the words of failures are in `endings`.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from bailie.dataflow import endings
from bailie.dataflow.events import (
    Absence,
    Answer,
    Asked,
    BatchCompleted,
    BatchTook,
    Call,
    CallerLeft,
    CancelCall,
    Collect,
    Effect,
    Event,
    Fail,
    FailCode,
    Follow,
    Record,
    RecordFailure,
    SetTimer,
    StepAnswered,
    StepFailed,
    TimeOut,
    WindowEnded,
)
from bailie.dataflow.joins import JoinState, StepJoin, merged
from bailie.dataflow.plan import Topic
from bailie.dataflow.tensors import Parcel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.dataflow.plan import DataSide, PipelinePlan, StepGroup


class Flow:
    """The state of one request in one pipeline."""

    def __init__(self, plan: PipelinePlan, watched: Iterable[Topic] = ()) -> None:
        """Begins before the request. `watched`: the topics that other pipelines read (`Follow`)."""
        self._plan = plan
        self._joins = {name: StepJoin(step, f'"{name}"') for name, step in plan.steps.items()}
        """The steps that may still fire."""
        self._output = StepJoin(plan.output, "the output") if plan.output else None
        self._waiting = True
        """Whether a caller waits for the answer."""
        self._calls: dict[str, set[int]] = {}
        """The visits that have not ended, by step: called, or handed to a batch."""
        self._visits: dict[str, int] = {}
        self._answered = False
        """Whether any step has answered, or has failed after it was reached."""
        self._failures: list[StepFailed] = []
        """Failures of this turn that fail the request unless the output fires."""
        self._unsent: list[Call | Collect] = []
        """Calls of this turn, which a failure in the same turn takes back."""
        self._changed: list[int] = []
        """A heap of the indices of groups whose joins have changed."""
        self._watched = set(watched)
        self._effects: list[Effect] = []

    @property
    def over(self) -> bool:
        """Whether nothing more will happen: the request has its ending, and no step runs or can begin."""
        return not (self._waiting or self._joins or self._calls)

    def event(self, *events: Event) -> list[Effect]:
        """Takes events that came together, and returns their effects; events that came too late have none.

        All effects must be carried out before the next events are given.
        """
        if self.over:
            return []
        for each in events:
            self._take(each)
        self._settle()
        effects, self._effects = [*self._effects, *self._unsent], []
        self._unsent = []
        return effects

    # ------------------------------------------------------------------ events

    def _take(self, event: Event) -> None:
        match event:
            case Asked(parcel):
                self._arrive(self._plan.request, parcel)
                self._close(self._plan.request)
            case StepAnswered(step, visit, parcel) if self._ended(step, visit):
                self._answered = True
                self._arrive(self._topic(step, "outputs"), parcel)
                self._finish(step)
            case StepFailed(step, visit) if self._ended(step, visit):
                self._fail_step(event)
            case BatchTook(step, visit) if self._ended(step, visit):
                self._finish(step, Absence((endings.batched(step),)))
            case BatchCompleted(step, visit, parcel):
                self._complete_batch(step, visit, parcel)
            case WindowEnded(name, number):
                self._end_window(name, number)
            case TimeOut():
                self._time_out()
            case CallerLeft() if self._waiting:
                self._end(Absence((endings.CALLER_LEFT,)))
            case _:
                pass

    def _ended(self, step: str, visit: int) -> bool:
        """Forgets a call, and returns whether it was known: its answer may come after it was given up."""
        visits = self._calls.get(step, set())
        if visit not in visits:
            return False
        visits.remove(visit)
        if not visits:
            del self._calls[step]
        return True

    def _fail_step(self, failure: StepFailed) -> None:
        """Keeps a failure for the turn's end if the answer needs the step, else makes its data absent."""
        self._answered |= failure.code is not FailCode.UNREACHABLE
        if self._waiting and self._plan.steps[failure.step].required:
            self._failures.append(failure)
        else:
            self._effects.append(RecordFailure(failure.step, failure.words))
            self._finish(failure.step, Absence((endings.side_failure(failure),)))

    def _complete_batch(self, step: str, visit: int, parcel: Parcel) -> None:
        """Calls a batched step, for the request that filled the batch or for none whose window has ended."""
        if visit in self._calls.get(step, ()):
            self._send(Call(step, visit, parcel))
        elif step in self._joins and not self._visits:
            self._waiting, self._output = False, None
            self._joins.pop(step)
            self._visits[step], self._calls[step] = visit, {visit}
            self._send(Call(step, visit, parcel))
            self._close(self._plan.request, Absence((endings.NO_REQUEST,)))

    def _end_window(self, name: str, number: int) -> None:
        join = self._output if name == self._plan.name else self._joins.get(name)
        if join and join.timer == number:
            join.ended = True
            self._mark(name)

    def _time_out(self) -> None:
        if self._waiting:
            awaited = [step for step in self._calls if self._plan.steps[step].required]
            self._fail(Fail(FailCode.TOO_SLOW, endings.too_slow(awaited)))
        else:
            self._effects += [RecordFailure(step, endings.NOT_IN_TIME) for step in self._calls]
            self._end(Absence((endings.NOT_IN_TIME,)))

    # ------------------------------------------------------------------- steps

    def _settle(self) -> None:
        """Advances the groups whose joins have changed, in their order, then decides the ending."""
        while True:
            while self._changed:
                index = heappop(self._changed)
                if index not in self._changed[:1]:  # else it was marked twice
                    self._advance_group(self._plan.groups[index])
            if self._waiting:
                self._decide()
            failures, self._failures = self._failures, []
            if not failures:
                return
            for each in failures:  # the answer came first, so these steps are side branches now
                self._fail_step(each)

    def _advance_group(self, group: StepGroup) -> None:
        for name in group.steps:
            self._advance(name)
        if group.cycle and self._is_quiet(group):
            self._turn_or_leave(group)

    def _advance(self, name: str) -> None:
        """Fires or skips a step as often as its join says."""
        while join := self._joins.get(name):
            state = join.state()
            if state is JoinState.FIRE:
                self._fire(name, join)
            elif state is JoinState.SKIP and join.ended and join.plan.repeats:
                join.miss()
            elif state is JoinState.SKIP:
                del self._joins[name]
                self._finish(name, None if name in self._visits else join.why())
            else:
                self._open_window(name, join)
                return

    def _is_quiet(self, group: StepGroup) -> bool:
        """Says whether no data is on its way to a cycle, from outside or from its own steps."""
        return not any(name in self._calls for name in group.steps) and all(
            queue.source.topic.owner in group.steps
            for name in group.steps
            if name in self._joins
            for queue in self._joins[name].pending()
        )

    def _turn_or_leave(self, group: StepGroup) -> None:
        """Fires the first step of a quiet cycle that can do without the others' data, or ends the cycle."""
        waiting = [name for name in group.steps if name in self._joins]
        for name in waiting:
            if self._joins[name].state(ended=True) is JoinState.FIRE:
                self._fire(name, self._joins[name])
                self._mark(name)
                return
        for name in waiting:
            if name in self._visits:
                del self._joins[name]
                self._finish(name)
        never = {name: self._joins.pop(name) for name in waiting if name in self._joins}
        why = merged(join.why() for join in never.values())
        for name in never:
            self._finish(name, why)

    def _fire(self, name: str, join: StepJoin) -> None:
        """Calls a step with the data that its join takes, unless it has been called too often."""
        parcel, visit = join.take(), self._visits.get(name, 0) + 1
        if not join.plan.repeats or visit > self._plan.most_visits:
            del self._joins[name]
        if visit > self._plan.most_visits:
            self._fail_step(
                StepFailed(name, visit, FailCode.NO_OUTPUT, endings.too_often(self._plan.most_visits))
            )
            return
        self._visits[name] = visit
        self._calls.setdefault(name, set()).add(visit)
        if join.plan.batch_rows:
            self._unsent.append(Collect(name, visit, parcel))
        else:
            self._send(Call(name, visit, parcel))

    def _send(self, call: Call) -> None:
        self._unsent.append(call)
        inputs = self._topic(call.step, "inputs")
        self._arrive(inputs, call.parcel)
        if call.step not in self._joins:
            self._close(inputs)

    def _finish(self, name: str, why: Absence | None = None) -> None:
        """Closes a step's data once it can neither fire nor answer again."""
        self._mark(name)
        if name not in self._joins and name not in self._calls:
            self._close(self._topic(name, "inputs"), why)
            self._close(self._topic(name, "outputs"), why)

    def _open_window(self, name: str, join: StepJoin) -> None:
        if join.open_window():
            self._effects.append(SetTimer(name, join.timer, join.plan.window_ms))

    # -------------------------------------------------------------------- data

    def _topic(self, step: str, side: DataSide) -> Topic:
        return Topic(self._plan.name, step, side)

    def _arrive(self, topic: Topic, parcel: Parcel) -> None:
        self._effects.append(Record(topic, parcel))
        for name, join in self._reading(topic):
            join.put(topic, parcel)
            self._mark(name)
        if topic in self._watched:
            self._watched.remove(topic)
            self._effects.append(Follow(topic, parcel))

    def _close(self, topic: Topic, why: Absence | None = None) -> None:
        for name, join in self._reading(topic):
            join.close(topic, why)
            self._mark(name)
        if topic in self._watched:
            self._watched.remove(topic)
            self._effects.append(Follow(topic, why or Absence((endings.NOTHING_LEFT,))))

    def _reading(self, topic: Topic) -> list[tuple[str, StepJoin]]:
        found = []
        for name in self._plan.readers.get(topic, ()):
            join = self._output if name == self._plan.name else self._joins.get(name)
            if join is not None:
                found.append((name, join))
        return found

    def _mark(self, name: str) -> None:
        index = self._plan.group_of.get(name)
        if index is not None:
            heappush(self._changed, index)

    # ----------------------------------------------------------------- endings

    def _decide(self) -> None:
        """Answers or fails the request as soon as its ending is certain."""
        output = self._output
        if output is None:
            if self._failures:
                self._fail_first()
            elif not self._joins and not self._calls:
                self._answer(Parcel(()))
            return
        state = output.state()
        if state is JoinState.FIRE:
            self._answer(output.take())
        elif self._failures:
            self._fail_first()
        elif state is JoinState.SKIP:
            why = output.why()
            self._fail(Fail(FailCode.TOO_SLOW if why.late else FailCode.NO_OUTPUT, endings.no_output(why)))
        else:
            self._open_window(self._plan.name, output)

    def _answer(self, parcel: Parcel) -> None:
        self._waiting, self._output = False, None
        self._effects.append(Answer(parcel))
        self._arrive(self._plan.answer, parcel)

    def _fail_first(self) -> None:
        first = self._failures[0]
        untouched = first.code is FailCode.UNREACHABLE and not self._answered and not self._others_sent()
        self._fail(Fail(first.code, endings.step_failure(first), first.step, untouched))

    def _others_sent(self) -> bool:
        unsent = {(each.step, each.visit) for each in self._unsent}
        return any((step, visit) not in unsent for step, visits in self._calls.items() for visit in visits)

    def _fail(self, fail: Fail) -> None:
        self._effects.append(fail)
        self._end(Absence((fail.words,)))

    def _end(self, why: Absence) -> None:
        """Gives up whatever still runs, and lets go of all data."""
        unsent = {(each.step, each.visit) for each in self._unsent}
        for step, visits in self._calls.items():
            self._effects += [
                CancelCall(step, visit) for visit in sorted(visits) if (step, visit) not in unsent
            ]
        self._effects += [Follow(topic, why) for topic in sorted(self._watched)]
        self._waiting, self._output = False, None
        for held in (
            self._joins,
            self._calls,
            self._visits,
            self._failures,
            self._unsent,
            self._changed,
            self._watched,
        ):
            held.clear()
