"""The state of one version on this replica, its pending commands and waiting requests."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from bailie._gen import agent_pb2
from bailie.agent.store import VersionRecord
from bailie.kube.clock import utc_now
from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.retry import retry_delay
from bailie.lifecycle.wire import signature_to_wire, to_wire
from bailie.tracing.context import UNTRACED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractContextManager

    from bailie.tracing.context import SpanContext
    from bailie.tracing.tracer import Tracer

WELL_SECONDS = 60.0
"""A version that stayed loaded for this long counts as healthy: its earlier losses are forgotten."""

WELL_AFTER_HANGING_SECONDS = 3600.0
"""The same for one that hangs: that takes a minute to be seen, each time."""
_LOST_AGAIN = "the inference server said {} times in a row, soon after a load, that {} is not ready; {}"
_LONGEST_MESSAGE = 4000
"""Characters of a report: the log has the whole of an exception's text."""
NOT_READY = "ModelNotReady"
NOT_RESPONDING = "ModelNotResponding"
"""Reason of one that hangs."""
SERVER_ENDED = "ServerEnded"
"""Reason of one whose server ended while it answered."""


class CutOff(Exception):  # noqa: N818 - what became of a request
    """A request that the server was answering has ended, for its model had to leave memory."""


@dataclass(frozen=True, slots=True)
class ReloadLost:
    """Loads a version again that the server lost; `message` says how, empty at the start of the agent.

    The version stays off the server for `rest_seconds` first. `reason` is a token for the status.
    """

    record: VersionRecord
    message: str = ""
    rest_seconds: float = 0.0
    reason: str = NOT_READY


@dataclass(frozen=True, slots=True)
class BringBack:
    """Loads an evicted version again, because a request came for it."""

    record: VersionRecord


Command = agent_pb2.Load | agent_pb2.Unload | agent_pb2.Evict | ReloadLost | BringBack
_SPANS: Mapping[type[Command], str] = {
    agent_pb2.Load: "load",
    agent_pb2.Unload: "unload",
    agent_pb2.Evict: "evict",
    ReloadLost: "reload",
    BringBack: "bring back",
}
"""The names of commands in traces."""


@dataclass(slots=True)
class Slot:
    """One server-side name: the version there, the command under way, and the command that follows.

    `eviction` counts the announced evictions; `granted`: the scheduler has permitted the eviction, so Envoy
    sends no request directly to the server any more. `held` counts the requests that wait in this agent for
    the version, among them those of `passing`, which the server answers. `moves` counts the changes of state,
    `losses` how often in a row the version was lost soon after a load, `server_deaths` how often its load has
    ended the server; `tried`: a load of the version has ended, well or not; `resting`: its task waits for the
    end of a rest. `rests_on` are the marks of the failed load's Secrets (`LoadFailed.rests_on`);
    `cause_gone`: a Secret has changed since, so the scheduler need not wait.
    """

    record: VersionRecord
    state: CopyState = CopyState.ABSENT
    reason: str = ""
    message: str = ""
    doing: Command | None = None
    task: asyncio.Task[None] | None = None
    wanted: Command | None = None
    eviction: int = 0
    granted: bool = False
    held: int = 0
    passing: set[asyncio.Timeout] = field(default_factory=set)
    moves: int = 0
    losses: int = 0
    deaths: int = 0
    rests_on: Mapping[str, str] = field(default_factory=dict)
    cause_gone: bool = False
    loaded_at: float = -math.inf
    tried: bool = False
    resting: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def meant(self) -> str:
        """Returns the identity of the version that the newest command names."""
        for command in (self.wanted, self.doing):
            if isinstance(command, agent_pb2.Load | agent_pb2.Unload):
                return command.version.identity
        return self.record.identity

    def command_span(self, tracer: Tracer, command: Command) -> AbstractContextManager[None]:
        """Returns the span of a command that is carried out in a block."""
        return tracer.span(_SPANS[type(command)], None, **self._named)

    def hold_span(self, tracer: Tracer, parent: SpanContext) -> AbstractContextManager[None]:
        """Returns the span of a request that waits in a block; none where the version is in memory."""
        return tracer.span("hold", UNTRACED if self.answers else parent, **self._named)

    @property
    def _named(self) -> Mapping[str, str]:
        return {"model": self.record.name, "version": self.record.server_name}

    def rest_words(self, command: ReloadLost) -> str:
        """Returns why the version rests from now on, and until when."""
        end = utc_now() + timedelta(seconds=command.rest_seconds)
        then = f"it is loaded again at {end:%H:%M:%SZ}"
        if command.reason in {NOT_RESPONDING, SERVER_ENDED}:
            return f"{command.message}; {then}"
        return _LOST_AGAIN.format(self.losses, self.record.server_name, then)

    @property
    def begins(self) -> bool:
        """Says whether the version's first load is under way, or waits for its turn."""
        newest = self.doing if self.wanted is None else self.wanted
        return isinstance(newest, agent_pb2.Load | ReloadLost) and not self.tried

    @property
    def answers(self) -> bool:
        """Says whether a request may be passed on: the version is loaded and stays so while it is
        answered."""
        return self.state is CopyState.LOADED or (self.state is CopyState.EVICTING and not self.granted)

    def lose(self, now: float) -> float:
        """Counts a loss that only the model explains; returns for how many seconds the version is to rest."""
        self._count_loss(now, WELL_SECONDS)
        return retry_delay(self.losses - 1) if self.losses > 1 else 0.0

    def hang(self, now: float) -> float:
        """Counts that it hung; returns how many seconds it is to rest, from the first time on."""
        self._count_loss(now, WELL_AFTER_HANGING_SECONDS)
        return retry_delay(self.losses)

    def _count_loss(self, now: float, well_seconds: float) -> None:
        self.losses = 1 if now - self.loaded_at >= well_seconds else self.losses + 1

    def report(self) -> agent_pb2.ModelReport:
        """Returns the version's state as the scheduler is told it."""
        record = self.record
        return agent_pb2.ModelReport(
            version=agent_pb2.ModelVersion(name=record.name, identity=record.identity, number=record.number),
            state=to_wire(self.state),
            reason=self.reason,
            message=self.message[:_LONGEST_MESSAGE],
            declared_bytes=record.declared_bytes,
            measured_bytes=record.measured_bytes,
            measured_at_least=record.measured_at_least,
            workers=record.workers,
            eviction=self.eviction,
            deaths=self.deaths,
            artifact_path=record.path,
            ignored=record.ignored,
            cause_gone=self.cause_gone,
            signature=signature_to_wire(record.signature),
        )

    @asynccontextmanager
    async def passes(self) -> AsyncIterator[None]:
        """Counts a request that the server answers while the block runs. Raises CutOff where `cut_off` ends
        it."""
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self.passing.add(limit)
                try:
                    yield
                finally:
                    self.passing.discard(limit)
        except TimeoutError as error:
            if limit.expired():
                raise CutOff from error
            raise

    def cut_off(self) -> int:
        """Ends the requests that the server is still answering; returns how many."""
        now = asyncio.get_running_loop().time()
        for limit in self.passing:
            limit.reschedule(now)
        return len(self.passing)

    def tell(self) -> None:
        """Wakes all that wait in `news`."""
        self._news.set()
        self._news = asyncio.Event()

    async def news(self) -> None:
        """Waits until the state or the requests of this version change."""
        await self._news.wait()


def same(doing: Command | None, command: Command) -> bool:
    """Says whether a command asks for the work that is under way."""
    if isinstance(doing, agent_pb2.Load) and isinstance(command, agent_pb2.Load):
        return doing.version == command.version
    if isinstance(doing, ReloadLost | BringBack) and isinstance(command, agent_pb2.Load):
        return doing.record.identity == command.version.identity
    return type(doing) is type(command)


def is_here(slot: Slot, command: agent_pb2.Load | agent_pb2.Unload) -> bool:
    """Says whether a load asks for content that this replica has, in memory or evicted."""
    same_content = slot.record.identity == command.version.identity
    leaving = slot.state in {CopyState.EVICTING, CopyState.EVICTED}
    return isinstance(command, agent_pb2.Load) and same_content and leaving


def new_record(version: agent_pb2.ModelVersion) -> VersionRecord:
    """Returns a new version's record."""
    return VersionRecord(name=version.name, identity=version.identity, number=version.number)
