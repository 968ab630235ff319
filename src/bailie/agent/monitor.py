"""Looks at the inference server again and again: readiness and memory for the status, the index for losses.

Runs beside `session`. What the server lost (it restarted, somebody unloaded it) is loaded again by `models`.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from bailie._gen import agent_pb2
from bailie.agent.errors import ServerError
from bailie.agent.metrics import RESIDENT_BYTES, SERVER_READY
from bailie.agent.server import Health

if TYPE_CHECKING:
    from bailie.agent.memory import ServerMemory
    from bailie.agent.models import Models
    from bailie.agent.outbox import Outbox
    from bailie.agent.server import InferenceServer
    from bailie.agent.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Monitor:
    """Keeps the replica's status and the models in line with the server."""

    settings: Settings
    server: InferenceServer
    memory: ServerMemory
    models: Models
    outbox: Outbox
    ready: bool = False
    _silent_since: float | None = None
    _measured_at: float = -math.inf
    _connections: int | None = None
    """Of the server's client when the index was read; None since it was not ready."""

    async def run(self) -> None:
        """Looks until cancelled."""
        now = asyncio.get_running_loop().time
        indexed_at = -math.inf
        while True:
            was_ready = self.ready
            if not was_ready:
                self._connections = None
            health = await self._look()
            self.ready = self.judge(health, now())
            # One that has come back may have lost everything; it is not ready before that is told.
            another = health is Health.READY and self._may_be_another()
            if another or (self.ready and now() - indexed_at >= self.settings.index_seconds):
                self.ready = await self._check_index() or not another
                indexed_at = now()
            if self.ready != was_ready:
                log.info("inference server readiness changed", ready=self.ready)
            await self._publish(now())
            await asyncio.sleep(self.settings.poll_seconds)

    async def _look(self) -> Health:
        """A server says that it is not ready when one of its models is not: that model alone is at fault."""
        health = await self.server.health()
        in_doubt = not self.models.at_work or self._may_be_another()
        if health is Health.UNREADY and in_doubt and await self._check_index():
            return Health.READY
        return health

    def _may_be_another(self) -> bool:
        """Whether the server may have been restarted since its index was read, between two looks perhaps."""
        return self.server.connections != self._connections

    def judge(self, health: Health, now: float) -> bool:
        """Decides whether the server counts as ready.

        A load, or a long inference in the server's own process, keeps MLServer from answering in time: one
        that was ready stays so while it loads, and otherwise until it has been silent for `silent_seconds`.
        """
        if health in {Health.READY, Health.GONE}:
            self._silent_since = None
            return health is Health.READY
        if self.models.at_work:
            self._silent_since = None
            return self.ready
        if self._silent_since is None:
            self._silent_since = now
        return self.ready and now - self._silent_since < self.settings.silent_seconds

    async def _publish(self, now: float) -> None:
        status = agent_pb2.ReplicaStatus()
        status.CopyFrom(self.outbox.status)
        status.server_ready = self.ready
        if now - self._measured_at >= self.settings.status_seconds:
            status.resident_bytes = (await self.memory.read()).resident_bytes
            self._measured_at = now
        self.outbox.publish_status(status)
        SERVER_READY.set(self.ready)
        RESIDENT_BYTES.set(status.resident_bytes)

    async def _check_index(self) -> bool:
        """Has loaded again what the server lost; says whether the server gave an index."""
        expected, connections = self.models.loaded(), self.server.connections
        restarted = self._may_be_another()
        try:
            ready = await self.server.ready_models()
        except ServerError as error:
            log.info("index is not available", error=error.message)
            return False
        self._connections = connections
        lost = {name: since for name, since in expected.items() if name not in ready}
        self.models.lost(lost, restarted=restarted)
        return True
