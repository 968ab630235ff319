"""The models of this replica: one small state machine per version, and which command each carries out next.

`session` submits commands, `monitor` tells which models the server lost, `memory_budget` which to evict, and
`waiting` passes requests through `hold`; `version_work` carries commands out. Commands are safe to repeat:
the newest command per version wins, and it cancels a load that it makes unnecessary. A version is known by
its server-side name, so two identities with one number follow each other there and never overlap.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

import structlog

from bailie._gen import agent_pb2
from bailie.agent.errors import HoldRefused
from bailie.agent.metrics import HELD_SECONDS, RETURNS
from bailie.agent.model_state import (
    NOT_READY,
    NOT_RESPONDING,
    SERVER_ENDED,
    BringBack,
    CutOff,
    ReloadLost,
    Slot,
    is_here,
    new_record,
    same,
)
from bailie.agent.suspects import ended_words
from bailie.agent.version_work import LATE_SECONDS, VersionWork
from bailie.lifecycle.copies import CopyState
from bailie.tracing.context import UNTRACED
from bailie.wellknown.versions import server_name_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

    from bailie.agent.loading import Loader
    from bailie.agent.memory_budget import MemoryBudget
    from bailie.agent.outbox import Outbox
    from bailie.agent.store import VersionRecord
    from bailie.tracing.context import SpanContext
    from bailie.tracing.tracer import Tracer

log = structlog.get_logger(__name__)

_LOST = "the inference server no longer says that {} is ready; it is being loaded again"
_NOTHING: Mapping[str, int] = MappingProxyType({})
_HELD = frozenset({CopyState.LOADED, CopyState.EVICTING, CopyState.EVICTED})
_GONE = frozenset({CopyState.ABSENT, CopyState.UNLOADING, CopyState.UNLOADED})


class Models:
    """Carries out commands. `run` must be running while commands are submitted."""

    def __init__(self, loader: Loader, outbox: Outbox, budget: MemoryBudget, tracer: Tracer) -> None:
        self._loader, self._tracer, self._budget = loader, tracer, budget
        self._work = VersionWork(loader, outbox, budget, tracer)
        self._slots: dict[str, Slot] = {}
        self._group: asyncio.TaskGroup | None = None
        budget.evict_by(self._announce, self._is_busy, self._is_awaited)

    async def run(self) -> None:
        """Works until cancelled. Commands under way are then cancelled too; the next agent continues them."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for slot in self._slots.values():
                self._pump(slot)
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None

    def restore(self, records: Iterable[VersionRecord], ready: frozenset[str]) -> None:
        """Takes over the versions on disk: a version counts as loaded if the server says so, stays evicted if
        it was evicted, and is loaded again otherwise."""
        for record in records:
            slot = self._slots[record.server_name] = Slot(record)
            if record.server_name in ready:
                self._work.move(slot, CopyState.LOADED)
                slot.tried = True
                self._budget.confirm(record.server_name, record.counted_bytes)
            elif record.evicted:
                self._work.move(slot, CopyState.EVICTED)
            else:
                self._work.move(slot, CopyState.LOADING)
                slot.wanted = ReloadLost(record)

    def loaded(self) -> dict[str, int]:
        """Returns the server-side names that should be loaded, each with the number of its state changes."""
        return {name: slot.moves for name, slot in self._slots.items() if slot.answers}

    def held_versions(self) -> Iterator[tuple[str, CopyState, int]]:
        """Yields the versions in memory, and those that were evicted, each with the bytes that it takes."""
        for name, slot in self._slots.items():
            if slot.state in _HELD:
                yield name, slot.state, slot.record.counted_bytes

    def state(self, server_name: str) -> CopyState:
        """Returns the state of a version, ABSENT where there is none."""
        slot = self._slots.get(server_name)
        return slot.state if slot is not None else CopyState.ABSENT

    @property
    def at_work(self) -> bool:
        """Says whether a version is being loaded or unloaded."""
        return any(slot.task is not None and not slot.resting for slot in self._slots.values())

    def first_loads(self) -> frozenset[str]:
        """Returns the versions of which no load has ended since this agent began, or since they came."""
        return frozenset(name for name, slot in self._slots.items() if slot.begins)

    def lost(
        self,
        seen: Mapping[str, int],
        troubles: Mapping[str, str],
        *,
        restarted: bool,
        under_way: Mapping[str, int] = _NOTHING,
    ) -> None:
        """Loads the versions again that the server has lost; a lost version that was to be evicted is
        evicted.

        `seen`: the lost part of an earlier `loaded()`. A version whose number of state changes has grown
        since then was loaded again meanwhile and is not lost. `troubles`: the server's words about those
        that hang. Unless the server was `restarted`, a version that is lost soon after each load stays off
        the server for longer each time. So does the only one whose requests were `under_way` when the server
        ended: its code may have ended the server, and would do so again and again.
        """
        now = asyncio.get_running_loop().time()
        suspects = {name: number for name, number in under_way.items() if name in self._slots}
        if suspects:
            log.warning("server ended while it answered", requests=suspects)
        for name, moves in seen.items():
            slot = self._slots.get(name)
            if slot is None or slot.task is not None or not slot.answers or slot.moves != moves:
                continue
            log.warning("server lost a model", server_name=name)
            if slot.state is CopyState.EVICTING:
                self._work.evicted(slot)
                continue
            if trouble := troubles.get(name):
                slot.wanted = ReloadLost(slot.record, trouble, slot.hang(now), NOT_RESPONDING)
            else:
                at_fault = not restarted or [*suspects] == [name]
                words = ended_words(name, suspects) if suspects else _LOST.format(name)
                rest = slot.lose(now) if at_fault else 0.0
                reason = SERVER_ENDED if name in suspects else NOT_READY
                slot.wanted = ReloadLost(slot.record, words, rest, reason)
            self._pump(slot)

    def failed_with(self) -> set[str]:
        """Returns the names of all Secrets that failed loads rested on."""
        return {name for slot in self._slots.values() for name in slot.rests_on}

    def causes_seen(self, marks: Mapping[str, str]) -> None:
        """Reports the failed versions again for which something has changed: they may be tried at once.

        `marks`: the present ones of Secrets and configuration; those of other names are not known.
        """
        for slot in self._slots.values():
            changed = [name for name, mark in slot.rests_on.items() if marks.get(name, mark) != mark]
            if changed and slot.task is None:
                log.info("cause of a failed load changed", server_name=slot.record.server_name, names=changed)
                slot.rests_on, slot.cause_gone = {}, True
                self._work.report(slot)

    def used(self, server_names: Iterable[str]) -> None:
        """Notes requests that Envoy sent directly to the server."""
        self._budget.touch(server_names)

    def remember(self, idle: Iterable[str], awaited: Iterable[str]) -> None:
        """Announces the eviction of versions for which nobody asks, unless they are busy, and brings evicted
        ones back."""
        leaving = [name for name in idle if not self._is_busy(name)]
        self._budget.leave(leaving)
        self._announce(leaving)
        for name in awaited:
            slot = self._slots.get(name)
            if slot is not None and slot.state is CopyState.EVICTED:
                self._return(slot)

    def submit(self, command: agent_pb2.Load | agent_pb2.Unload) -> None:
        """Accepts a command, in place of an earlier one for the same version that has not begun."""
        version = command.version
        name = server_name_of(version.name, version.number)
        slot = self._slots.get(name)
        if isinstance(command, agent_pb2.Unload):
            self._loader.forget(version.identity)
        if isinstance(command, agent_pb2.Unload) and (slot is None or slot.meant() != version.identity):
            self._work.answer_unknown(slot, version)
            return
        if slot is None:
            slot = self._slots[name] = Slot(new_record(version))
        if slot.wanted is None and (same(slot.doing, command) or is_here(slot, command)):
            self._work.report(slot)
            return
        if slot.wanted is None and slot.task is not None and not isinstance(slot.doing, agent_pb2.Unload):
            slot.task.cancel()
        slot.wanted = command
        self._pump(slot)

    def evict(self, command: agent_pb2.Evict) -> None:
        """Handles the scheduler's permission to evict. A permission for an older announcement is ignored."""
        slot = self._slots.get(server_name_of(command.version.name, command.version.number))
        is_current = (
            slot is not None
            and slot.state is CopyState.EVICTING
            and slot.task is None
            and (slot.record.identity, slot.eviction) == (command.version.identity, command.eviction)
        )
        if slot is not None and is_current:
            slot.wanted = command
            self._pump(slot)

    @asynccontextmanager
    async def hold(
        self, server_name: str, seconds: float, parent: SpanContext = UNTRACED
    ) -> AsyncIterator[Slot]:
        """Waits until the version is in memory, and keeps it there while the block runs.

        Raises HoldRefused after so many seconds, and in the block where an eviction waits for it too long.
        `parent`: the request's place in a trace.
        """
        slot = self._slots.get(server_name)
        if slot is None:
            raise HoldRefused("NoReplicaAvailable", f"{server_name} is not on this replica any more")
        slot.held += 1
        try:
            await self._in_memory(slot, seconds, parent)
            try:
                async with slot.passes():
                    yield slot
            except CutOff as error:
                told = f"its answer took more than {LATE_SECONDS:.0f} s while the model had to leave memory"
                raise HoldRefused("ModelNotInMemory", told) from error
            finally:
                self._budget.touch((server_name,))
        finally:
            slot.held -= 1
            slot.tell()
            self._budget.rebalance()

    async def _in_memory(self, slot: Slot, seconds: float, parent: SpanContext) -> None:
        try:
            with HELD_SECONDS.time(), slot.hold_span(self._tracer, parent):
                async with asyncio.timeout(seconds):
                    while not slot.answers:
                        self._bring_back(slot)
                        await slot.news()
        except TimeoutError as error:
            raise HoldRefused(
                "ModelNotInMemory",
                f"it is not in memory, and there was no room for it within {seconds:.0f} s",
            ) from error

    def _bring_back(self, slot: Slot) -> None:
        """Starts the load of an evicted version. Raises HoldRefused for a version that cannot be loaded."""
        if slot.state is CopyState.FAILED:
            raise HoldRefused(slot.reason, slot.message)
        if slot.state in _GONE or isinstance(slot.wanted, agent_pb2.Unload):
            raise HoldRefused("NoReplicaAvailable", "it is being taken off this replica")
        if slot.state is CopyState.EVICTED:
            self._return(slot)

    def _return(self, slot: Slot) -> None:
        """Starts the load of an evicted version, unless something is under way for it."""
        if slot.task is None and slot.wanted is None:
            RETURNS.inc()
            slot.wanted = BringBack(slot.record)
            self._pump(slot)

    def _announce(self, server_names: Iterable[str]) -> None:
        """Announces evictions to the scheduler. Until it permits them, requests are answered as before."""
        for name in server_names:
            slot = self._slots[name]
            slot.eviction += 1
            self._work.move(slot, CopyState.EVICTING)

    def _is_busy(self, server_name: str) -> bool:
        """Says whether a version may not be evicted: requests wait for it, or a command is under way."""
        slot = self._slots.get(server_name)
        return slot is None or slot.state != CopyState.LOADED or slot.held > 0 or slot.task is not None

    def _is_awaited(self, server_name: str) -> bool:
        """Says whether requests wait for a version."""
        slot = self._slots.get(server_name)
        return slot is not None and slot.held > 0

    def _pump(self, slot: Slot) -> None:
        """Starts the next command of a version, unless one is under way."""
        if slot.task is not None or slot.wanted is None or self._group is None:
            return
        slot.doing, slot.wanted = slot.wanted, None
        slot.task = self._group.create_task(self._work.carry_out(slot, slot.doing))
        slot.task.add_done_callback(lambda _: self._finished(slot))

    def _finished(self, slot: Slot) -> None:
        slot.task = slot.doing = None
        slot.granted = False
        if slot.wanted is None and slot.state is CopyState.UNLOADED:
            self._slots.pop(slot.record.server_name, None)
        slot.tell()
        self._pump(slot)
        self._budget.rebalance()
