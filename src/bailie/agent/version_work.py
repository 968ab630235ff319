"""Carries out one command of one version: loads, loads again, evicts or unloads, and reports each state.

Used by `models`, which decides what each version does next. The states and their order are those of
`lifecycle.copies`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from bailie._gen import agent_pb2
from bailie.agent.errors import LoadFailed
from bailie.agent.load_order import Rank
from bailie.agent.metrics import EVICTIONS, LOADS, UNLOADS
from bailie.agent.model_state import BringBack, ReloadLost, new_record
from bailie.lifecycle.copies import AGENT_TRANSITIONS, CopyState
from bailie.lifecycle.wire import to_wire

if TYPE_CHECKING:
    from bailie.agent.load_queue import Say
    from bailie.agent.loading import Loader
    from bailie.agent.memory_budget import MemoryBudget
    from bailie.agent.model_state import Command, Slot
    from bailie.agent.outbox import Outbox
    from bailie.agent.store import VersionRecord
    from bailie.tracing.tracer import Tracer

log = structlog.get_logger(__name__)

LATE_SECONDS = 300.0
"""How long an eviction waits for requests that the server is answering; new requests for the version wait
meanwhile, and a caller may read an endless stream."""


class VersionWork:
    """The work on versions, one call of `carry_out` per version at a time."""

    def __init__(self, loader: Loader, outbox: Outbox, budget: MemoryBudget, tracer: Tracer) -> None:
        self._loader, self._outbox, self._budget, self._tracer = loader, outbox, budget, tracer

    def evicted(self, slot: Slot) -> None:
        """Notes that a version has left the server's memory."""
        EVICTIONS.inc()
        slot.granted = False
        slot.record = replace(slot.record, evicted=True)
        self.move(slot, CopyState.EVICTED)
        self._budget.release(slot.record.server_name)

    def answer_unknown(self, slot: Slot | None, version: agent_pb2.ModelVersion) -> None:
        """Answers Unload of an unknown version; a version that is being replaced is reported when it is
        gone."""
        if slot is None or slot.record.identity != version.identity:
            self._outbox.publish(agent_pb2.ModelReport(version=version, state=to_wire(CopyState.UNLOADED)))

    async def carry_out(self, slot: Slot, command: Command) -> None:
        """Carries a command out, and reports how it ended."""
        try:
            with slot.command_span(self._tracer, command):
                await self._obey(slot, command)
        except LoadFailed as error:
            slot.deaths, slot.rests_on = error.deaths, error.rests_on
            self._failed(slot, error.reason, error.message)
        except Exception as error:
            log.exception("command failed unexpectedly", server_name=slot.record.server_name)
            self._failed(slot, "InternalError", f"the agent failed: {type(error).__name__}: {error}")

    async def _obey(self, slot: Slot, command: Command) -> None:
        if isinstance(command, agent_pb2.Unload):
            await self._unload(slot)
            self.answer_unknown(slot, command.version)
        elif isinstance(command, agent_pb2.Evict):
            await self._evict(slot)
        elif isinstance(command, ReloadLost):
            await self._reload(slot, command)
        elif isinstance(command, BringBack):
            self._loaded(slot, await self._loader.reload(command.record, Rank.RETURN, self._say(slot)))
        else:
            await self._load(slot, command)

    async def _load(self, slot: Slot, command: agent_pb2.Load) -> None:
        if slot.record.identity != command.version.identity:
            await self._unload(slot)
            slot.record, slot.losses, slot.tried = new_record(command.version), 0, False
        slot.record = replace(slot.record, declared_bytes=command.memory_bytes)
        if slot.state in {CopyState.LOADED, CopyState.EVICTING, CopyState.EVICTED}:
            self.report(slot)
            return
        rank = Rank.AGAIN if slot.state is CopyState.FAILED else Rank.FIRST
        self.move(slot, CopyState.LOADING)
        self._loaded(slot, await self._loader.load(command, rank, self._say(slot)))

    async def _reload(self, slot: Slot, command: ReloadLost) -> None:
        if command.rest_seconds:
            await self._rest(slot, command)
        self.move(slot, CopyState.LOADING, command.reason if command.message else "", command.message)
        self._budget.release(slot.record.server_name)
        rank = Rank.AGAIN if slot.losses > 1 else Rank.FIRST
        self._loaded(slot, await self._loader.reload(command.record, rank, self._say(slot)))

    def _say(self, slot: Slot) -> Say:
        """Returns a function that reports why a load takes long, behind the message that the load began
        with."""
        reason, begun_with = slot.reason, slot.message

        def say(text: str) -> None:
            told = f"{begun_with}; {text}" if begun_with else text
            if slot.state in {CopyState.LOADING, CopyState.EVICTED} and told != slot.message:
                self.move(slot, slot.state, reason, told)

        return say

    async def _rest(self, slot: Slot, command: ReloadLost) -> None:
        """Keeps a version off the server for a time, so that the server's other models are ready."""
        name = slot.record.server_name
        self.move(slot, CopyState.LOADING, command.reason, slot.rest_words(command))
        slot.resting = True
        try:
            await self._loader.take_off(name)
            self._budget.release(name)
            await asyncio.sleep(command.rest_seconds)
        finally:
            slot.resting = False

    async def _evict(self, slot: Slot) -> None:
        """Evicts the version after the requests that the server is answering, but for those that take too
        long; new requests wait from here on."""
        slot.granted = True
        try:
            async with asyncio.timeout(LATE_SECONDS):
                while slot.passing:
                    await slot.news()
        except TimeoutError:
            name, number = slot.record.server_name, slot.cut_off()
            log.warning(
                "requests ended for an eviction", server_name=name, requests=number, after=LATE_SECONDS
            )
        await self._loader.evict(slot.record)
        self.evicted(slot)

    async def _unload(self, slot: Slot) -> None:
        if slot.state not in {CopyState.ABSENT, CopyState.FAILED, CopyState.UNLOADED}:
            self.move(slot, CopyState.UNLOADING)
            await self._loader.unload(slot.record.server_name)
            UNLOADS.inc()
        self.move(slot, CopyState.UNLOADED)
        self._budget.release(slot.record.server_name)

    def _loaded(self, slot: Slot, record: VersionRecord) -> None:
        LOADS.labels("").inc()
        slot.record, slot.deaths, slot.tried = record, 0, True
        slot.loaded_at = asyncio.get_running_loop().time()
        self.move(slot, CopyState.LOADED)

    def _failed(self, slot: Slot, reason: str, message: str) -> None:
        state = CopyState.FAILED if CopyState.FAILED in AGENT_TRANSITIONS[slot.state] else slot.state
        log.warning("load failed", server_name=slot.record.server_name, reason=reason, message=message)
        LOADS.labels(reason).inc()
        slot.tried = True
        self.move(slot, state, reason, message)

    def move(self, slot: Slot, state: CopyState, reason: str = "", message: str = "") -> None:
        """Brings a version into another state, and reports it."""
        if state not in AGENT_TRANSITIONS[slot.state]:
            before, after = slot.state.name, state.name
            raise AssertionError(f"{slot.record.server_name} cannot go from {before} to {after}")
        slot.cause_gone = False
        if state is not CopyState.FAILED:
            slot.rests_on = {}
        if state != slot.state:
            said = state.name.lower()
            log.info("model moved", server_name=slot.record.server_name, state=said)
            slot.moves += 1
        slot.state, slot.reason, slot.message = state, reason, message
        slot.tell()
        self.report(slot)

    def report(self, slot: Slot) -> None:
        """Reports the state that a version is in."""
        self._outbox.publish(slot.report())
