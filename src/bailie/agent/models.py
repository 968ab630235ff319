"""The models of this replica: one small state machine per version, one worker per version at work.

`session` submits commands, `monitor` says what the server lost; reports go to the outbox. Commands are
safe to repeat: the newest per version wins, and a load that is not wanted any more is cancelled. A version
is known by its server-side name, so two identities with one number follow each other there, never overlap.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from bailie._gen import agent_pb2
from bailie.agent.errors import LoadFailed
from bailie.agent.metrics import LOADS
from bailie.agent.store import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.agent.loading import Loader
    from bailie.agent.outbox import Outbox

log = structlog.get_logger(__name__)

ABSENT = agent_pb2.MODEL_STATE_UNSPECIFIED
LOADING = agent_pb2.MODEL_STATE_LOADING
LOADED = agent_pb2.MODEL_STATE_LOADED
FAILED = agent_pb2.MODEL_STATE_FAILED
UNLOADING = agent_pb2.MODEL_STATE_UNLOADING
UNLOADED = agent_pb2.MODEL_STATE_UNLOADED

TRANSITIONS: dict[agent_pb2.ModelState, frozenset[agent_pb2.ModelState]] = {
    ABSENT: frozenset({LOADING, LOADED, UNLOADED}),  # LOADED: found so at the start
    LOADING: frozenset({LOADING, LOADED, FAILED, UNLOADING}),
    LOADED: frozenset({LOADED, LOADING, UNLOADING}),  # LOADING: the server lost it
    FAILED: frozenset({FAILED, LOADING, UNLOADED}),
    UNLOADING: frozenset({UNLOADING, UNLOADED}),
    UNLOADED: frozenset({UNLOADED, LOADING}),
}
"""From each state, what may come next."""
_LOST = "the inference server no longer says that {} is ready; it is being loaded again"


@dataclass(frozen=True, slots=True)
class Reload:
    """The server lost a version that is on disk; `message` says how, empty at the start of the agent."""

    record: Record
    message: str = ""


Command = agent_pb2.Load | agent_pb2.Unload | Reload


@dataclass(slots=True)
class _Slot:
    """One server-side name: what is there, what is being done, and what is wanted next."""

    record: Record
    state: agent_pb2.ModelState = ABSENT
    reason: str = ""
    message: str = ""
    doing: Command | None = None
    task: asyncio.Task[None] | None = None
    wanted: Command | None = None

    def meant(self) -> str:
        """Returns the identity that the newest command is about."""
        for command in (self.wanted, self.doing):
            if isinstance(command, agent_pb2.Load | agent_pb2.Unload):
                return command.version.identity
        return self.record.identity


class Models:
    """Carries out commands. `run` must be running while commands are submitted."""

    def __init__(self, loader: Loader, outbox: Outbox) -> None:
        self._loader = loader
        self._outbox = outbox
        self._slots: dict[str, _Slot] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Works until cancelled; what is under way then is cancelled too and left to the next start."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for slot in self._slots.values():
                self._pump(slot)
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None

    def restore(self, records: Iterable[Record], ready: frozenset[str]) -> None:
        """Takes over what is on disk: loaded where the server says so, else it is loaded again."""
        for record in records:
            slot = self._slots[record.server_name] = _Slot(record)
            if record.server_name in ready:
                self._move(slot, LOADED)
            else:
                self._move(slot, LOADING)
                slot.wanted = Reload(record)

    def loaded(self) -> frozenset[str]:
        """Returns the server-side names that should be loaded."""
        return frozenset(name for name, slot in self._slots.items() if slot.state == LOADED)

    @property
    def at_work(self) -> bool:
        """Whether anything is being loaded or unloaded."""
        return any(slot.task is not None for slot in self._slots.values())

    def lost(self, server_names: Iterable[str]) -> None:
        """Loads again what the server does not have any more."""
        for name in server_names:
            slot = self._slots.get(name)
            if slot is not None and slot.state == LOADED and slot.task is None:
                log.warning("server lost a model, loading it again", server_name=name)
                slot.wanted = Reload(slot.record, _LOST.format(name))
                self._pump(slot)

    def submit(self, command: agent_pb2.Load | agent_pb2.Unload) -> None:
        """Takes a command; the newest per version wins."""
        version = command.version
        name = f"{version.name}_{version.number}"
        slot = self._slots.get(name)
        if isinstance(command, agent_pb2.Unload) and (slot is None or slot.meant() != version.identity):
            self._answer_unknown(slot, version)
            return
        if slot is None:
            slot = self._slots[name] = _Slot(_record(version))
        if slot.wanted is None and _same(slot.doing, command):
            self._report(slot)
            return
        if slot.wanted is None and slot.task is not None and not isinstance(slot.doing, agent_pb2.Unload):
            slot.task.cancel()
        slot.wanted = command
        self._pump(slot)

    def _answer_unknown(self, slot: _Slot | None, version: agent_pb2.ModelVersion) -> None:
        """Answers Unload of what is not there; a version that is being replaced is reported when it is
        gone."""
        if slot is None or slot.record.identity != version.identity:
            self._outbox.publish(agent_pb2.ModelReport(version=version, state=UNLOADED))

    def _pump(self, slot: _Slot) -> None:
        """Starts the work wanted next, when none is under way."""
        if slot.task is not None or slot.wanted is None or self._group is None:
            return
        slot.doing, slot.wanted = slot.wanted, None
        slot.task = self._group.create_task(self._carry_out(slot, slot.doing))
        slot.task.add_done_callback(lambda _: self._finished(slot))

    def _finished(self, slot: _Slot) -> None:
        slot.task = slot.doing = None
        if slot.wanted is None and slot.state == UNLOADED:
            self._slots.pop(slot.record.server_name, None)
        self._pump(slot)

    async def _carry_out(self, slot: _Slot, command: Command) -> None:
        try:
            if isinstance(command, agent_pb2.Unload):
                await self._unload(slot)
                self._answer_unknown(slot, command.version)
            elif isinstance(command, Reload):
                self._move(slot, LOADING, "ModelNotReady" if command.message else "", command.message)
                self._loaded(slot, await self._loader.reload(command.record))
            else:
                await self._load(slot, command)
        except LoadFailed as error:
            self._failed(slot, error.reason, error.message)
        except Exception as error:
            log.exception("command failed unexpectedly", server_name=slot.record.server_name)
            self._failed(slot, "InternalError", f"the agent failed: {type(error).__name__}: {error}")

    async def _load(self, slot: _Slot, command: agent_pb2.Load) -> None:
        if slot.record.identity != command.version.identity:
            await self._unload(slot)
            slot.record = _record(command.version)
        slot.record = replace(slot.record, declared_bytes=command.memory_bytes)
        if slot.state == LOADED:
            self._report(slot)
            return
        self._move(slot, LOADING)
        self._loaded(slot, await self._loader.load(command))

    async def _unload(self, slot: _Slot) -> None:
        if slot.state in {LOADING, LOADED, UNLOADING}:
            self._move(slot, UNLOADING)
            await self._loader.unload(slot.record.server_name)
        self._move(slot, UNLOADED)

    def _loaded(self, slot: _Slot, record: Record) -> None:
        LOADS.labels("").inc()
        slot.record = record
        self._move(slot, LOADED)

    def _failed(self, slot: _Slot, reason: str, message: str) -> None:
        state = FAILED if FAILED in TRANSITIONS[slot.state] else slot.state
        log.warning("load failed", server_name=slot.record.server_name, reason=reason, message=message)
        LOADS.labels(reason).inc()
        self._move(slot, state, reason, message)

    def _move(self, slot: _Slot, state: agent_pb2.ModelState, reason: str = "", message: str = "") -> None:
        if state not in TRANSITIONS[slot.state]:
            before, after = agent_pb2.ModelState.Name(slot.state), agent_pb2.ModelState.Name(state)
            raise AssertionError(f"{slot.record.server_name} cannot go from {before} to {after}")
        if state != slot.state:
            said = agent_pb2.ModelState.Name(state).removeprefix("MODEL_STATE_").lower()
            log.info("model moved", server_name=slot.record.server_name, state=said)
        slot.state, slot.reason, slot.message = state, reason, message
        self._report(slot)

    def _report(self, slot: _Slot) -> None:
        record = slot.record
        self._outbox.publish(
            agent_pb2.ModelReport(
                version=agent_pb2.ModelVersion(
                    name=record.name, identity=record.identity, number=record.number
                ),
                state=slot.state,
                reason=slot.reason,
                message=slot.message,
                declared_bytes=record.declared_bytes,
                measured_bytes=record.measured_bytes,
                measured_at_least=record.measured_at_least,
                workers=record.workers,
            )
        )


def _record(version: agent_pb2.ModelVersion) -> Record:
    return Record(name=version.name, identity=version.identity, number=version.number)


def _same(doing: Command | None, command: Command) -> bool:
    """Whether a command asks for what is being done."""
    if isinstance(doing, agent_pb2.Load) and isinstance(command, agent_pb2.Load):
        return doing.version == command.version
    if isinstance(doing, Reload) and isinstance(command, agent_pb2.Load):
        return doing.record.identity == command.version.identity
    return type(doing) is type(command)
