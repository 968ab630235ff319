"""Loads and unloads one version: fetch, prepare, install, load by the server, measure.

`models` calls it, one call per version at a time, and reports the result. A call that is cancelled or fails
leaves nothing half done behind: downloads go, and the repository holds a version whole or not at all.

A load may end the server, or block it for all callers. This module finds the version that did: a version that
was loading alone is to blame; if several were loading, each is tried again, alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import structlog

from bailie.agent.data_plane import addressed
from bailie.agent.errors import LoadFailed, ServerError, disk_error
from bailie.agent.load_order import LoadVerdict, Rank
from bailie.agent.load_queue import LoadQueue, said_after
from bailie.agent.memory_growth import Measure, MemoryGrowth, better
from bailie.agent.metrics import STAGE_SECONDS
from bailie.agent.repository.server_words import ServerWords, read_filenames
from bailie.agent.store import VersionRecord
from bailie.agent.threads import in_thread
from bailie.api.texts import counted
from bailie.lifecycle.retry import LONGEST_SECONDS, MOST_DEATHS, given_up

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bailie._gen import agent_pb2
    from bailie.agent.artifacts import Artifacts
    from bailie.agent.load_queue import Say, Turn
    from bailie.agent.memory import Reading, ServerMemory
    from bailie.agent.memory_budget import MemoryBudget
    from bailie.agent.repository import Prepare, Runtime
    from bailie.agent.server import InferenceServer
    from bailie.agent.server_deaths import ServerDeaths
    from bailie.agent.settings import Settings
    from bailie.agent.store import Store

log = structlog.get_logger(__name__)

_UNLOAD_BACKOFF_SECONDS = 30.0
_FATAL = {
    "ServerCrashed": "the inference server ended",
    "ServerBlocked": "the inference server answered no request for {:.0f} s, and is to be restarted,",
}
"""Reasons of a load that took the server from every other model, each with a phrase for the event."""


class Loader(Protocol):
    """The work that `models` asks for. `say` is called with a sentence when a load waits or takes long."""

    async def load(self, command: agent_pb2.Load, rank: Rank, say: Say) -> VersionRecord:
        """Fetches and loads the version. Raises LoadFailed; then nothing of the version is left."""

    async def reload(self, record: VersionRecord, rank: Rank, say: Say) -> VersionRecord:
        """Loads a version that is on disk. Raises LoadFailed; then nothing of the version is left."""

    async def evict(self, record: VersionRecord) -> None:
        """Unloads the version from the server and leaves it on disk; repeats until it is unloaded."""

    async def take_off(self, server_name: str) -> None:
        """Unloads the version from the server for a time; repeats until it is unloaded."""

    async def unload(self, server_name: str) -> None:
        """Removes the version from the server and from disk; repeats until it is removed."""

    def forget(self, identity: str) -> None:
        """Drops the counted deaths of a version that is not wanted any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queues:
    """The queues of loads by the resource that they wait for. Copies of local paths have a queue of their
    own, so that no download that hangs delays them."""

    downloads: LoadQueue
    copies: LoadQueue
    server: LoadQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """The real Loader. `queues` bound how many downloads, copies and loads happen at one time."""

    settings: Settings
    artifacts: Artifacts
    prepare: Prepare
    runtime: Runtime
    store: Store
    server: InferenceServer
    memory: ServerMemory
    growth: MemoryGrowth
    budget: MemoryBudget
    queues: Queues
    deaths: ServerDeaths

    async def adopt(self, server_names: Iterable[str]) -> None:
        """Notes the versions that the server had loaded when this agent started."""
        runtimes = [self.runtime(self.store.folder(name)) for name in server_names]
        if runtimes:
            self.growth.adopt((await self.memory.read()).process, runtimes)

    async def load(self, command: agent_pb2.Load, rank: Rank, say: Say) -> VersionRecord:
        """Fetches, prepares, installs and loads. Raises LoadFailed."""
        self._refuse_given_up(command.version)
        record = VersionRecord(
            name=command.version.name,
            identity=command.version.identity,
            number=command.version.number,
            declared_bytes=command.memory_bytes,
            workers=max(1, self.settings.parallel_workers),
        )
        queue = self.queues.copies if _is_local(command.source) else self.queues.downloads
        async with queue.turn(record.server_name, rank, say):
            record = await self._install(command.source, record)
        return await self.reload(record, rank, say)

    def _refuse_given_up(self, version: agent_pb2.ModelVersion) -> None:
        deaths = self.deaths.of(version.identity)
        if given_up(deaths):
            raise LoadFailed(
                "ServerCrashed",
                f"given up until its spec changes: its load has ended the inference server {deaths} times",
                deaths,
            )

    async def _install(self, source: agent_pb2.ModelSource, record: VersionRecord) -> VersionRecord:
        try:
            workplace = self.store.workplace(record.server_name)
        except OSError as error:
            raise disk_error(error, f"making a folder for {record.server_name}") from error
        try:
            artifact = workplace / "artifact"
            artifact.mkdir()
            with STAGE_SECONDS.labels("fetch").time():
                await self.artifacts.fetch(source, artifact)
            return await in_thread(self._put, workplace, source, record)
        except OSError as error:
            raise disk_error(error, f"preparing {record.server_name}") from error
        finally:
            await in_thread(self.store.discard, workplace)

    def _put(self, workplace: Path, source: agent_pb2.ModelSource, record: VersionRecord) -> VersionRecord:
        prepared, source = workplace / "prepared", addressed(source, self.settings)
        words = ServerWords(
            self.settings.server, self.settings.parallel_workers, read_filenames(self.store.models)
        )
        made = self.prepare(workplace / "artifact", prepared, source, record.server_name, words)
        record = replace(record, path=made.path, ignored=made.ignored)
        self.store.install(prepared, record)
        return record

    async def reload(self, record: VersionRecord, rank: Rank, say: Say) -> VersionRecord:
        """Loads a version of the repository and measures the memory that it took. Raises LoadFailed."""
        if not self.store.has(record.server_name):
            raise LoadFailed(
                "ArtifactLost", f"the folder of {record.server_name} is gone from the agent's volume"
            )
        try:
            loaded = await self._serve(replace(record, evicted=False), rank, say)
        except LoadFailed as error:
            await self._forget(record.server_name, error)
            raise
        if loaded.signature is None:
            loaded = replace(loaded, signature=await self.server.signature(record.server_name))
        self.store.record(loaded)
        return loaded

    async def _serve(self, record: VersionRecord, rank: Rank, say: Say) -> VersionRecord:
        """Loads the version once the budget has memory for it; the memory is released if the load fails."""
        with said_after(say, "waits for room in the inference server's memory"):
            await self.budget.reserve(record.server_name, record.counted_bytes)
        loaded: VersionRecord | None = None
        try:
            loaded = await self._serve_in_turn(record, rank, say)
        finally:
            if loaded is None:
                self.budget.release(record.server_name)
            else:
                self.budget.confirm(record.server_name, loaded.counted_bytes)
        return loaded

    async def _serve_in_turn(self, record: VersionRecord, rank: Rank, say: Say) -> VersionRecord:
        """Loads in turn. If the server ends while several versions load, each load is repeated: only one of
        them is to blame."""
        suspected_from = 0.0
        while True:
            await self._up(say)  # before the turn: a load that waits for the server must not take a place
            async with self.queues.server.turn(
                record.server_name, rank, say, suspected_from=suspected_from
            ) as turn:
                try:
                    await self._up(say)
                    return await self._serve_now(record, turn)
                except ServerError as error:
                    if error.reason not in _FATAL or not self.deaths.open:
                        raise
                    found = self.queues.server.judge(turn)
                    if found is LoadVerdict.GUILTY:
                        raise self._convicted(record, error) from error
                    log.warning("server went", server_name=record.server_name, this_load=found.value)
            # Below FIRST: versions that served until now are loaded before one that may hang for long.
            rank = max(rank, Rank.AGAIN)
            if found is LoadVerdict.SUSPECT:
                rank, suspected_from = Rank.SUSPECT, turn.worked_from
                say("the inference server ended while it loaded this and other models; each is tried apart")

    async def _up(self, say: Say) -> None:
        with said_after(say, "waits for the inference server to answer"):
            await self.server.wait_until_up(self.settings.server_wait_seconds)

    async def _serve_now(self, record: VersionRecord, turn: Turn) -> VersionRecord:
        self.queues.server.begin(turn)
        before = await self.memory.read()
        with STAGE_SECONDS.labels("load").time():
            await self.server.load(
                record.server_name, self.settings.load_seconds, self.settings.blocked_seconds
            )
        return self._measured(record, before, await self.memory.read(), alone=turn.alone)

    def _convicted(self, record: VersionRecord, error: ServerError) -> LoadFailed:
        deaths = self.deaths.count(record.identity)
        happened = _FATAL[error.reason].format(self.settings.blocked_seconds)
        then = (
            "it is given up until its spec changes"
            if given_up(deaths)
            else f"it is tried again in {LONGEST_SECONDS / 60:.0f} minutes, and given up after {MOST_DEATHS}"
        )
        told = f"{happened} while it was loading this version ({counted(deaths, 'time')}; {then})"
        log.error("load ended the server", server_name=record.server_name, deaths=deaths, error=error.message)
        return LoadFailed(error.reason, told, deaths)

    def _measured(
        self, record: VersionRecord, before: Reading, after: Reading, *, alone: bool
    ) -> VersionRecord:
        """Returns the record with the memory that this load and earlier loads of the version took."""
        runtime = self.runtime(self.store.folder(record.server_name))
        new = self.growth.judge(before, after, runtime=runtime, workers=record.workers, alone=alone)
        measure = better(Measure(record.measured_bytes, record.measured_at_least), new)
        log.info(
            "load measured",
            server_name=record.server_name,
            before=before.used_bytes,
            after=after.used_bytes,
            model=measure.used_bytes,
            at_least=measure.at_least,
            declared=record.declared_bytes * record.workers,
        )
        return replace(record, measured_bytes=measure.used_bytes, measured_at_least=measure.at_least)

    async def _forget(self, server_name: str, why: LoadFailed) -> None:
        """Removes a version that did not load; the server may hold a part of it, unless it is restarted."""
        self.growth.freed()
        try:
            if why.reason not in _FATAL:
                await self.server.unload(server_name)
        except ServerError as error:
            log.info("version that failed was not unloaded", server_name=server_name, error=error.message)
        await in_thread(self.store.remove, server_name)

    async def evict(self, record: VersionRecord) -> None:
        """Unloads, after the eviction was noted on disk: an agent that ends in between finds it evicted."""
        await asyncio.sleep(self.settings.settle_seconds)
        await self.server.catch_up()
        try:
            self.store.record(replace(record, evicted=True))
        except OSError as error:
            log.warning("eviction not noted", server_name=record.server_name, error=str(error))
        await self.take_off(record.server_name)

    async def unload(self, server_name: str) -> None:
        """Unloads, then deletes."""
        await self.take_off(server_name)
        await in_thread(self.store.remove, server_name)

    async def take_off(self, server_name: str) -> None:
        """Unloads. A server that is gone holds nothing; a server that hangs is asked again."""
        delay = 1.0
        self.growth.freed()
        while True:
            try:
                await self.server.unload(server_name)
                break
            except ServerError as error:
                if error.reason == "ServerUnavailable":
                    break
                log.warning("unload failed, repeating", server_name=server_name, error=error.message)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _UNLOAD_BACKOFF_SECONDS)

    def forget(self, identity: str) -> None:
        """Drops the counted deaths of a version that is not wanted any more."""
        self.deaths.forget(identity)


def _is_local(source: agent_pb2.ModelSource) -> bool:
    return source.storage_uri.startswith(("/", "file:", "pvc://"))
