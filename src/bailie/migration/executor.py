"""Carries the steps of a move out, in both directions, and waits between them. Called by `bailie migrate`.

One write at a time, each decided on objects that were read before it: writes that do not depend on each other
share a look. So a command that is killed between any two writes, and one that begins anew, do the same thing:
they look, and make the writes that are missing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from bailie.api.kinds import CONFIG_MAP
from bailie.kube.clock import stamp, utc_now
from bailie.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, NotFound
from bailie.migration.changes import Verb, create, delete, patch
from bailie.migration.errors import Busy, NotRecorded
from bailie.migration.facts import MovePlaces
from bailie.migration.pauses import broken_off, past_return, paused, undone, wait_ended
from bailie.migration.record import (
    ABOUT_TO_APPLY,
    ABOUT_TO_FINISH,
    ABOUT_TO_ROLL_BACK,
    NAME,
    MoveRecord,
    line_of,
    record_in,
)
from bailie.migration.seldon.interruption import refuse_interruption
from bailie.migration.serving import excusing
from bailie.migration.start import begin, steps_of
from bailie.migration.steps import nothing
from bailie.migration.watch import second_writers, traces

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from bailie.migration.changes import MoveChange
    from bailie.migration.facts import MoveFacts
    from bailie.migration.source import MoveSource
    from bailie.migration.steps import Decide, Hold, MoveStep
    from bailie.migration.watch import Traces

_FIRST_POLL, _LAST_POLL = 0.05, 1.0
"""Seconds between two looks of a wait: doubled from the first to the last."""
_AT_ONCE = 20
"""Writes that share a look, and more where a look takes longer than these: as many as its time allows."""
_LONGEST_AT_ONCE = 2.0
"""Seconds for further writes at most: so long nobody looks for other writers."""
_TRIES = 10
"""How often one write is tried. Needed once more, some other writer keeps changing the same object."""


class Write(Protocol):
    """Makes one write. Raises Conflict where the object is newer than the change, and ApiError."""

    async def __call__(self, change: MoveChange) -> None: ...


class Tell(Protocol):
    """Shows people how far the move is."""

    def step(self, step: MoveStep, direction: str) -> None:
        """Begins a step; `direction` is `apply`, `rollback` or `finish`."""

    def wrote(self, change: MoveChange) -> None:
        """Notes a write that was made."""

    def waits(self, texts: Iterable[str]) -> None:
        """Takes what is waited for now, each `name: why`; none where the wait is over."""


@dataclass(frozen=True, slots=True)
class _Leg:
    """A step in one direction."""

    step: MoveStep
    decide: Decide
    hold: Hold
    quiet: Hold | None


class Executor:
    """The move of one namespace, by one person."""

    def __init__(
        self,
        namespace: str,
        *,
        by: str,
        look: Callable[[MovePlaces], Awaitable[MoveFacts]],
        write: Write,
        tell: Tell,
        steps: Callable[[MoveRecord], tuple[MoveStep, ...]] = steps_of,
    ) -> None:
        """Takes `look`, which reads fresh facts, with those of these other namespaces."""
        self._namespace, self._by = namespace, by
        self._look, self._write, self._tell, self._steps = look, write, tell, steps
        self._traces: Traces | None = None
        self._quiet = 0
        """How many of the last looks found that Seldon Core's operator had let go. The first of them may have
        read objects before the operator's last write, and its pod after the end."""
        self._look_took = 0.0
        """Seconds of the last look: in a namespace of thousands of objects more than those of a write."""

    async def recorded(self) -> MoveRecord | None:
        """Returns the record of the move, None before its begin. Raises DamagedRecord, ApiError."""
        return record_in(await self._look(MovePlaces()))

    async def begin(self, source: MoveSource, places: MovePlaces, *, one_by_one: bool = False) -> MoveRecord:
        """Returns the record of the present state, which the first write keeps. Raises Blocked, ApiError.

        `one_by_one`: the Servers come over one at a time.
        """
        facts = await self._look(places)
        return begin(facts, source, places, at=stamp(utc_now()), by=self._by, one_by_one=one_by_one)

    async def apply(self, record: MoveRecord, until: str = "") -> MoveRecord:
        """Carries out the steps up to the named one, or to the last before `finish`.

        Raises PastReturn, Paused, WaitEnded, BrokenOff, ApiError.
        """
        if record.doing == ABOUT_TO_FINISH:
            raise past_return(record)
        record = await self._doing(record, ABOUT_TO_APPLY)
        steps = [step for step in self._steps(record) if not step.no_return]
        return await self._carry_out(record, [_forward(step) for step in steps], "apply", until=until)

    async def rollback(self, record: MoveRecord, *, interrupt: bool = False) -> None:
        """Undoes the steps, the last one first, and deletes the record.

        `interrupt`: also where models do not answer meanwhile. Raises PastReturn, Blocked, Paused, WaitEnded,
        BrokenOff, ApiError.
        """
        if record.doing == ABOUT_TO_FINISH:
            raise past_return(record)
        if not interrupt:
            refuse_interruption(await self._look(record.places), record)
        record = await self._doing(record, ABOUT_TO_ROLL_BACK)
        steps = [step for step in reversed(self._steps(record)) if not step.no_return]
        await self._carry_out(record, [_backward(step) for step in steps], "rollback")
        await self._forget()

    async def finish(self, record: MoveRecord) -> None:
        """Carries out the steps from which there is no way back, and deletes the record.

        Raises Paused, WaitEnded, BrokenOff, ApiError.
        """
        record = await self._doing(record, ABOUT_TO_FINISH)
        legs = [_forward(step) for step in self._steps(record) if step.no_return]
        await self._carry_out(record, legs, "finish")
        await self._forget()

    async def _carry_out(
        self, record: MoveRecord, legs: list[_Leg], direction: str, *, until: str = ""
    ) -> MoveRecord:
        """Takes the legs one after the other; the changes of those before have to last."""
        lasting: list[_Leg] = []
        for leg in legs:
            self._tell.step(leg.step, direction)
            try:
                record = await self._make(record, leg, lasting)
                lasting.append(leg)
                await self._wait(record, leg, lasting)
            except ApiError as error:
                raise broken_off(record, leg.step, str(error), _mend(error)) from error
            if leg.step.name == until:
                break
        return record

    async def _make(self, record: MoveRecord, leg: _Leg, lasting: Iterable[_Leg]) -> MoveRecord:
        """Makes the writes of a step that are missing, each on fresh facts. Raises Paused."""
        tries: Counter[str] = Counter()
        while True:
            facts = await self._undisturbed(record, leg, lasting)
            missing = leg.decide(facts, record)
            if not missing:
                return record
            ends = self._clock() + min(self._look_took, _LONGEST_AT_ONCE)
            for number, change in enumerate(missing):
                if number >= _AT_ONCE and self._clock() > ends:
                    break
                if tries[change.told()] >= _TRIES:
                    raise paused(record, f"step {leg.step.name}: {undone(facts, change)}, again and again")
                tries[change.told()] += 1
                record, made = await self._one(record, leg.step, change, facts)
                if not made:
                    break

    async def _one(
        self, record: MoveRecord, step: MoveStep, change: MoveChange, facts: MoveFacts
    ) -> tuple[MoveRecord, bool]:
        """Notes the write in the record, then makes it. A newer object is left for the next look.

        Returns the record, and whether the write was made.
        """
        present = facts.present(change.kind, change.name, change.namespace)
        record = record.logged(line_of(change, present, step=step.name, at=stamp(utc_now()), by=self._by))
        try:
            await self._keep(record, facts)
        except (AlreadyExists, NotFound):  # somebody deleted the record: the next look makes it again
            return record, False
        try:
            await self._write(change)
        except (AlreadyExists, Conflict):
            return record, False
        except NotFound:
            if change.verb is not Verb.DELETE:
                raise
        self._tell.wrote(change)
        return record, True

    async def _wait(self, record: MoveRecord, leg: _Leg, lasting: Iterable[_Leg]) -> None:
        """Returns when nothing is missing. Raises WaitEnded, and Paused where a change was undone."""
        ends, pause = self._clock() + leg.step.patience, _FIRST_POLL
        while missing := await self._missing(record, leg, lasting):
            self._tell.waits(missing)
            if self._clock() > ends:
                raise wait_ended(record, leg.step, missing)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_POLL)
        self._tell.waits(())

    async def _missing(self, record: MoveRecord, leg: _Leg, lasting: Iterable[_Leg]) -> tuple[str, ...]:
        """Looks once. An API that does not answer is one more thing that the wait waits for."""
        try:
            facts = await self._undisturbed(record, leg, lasting)
        except ApiError as error:
            return unanswered(error)
        return leg.hold(facts, excusing(facts.here, record))

    async def _undisturbed(self, record: MoveRecord, leg: _Leg, lasting: Iterable[_Leg]) -> MoveFacts:
        """Looks. Raises Paused where somebody undoes a change of a leg, or acts beside the move."""
        began = self._clock()
        facts = await self._look(record.places)
        self._look_took = self._clock() - began
        for each in lasting:
            for change in each.decide(facts, record):
                text = f"somebody undid a change of step {each.step.name}: {undone(facts, change)}"
                raise paused(record, text)
        if leg.quiet is None:
            self._traces = None
            return facts
        letting_go = leg.quiet(facts, record)
        before, self._traces = self._traces, traces(self._traces, facts)
        comparable = not letting_go and (self._quiet > 1 or leg.quiet is nothing)
        self._quiet = 0 if letting_go else self._quiet + 1
        for text in second_writers(before if comparable else None, self._traces, facts, record):
            raise paused(record, f"step {leg.step.name}: {text}")
        return facts

    async def _doing(self, record: MoveRecord, doing: str) -> MoveRecord:
        """Keeps the record, before any other write, in the place of a damaged one too. Raises Busy."""
        found = replace(record, doing=doing)
        try:
            await self._keep(found, await self._look(record.places))
        except AlreadyExists as error:
            text = f"another process has begun a move of namespace {record.namespace} this moment"
            raise Busy(text, hint="run the command again once it has ended") from error
        return found

    async def _keep(self, record: MoveRecord, facts: MoveFacts) -> None:
        """Writes the record; a record that somebody deleted meanwhile is made again.

        Raises AlreadyExists, NotFound where somebody makes or deletes it this moment.
        """
        manifest = record.manifest()
        present = facts.here.get(CONFIG_MAP, NAME)
        if present is None:
            await self._write(create(CONFIG_MAP, manifest))
        else:
            await self._write(patch(CONFIG_MAP, manifest, {"data": manifest["data"]}))

    def _clock(self) -> float:
        return asyncio.get_running_loop().time()

    async def _forget(self) -> None:
        present = (await self._look(MovePlaces())).here.get(CONFIG_MAP, NAME)
        if present is not None:
            await self._write(delete(CONFIG_MAP, present))


def required(record: MoveRecord | None, namespace: str) -> MoveRecord:
    """Returns the record. Raises NotRecorded."""
    if record is None:
        raise NotRecorded(
            f"there is no move of namespace {namespace} (no ConfigMap {NAME})",
            hint=f"bailie migrate apply {namespace}",
        )
    return record


def unanswered(error: ApiError) -> tuple[str, ...]:
    """Returns what a wait waits for while the API does not answer. Raises an error that will not pass."""
    if not error.temporary:
        raise error
    return (f"Kubernetes API: {error}",)


def missing_now(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:
    """Returns what does not hold yet of a move that has been applied, each `name: why`."""
    steps = [step for step in steps_of(record) if not step.no_return]
    unmade = [
        f"step {step.name}: not made: {change.told()}"
        for step in steps
        for change in step.forward(facts, record)
    ]
    known = excusing(facts.here, record)
    return (*unmade, *dict.fromkeys(text for step in steps for text in step.arrived(facts, known)))


def _mend(error: ApiError) -> str:
    if isinstance(error, Forbidden):
        return "ask for the right"
    return "wait until the API answers again" if error.temporary else "look at the API server"


def _forward(step: MoveStep) -> _Leg:
    return _Leg(step, step.forward, step.arrived, step.quiet)


def _backward(step: MoveStep) -> _Leg:
    return _Leg(step, step.backward, step.returned, step.quiet_back)
