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
               joins of the steps behind it, and the output ──► Reply | Fail

Absence travels as data does, so every join ends as soon as its end is certain, and no request hangs. After
each turn of events: the answer if the output fires, else the failure of a step that the answer needs, else
the causes for which the output cannot fire. After the answer the rest runs on as side branches, whose
failures are recorded and harm nothing. A full batch with tensors of other requests goes on, with the steps
behind it, when its request has failed, its caller has left or its time is over.

Engines make a `Flow` for each request. The `board` carries data to joins; the words of failures are in
`endings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.dataflow import endings
from bailie.dataflow.board import Board
from bailie.dataflow.events import (
    Absence,
    Asked,
    BatchCompleted,
    BatchTook,
    Call,
    CallerLeft,
    CancelCall,
    Collect,
    Fail,
    FailCode,
    GoOn,
    NoRoom,
    RecordFailure,
    Reply,
    Skipped,
    StepAnswered,
    StepFailed,
    TimeOut,
    WindowEnded,
)
from bailie.dataflow.joins import JoinState, merged
from bailie.dataflow.tensors import Parcel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.dataflow.events import Effect, Event
    from bailie.dataflow.joins import StepJoin
    from bailie.dataflow.plan import PipelinePlan, StepGroup, Topic


class Flow:
    """The state of one request in one pipeline."""

    def __init__(self, plan: PipelinePlan, watched: Iterable[Topic] = ()) -> None:
        """Begins before the request. `watched`: the topics that other pipelines read (`Follow`)."""
        self._plan = plan
        self._board = Board(plan, watched)
        self._waiting = True
        """Whether a caller waits for the answer."""
        self._calls: dict[str, list[int]] = {}
        """The visits that have not ended, by step: called, or handed to a batch."""
        self._visits: dict[str, int] = {}
        self._answered = False
        """Whether any step has answered, or has failed after it was reached."""
        self._failures: list[StepFailed] = []
        """Failures of this turn that fail the request unless the output fires."""
        self._unsent: list[Call | Collect] = []
        """Calls of this turn, which a failure in the same turn takes back."""
        self._shared: set[str] = set()
        """The steps that have been called with a batch of several requests, until this one is over."""

    @property
    def over(self) -> bool:
        """Whether nothing more will happen: the request has its ending, and no step runs or can begin."""
        return not (self._waiting or self._board.joins or self._calls)

    @property
    def open_joins(self) -> dict[str, StepJoin]:
        """The joins that may still fire, by step; that of the output has the pipeline's name."""
        output = self._board.output
        return self._board.joins | ({self._plan.name: output} if output else {})

    def event(self, *events: Event) -> list[Effect]:
        """Takes events that came together, and returns their effects; events that came too late have none.

        All effects must be carried out before the next events are given.
        """
        if self.over:
            return []
        for each in events:
            self._take(each)
        self._settle()
        effects, self._board.effects = self._board.effects, []
        if self._unsent:
            effects += self._unsent
            self._unsent = []
        return effects

    def _take(self, event: Event) -> None:
        match event:
            case Asked(parcel):
                self._board.arrive(self._plan.request, parcel, last=True)
            case StepAnswered(step, visit, parcel) if self._ended(step, visit):
                self._take_answer(step, parcel)
            case StepFailed(step, visit) if self._ended(step, visit):
                self._fail_step(event)
            case BatchTook(step, visit) if self._ended(step, visit):
                self._finish(step, Absence((endings.batched(step),)))
            case BatchCompleted():
                self._complete_batch(event)
            case WindowEnded(name, number):
                self._end_window(name, number)
            case TimeOut():
                self._time_out()
            case NoRoom():
                self._shared.clear()
                self._time_out()
            case CallerLeft() if self._waiting:
                self._end(Absence((endings.CALLER_LEFT,)))
            case _:
                pass

    def _ended(self, step: str, visit: int) -> bool:
        """Forgets a call, and returns whether it was known: its answer may come after it was given up."""
        visits = self._calls.get(step)
        if visits is None or visit not in visits:
            return False
        visits.remove(visit)
        if not visits:
            del self._calls[step]
        return True

    def _take_answer(self, step: str, parcel: Parcel) -> None:
        self._answered = True
        self._board.arrive(self._plan.outputs[step], parcel, last=self._is_done(step))
        if self._plan.steps[step].repeats:
            self._finish(step)

    def _fail_step(self, failure: StepFailed) -> None:
        """Keeps a failure for the turn's end if the answer needs the step, else makes its data absent."""
        self._answered |= failure.maybe_ran or failure.code is not FailCode.UNREACHABLE
        if self._waiting and self._plan.steps[failure.step].required:
            self._failures.append(failure)
        else:
            self._board.effects.append(RecordFailure(failure.step, failure.words))
            self._finish(failure.step, Absence((endings.side_failure(failure),)))

    def _complete_batch(self, batch: BatchCompleted) -> None:
        """Calls a batched step, for the request that filled the batch or for none whose window has ended."""
        step, visit = batch.step, batch.visit
        if visit in self._calls.get(step, ()):
            if batch.shared:
                self._shared.add(step)
            self._send(Call(step, visit, batch.parcel))
        elif step in self._board.joins and not self._visits:
            self._waiting, self._board.output = False, None
            del self._board.joins[step]
            self._visits[step], self._calls[step] = visit, [visit]
            self._send(Call(step, visit, batch.parcel))
            self._board.close(self._plan.request, Absence((endings.NO_REQUEST,)))

    def _end_window(self, name: str, number: int) -> None:
        join = self._board.join(name)
        if join and join.timer == number:
            join.ended = True
            self._board.mark(name)

    def _time_out(self) -> None:
        if self._waiting:
            awaited = [step for step in self._calls if self._plan.steps[step].required]
            self._fail(Fail(FailCode.TOO_SLOW, endings.too_slow(awaited)))
        else:
            going = self._going()
            late = [RecordFailure(step, endings.NOT_IN_TIME) for step in self._calls if step not in going]
            self._board.effects += late
            self._end(Absence((endings.NOT_IN_TIME,)))

    def _settle(self) -> None:
        """Advances the groups whose joins have changed, in their order, then decides the ending."""
        while True:
            for group in self._board.changed():
                self._advance_group(group)
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
        while join := self._board.joins.get(name):
            state = join.state()
            if state is JoinState.FIRE:
                self._fire(name, join)
            elif state is JoinState.SKIP and join.ended and join.plan.repeats:
                join.miss()
            elif state is JoinState.SKIP:
                del self._board.joins[name]
                if name in self._visits:
                    self._finish(name)
                else:
                    self._skip(name, join.why())
            else:
                self._board.open_window(name, join)
                return

    def _is_quiet(self, group: StepGroup) -> bool:
        """Says whether no data is on its way to a cycle, from outside or from its own steps."""
        return not any(name in self._calls for name in group.steps) and all(
            queue.source.topic.owner in group.steps
            for name in group.steps
            if name in self._board.joins
            for queue in self._board.joins[name].pending()
        )

    def _turn_or_leave(self, group: StepGroup) -> None:
        """Fires the first step of a quiet cycle that can do without the others' data, or ends the cycle."""
        waiting = [name for name in group.steps if name in self._board.joins]
        for name in waiting:
            if self._board.joins[name].state(ended=True) is JoinState.FIRE:
                self._fire(name, self._board.joins[name])
                self._board.mark(name)
                return
        for name in waiting:
            if name in self._visits:
                del self._board.joins[name]
                self._finish(name)
        never = {name: self._board.joins.pop(name) for name in waiting if name in self._board.joins}
        why = merged(join.why() for join in never.values())
        for name in never:
            self._skip(name, why)

    def _skip(self, name: str, why: Absence) -> None:
        self._board.effects.append(Skipped(name, why))
        self._finish(name, why)

    def _fire(self, name: str, join: StepJoin) -> None:
        """Calls a step with the data that its join takes, unless it has been called too often."""
        parcel, visit = join.take(), self._visits.get(name, 0) + 1
        if not join.plan.repeats or visit > self._plan.most_visits:
            del self._board.joins[name]
        if visit > self._plan.most_visits:
            self._fail_step(
                StepFailed(name, visit, FailCode.NO_OUTPUT, endings.too_often(self._plan.most_visits))
            )
            return
        self._visits[name] = visit
        self._calls.setdefault(name, []).append(visit)
        if join.plan.batch_rows:
            self._unsent.append(Collect(name, visit, parcel))
        else:
            self._send(Call(name, visit, parcel))

    def _send(self, call: Call) -> None:
        self._unsent.append(call)
        last = call.step not in self._board.joins
        self._board.arrive(self._plan.inputs[call.step], call.parcel, last=last)

    def _is_done(self, name: str) -> bool:
        """Says whether a step can neither fire nor answer again."""
        return name not in self._board.joins and name not in self._calls

    def _finish(self, name: str, why: Absence | None = None) -> None:
        """Closes the data of a step that is done; without a reason, it gave some."""
        self._board.mark(name)
        if self._is_done(name):
            self._board.close(self._plan.inputs[name], why)
            self._board.close(self._plan.outputs[name], why)

    def _decide(self) -> None:
        """Answers or fails the request as soon as its ending is certain."""
        output = self._board.output
        if output is None:
            if self._failures:
                self._fail_first()
            elif not self._board.joins and not self._calls:
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
            self._board.open_window(self._plan.name, output)

    def _answer(self, parcel: Parcel) -> None:
        self._waiting, self._board.output = False, None
        self._board.effects.append(Reply(parcel))
        self._board.arrive(self._plan.answer, parcel, last=True)

    def _fail_first(self) -> None:
        first = self._failures[0]
        untouched = first.code is FailCode.UNREACHABLE and not self._answered and not self._others_sent()
        self._fail(Fail(first.code, endings.step_failure(first), first.step, untouched))

    def _others_sent(self) -> bool:
        unsent = {(each.step, each.visit) for each in self._unsent if each.step not in self._shared}
        return any((step, visit) not in unsent for step, visits in self._calls.items() for visit in visits)

    def _fail(self, fail: Fail) -> None:
        self._board.effects.append(fail)
        self._end(Absence((fail.words,)))

    def _end(self, why: Absence) -> None:
        """Gives up whatever still runs, and lets go of all data, but for a batch that has that of others."""
        going, self._shared = self._going(), set()
        unsent = {(each.step, each.visit) for each in self._unsent}
        ended = [step for step in self._calls if step not in going]
        for step in ended:
            cancelled = [visit for visit in self._calls.pop(step) if (step, visit) not in unsent]
            self._board.effects += [CancelCall(step, visit) for visit in cancelled]
        self._board.take_back({self._plan.inputs[step] for step, _ in unsent if step not in going})
        self._unsent = [each for each in self._unsent if each.step in going]
        self._waiting = False
        self._failures.clear()
        if self._calls:
            self._board.leave(going, why)
            self._board.effects.append(GoOn())
        else:
            self._visits.clear()
            self._board.clear(why)

    def _going(self) -> set[str]:
        """Returns the steps that have a batch with data of other requests, and the steps behind them."""
        found = dict.fromkeys(self._shared)
        queue = [*found]
        for step in queue:
            for topic in (self._plan.inputs[step], self._plan.outputs[step]):
                behind = [each for each in self._plan.readers.get(topic, ()) if each in self._plan.steps]
                queue += [each for each in behind if each not in found]
                found |= dict.fromkeys(behind)
        return set(found)
