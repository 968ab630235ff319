"""Carries the steps of a move out, in both directions, and waits between them. Called by `bailie migrate`.

One write at a time, each decided on objects that were read before it: writes that do not depend on each other
share a look. So a command that is killed between any two writes, and one that begins anew, do the same thing:
they look, and make the writes that are missing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from bailie.api.kinds import CONFIG_MAP
from bailie.kube.clock import stamp, utc_now
from bailie.kube.errors import AlreadyExists, Conflict, NotFound, Unreachable
from bailie.migration.changes import Verb, create, delete, patch, writer_of
from bailie.migration.errors import NotRecorded, PastReturn, Paused, WaitEnded
from bailie.migration.facts import MovePlaces
from bailie.migration.record import (
    ABOUT_TO_APPLY,
    ABOUT_TO_FINISH,
    ABOUT_TO_ROLL_BACK,
    NAME,
    MoveRecord,
    line_of,
    read_record,
)
from bailie.migration.serving import folded
from bailie.migration.start import begin, steps_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from bailie.migration.changes import MoveChange
    from bailie.migration.facts import MoveFacts, Object
    from bailie.migration.source import MoveSource
    from bailie.migration.steps import Decide, Hold, MoveStep

_FIRST_POLL, _LAST_POLL = 0.05, 1.0
"""Seconds between two looks of a wait: doubled from the first to the last."""
_TRIES = 40
"""Writes of one object in one step: more, and some other writer keeps changing it."""


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
        steps: Callable[[MoveSource], tuple[MoveStep, ...]] = steps_of,
    ) -> None:
        """Takes `look`, which reads fresh facts, with those of these other namespaces."""
        self._namespace, self._by = namespace, by
        self._look, self._write, self._tell, self._steps = look, write, tell, steps

    async def recorded(self) -> MoveRecord | None:
        """Returns the record of the move, None before its begin. Raises DamagedRecord, ApiError."""
        return record_in(await self._look(MovePlaces()))

    async def begin(self, source: MoveSource, places: MovePlaces) -> MoveRecord:
        """Returns the record of the present state, which the first write keeps. Raises Blocked, ApiError."""
        facts = await self._look(places)
        return begin(facts, source, places, at=stamp(utc_now()), by=self._by)

    async def apply(self, record: MoveRecord, until: str = "") -> MoveRecord:
        """Carries out the steps up to the named one, or to the last before `finish`.

        Raises PastReturn, Paused, WaitEnded, ApiError.
        """
        if record.doing == ABOUT_TO_FINISH:
            raise _past_return(record)
        record = await self._doing(record, ABOUT_TO_APPLY)
        steps = [step for step in self._steps(record.source) if not step.no_return]
        for number, step in enumerate(steps):
            self._tell.step(step, "apply")
            record = await self._make(record, step, step.forward, earlier=steps[:number])
            await self._wait(record, step, step.arrived, lasting=steps[: number + 1])
            if step.name == until:
                break
        return record

    async def rollback(self, record: MoveRecord) -> None:
        """Undoes the steps, the last one first, and deletes the record.

        Raises PastReturn, Paused, WaitEnded, ApiError.
        """
        if record.doing == ABOUT_TO_FINISH:
            raise _past_return(record)
        record = await self._doing(record, ABOUT_TO_ROLL_BACK)
        for step in reversed([step for step in self._steps(record.source) if not step.no_return]):
            self._tell.step(step, "rollback")
            record = await self._make(record, step, step.backward)
            await self._wait(record, step, step.returned)
        await self._forget()

    async def finish(self, record: MoveRecord) -> None:
        """Carries out the steps from which there is no way back, and deletes the record.

        Raises Paused, WaitEnded, ApiError.
        """
        record = await self._doing(record, ABOUT_TO_FINISH)
        for step in self._steps(record.source):
            if step.no_return:
                self._tell.step(step, "finish")
                record = await self._make(record, step, step.forward)
                await self._wait(record, step, step.arrived)
        await self._forget()

    async def _make(
        self, record: MoveRecord, step: MoveStep, decide: Decide, *, earlier: Iterable[MoveStep] = ()
    ) -> MoveRecord:
        """Makes the writes of a step that are missing, each on fresh facts. Raises Paused."""
        before = tuple(earlier)
        tries: Counter[str] = Counter()
        while True:
            facts = await self._look(record.places)
            _still_hold(facts, record, before)
            missing = decide(facts, record)
            if not missing:
                return record
            tries[missing[0].reference] += 1
            if tries[missing[0].reference] > _TRIES:
                raise _undone_again(step, facts, missing[0])
            for change in missing:
                record, made = await self._one(record, step, change, facts)
                if not made:
                    break

    async def _one(
        self, record: MoveRecord, step: MoveStep, change: MoveChange, facts: MoveFacts
    ) -> tuple[MoveRecord, bool]:
        """Notes the write in the record, then makes it. A newer object is left for the next look.

        Returns the record, and whether the write was made.
        """
        present = _present(facts, change)
        record = record.logged(line_of(change, present, step=step.name, at=stamp(utc_now()), by=self._by))
        await self._keep(record, facts)
        try:
            await self._write(change)
        except (AlreadyExists, Conflict):
            return record, False
        except NotFound:
            if change.verb is not Verb.DELETE:
                raise
        self._tell.wrote(change)
        return record, True

    async def _wait(
        self, record: MoveRecord, step: MoveStep, holds: Hold, *, lasting: Iterable[MoveStep] = ()
    ) -> None:
        """Returns when nothing is missing. Raises WaitEnded, and Paused where a change was undone."""
        kept, clock = tuple(lasting), asyncio.get_running_loop().time
        ends, pause = clock() + step.patience, _FIRST_POLL
        while missing := await self._missing(record, holds, kept):
            self._tell.waits(missing)
            if clock() > ends:
                raise _ended(record, step, missing)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_POLL)
        self._tell.waits(())

    async def _missing(self, record: MoveRecord, holds: Hold, lasting: Iterable[MoveStep]) -> tuple[str, ...]:
        """Looks once. An API that does not answer is one more thing that the wait waits for."""
        try:
            facts = await self._look(record.places)
        except Unreachable as error:
            return (f"Kubernetes API: {error}",)
        _still_hold(facts, record, lasting)
        return holds(facts, record)

    async def _doing(self, record: MoveRecord, doing: str) -> MoveRecord:
        """Keeps the record, before any other write, in the place of a damaged one too."""
        found = replace(record, doing=doing)
        await self._keep(found, await self._look(record.places))
        return found

    async def _keep(self, record: MoveRecord, facts: MoveFacts) -> None:
        """Writes the record; a record that somebody deleted meanwhile is made again."""
        manifest = record.manifest()
        present = facts.here.get(CONFIG_MAP, NAME)
        if present is None:
            await self._write(create(CONFIG_MAP, manifest))
        else:
            await self._write(patch(CONFIG_MAP, manifest, {"data": manifest["data"]}))

    async def _forget(self) -> None:
        present = (await self._look(MovePlaces())).here.get(CONFIG_MAP, NAME)
        if present is not None:
            await self._write(delete(CONFIG_MAP, present))


def record_in(facts: MoveFacts) -> MoveRecord | None:
    """Returns the record among the facts, None where there is none. Raises DamagedRecord."""
    found = facts.here.get(CONFIG_MAP, NAME)
    return None if found is None else read_record(found)


def required(record: MoveRecord | None, namespace: str) -> MoveRecord:
    """Returns the record. Raises NotRecorded."""
    if record is None:
        raise NotRecorded(
            f"there is no move of namespace {namespace} (no ConfigMap {NAME})",
            hint=f"bailie migrate apply {namespace}",
        )
    return record


def missing_now(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:
    """Returns what does not hold yet of a move that has been applied, each `name: why`."""
    steps = [step for step in steps_of(record.source) if not step.no_return]
    unmade = [
        f"step {step.name}: not made: {change.told()}"
        for step in steps
        for change in step.forward(facts, record)
    ]
    return (*unmade, *dict.fromkeys(text for step in steps for text in step.arrived(facts, record)))


def _still_hold(facts: MoveFacts, record: MoveRecord, steps: Iterable[MoveStep]) -> None:
    """Raises Paused where a change of an earlier step is undone, and names the last writer of the object."""
    for step in steps:
        for change in step.forward(facts, record):
            raise Paused(
                f"somebody undid a change of step {step.name}{_last_writer(facts, change)}; "
                f"needed again: {change.told()}",
                hint="end that, then `bailie migrate apply` goes on, or `bailie migrate rollback` goes back",
            )


def _last_writer(facts: MoveFacts, change: MoveChange) -> str:
    present = _present(facts, change)
    return f" (last written by {writer_of(present)})" if present else ""


def _present(facts: MoveFacts, change: MoveChange) -> Object | None:
    return facts.present(change.kind, change.name, change.namespace)


def _undone_again(step: MoveStep, facts: MoveFacts, change: MoveChange) -> Paused:
    return Paused(
        f"step {step.name}: another writer changes {change.reference} again and again"
        f"{_last_writer(facts, change)}",
        hint="find out who does, for instance a GitOps controller, and run the command again",
    )


def _ended(record: MoveRecord, step: MoveStep, missing: Iterable[str]) -> WaitEnded:
    return WaitEnded(
        f"step {step.name} waited {step.patience:g} s until {step.until}: {folded(missing)}",
        hint=f"mend that and run the command again, or `bailie migrate rollback {record.namespace}`",
    )


def _past_return(record: MoveRecord) -> PastReturn:
    return PastReturn(
        f"`finish` of namespace {record.namespace} has begun: there is no way back",
        hint=f"bailie migrate finish {record.namespace}",
    )
