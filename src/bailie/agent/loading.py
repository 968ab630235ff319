"""Loads and unloads one version: fetch, prepare, install, load by the server, measure.

`models` calls it, one call per version at a time, and reports what comes out. A call that is cancelled or
fails leaves nothing half done behind: downloads go, and the repository holds a version whole or not at all.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import structlog

from bailie.agent.data_plane import addressed
from bailie.agent.errors import LoadFailed, ServerError, disk_error
from bailie.agent.measuring import Measure, Measuring, better
from bailie.agent.metrics import STAGE_SECONDS
from bailie.agent.store import Record
from bailie.agent.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bailie._gen import agent_pb2
    from bailie.agent.artifacts import Artifacts
    from bailie.agent.memory import Reading, ServerMemory
    from bailie.agent.repository import Prepare, Runtime
    from bailie.agent.room import Room
    from bailie.agent.server import InferenceServer
    from bailie.agent.settings import Settings
    from bailie.agent.store import Store

log = structlog.get_logger(__name__)

_UNLOAD_BACKOFF_SECONDS = 30.0


class Loader(Protocol):
    """What `models` needs."""

    async def load(self, command: agent_pb2.Load) -> Record:
        """Makes the version loaded. Raises LoadFailed, and then nothing of it is left."""

    async def reload(self, record: Record) -> Record:
        """Has the server load what is on disk. Raises LoadFailed, and then nothing of it is left."""

    async def evict(self, record: Record) -> None:
        """Takes the version out of the server and leaves it on disk; repeats until it is out."""

    async def take_off(self, server_name: str) -> None:
        """Takes the version out of the server, as if it were to be loaded again; repeats until it is out."""

    async def unload(self, server_name: str) -> None:
        """Makes the version gone, from the server and from disk; repeats until it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """The real Loader. `downloads` and `server_turn` bound what happens at one time."""

    settings: Settings
    artifacts: Artifacts
    prepare: Prepare
    runtime: Runtime
    store: Store
    server: InferenceServer
    memory: ServerMemory
    measuring: Measuring
    room: Room
    downloads: asyncio.Semaphore
    server_turn: asyncio.Lock

    async def adopt(self, server_names: Iterable[str]) -> None:
        """Takes note of what the server had loaded when this agent started."""
        runtimes = [self.runtime(self.store.folder(name)) for name in server_names]
        if runtimes:
            self.measuring.adopt((await self.memory.read()).process, runtimes)

    async def load(self, command: agent_pb2.Load) -> Record:
        """Fetches, prepares, installs and loads. Raises LoadFailed."""
        record = Record(
            name=command.version.name,
            identity=command.version.identity,
            number=command.version.number,
            declared_bytes=command.memory_bytes,
            workers=max(1, self.settings.parallel_workers),
        )
        async with self.downloads:
            await self._install(command.source, record)
        return await self.reload(record)

    async def _install(self, source: agent_pb2.ModelSource, record: Record) -> None:
        try:
            workplace = self.store.workplace(record.server_name)
        except OSError as error:
            raise disk_error(error, f"making a folder for {record.server_name}") from error
        try:
            artifact = workplace / "artifact"
            artifact.mkdir()
            with STAGE_SECONDS.labels("fetch").time():
                await self.artifacts.fetch(source, artifact)
            await in_thread(self._put, workplace, source, record)
        except OSError as error:
            raise disk_error(error, f"preparing {record.server_name}") from error
        finally:
            await in_thread(self.store.discard, workplace)

    def _put(self, workplace: Path, source: agent_pb2.ModelSource, record: Record) -> None:
        prepared, source = workplace / "prepared", addressed(source, self.settings)
        self.prepare(workplace / "artifact", prepared, source, record.server_name)
        self.store.install(prepared, record)

    async def reload(self, record: Record) -> Record:
        """Loads what is in the repository, and measures what it took. Raises LoadFailed."""
        if not self.store.has(record.server_name):
            raise LoadFailed(
                "ArtifactLost", f"the folder of {record.server_name} is gone from the agent's volume"
            )
        try:
            loaded = await self._serve(replace(record, evicted=False))
        except LoadFailed:
            await self._forget(record.server_name)
            raise
        self.store.record(loaded)
        return loaded

    async def _serve(self, record: Record) -> Record:
        """Loads it once there is room for it, which is given back where that fails."""
        await self.room.enter(record.server_name, record.counted_bytes)
        loaded: Record | None = None
        try:
            loaded = await self._serve_alone(record)
        finally:
            if loaded is None:
                self.room.leave(record.server_name)
            else:
                self.room.settle(record.server_name, loaded.counted_bytes)
        return loaded

    async def _serve_alone(self, record: Record) -> Record:
        async with self.server_turn:
            await self.server.wait_until_up(self.settings.server_wait_seconds)
            before = await self.memory.read()
            with STAGE_SECONDS.labels("load").time():
                await self.server.load(record.server_name, self.settings.load_seconds)
            return self._measured(record, before, await self.memory.read())

    def _measured(self, record: Record, before: Reading, after: Reading) -> Record:
        """What the load took, with what earlier loads of the version have shown."""
        runtime = self.runtime(self.store.folder(record.server_name))
        new = self.measuring.judge(before, after, runtime=runtime, workers=record.workers)
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

    async def _forget(self, server_name: str) -> None:
        """Drops a version that did not load; the server may hold a part of it."""
        self.measuring.freed()
        try:
            await self.server.unload(server_name)
        except ServerError as error:
            log.info("version that failed was not unloaded", server_name=server_name, error=error.message)
        await in_thread(self.store.remove, server_name)

    async def evict(self, record: Record) -> None:
        """Unloads, and says so on disk first: an agent that ends here finds it either way."""
        await asyncio.sleep(self.settings.settle_seconds)
        async with self.server_turn:
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
        """A server that is away holds nothing; one that hangs is asked again."""
        delay = 1.0
        self.measuring.freed()
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
