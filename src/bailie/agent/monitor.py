"""Looks at the inference server again and again: readiness and memory for the status, the index for losses.

Runs beside `session`. What the server lost (it restarted, somebody unloaded it) is loaded again by `models`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from bailie._gen import agent_pb2
from bailie.agent.errors import ServerError
from bailie.agent.metrics import RESIDENT_BYTES, SERVER_READY
from bailie.agent.server import Health
from bailie.agent.threads import in_thread

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

    async def run(self) -> None:
        """Looks until cancelled."""
        since_index = self.settings.index_seconds
        while True:
            was_ready = self.ready
            self.ready = self._judge(await self.server.health())
            if self.ready != was_ready:
                log.info("inference server readiness changed", ready=self.ready)
            await self._publish()
            if self.ready and (not was_ready or since_index >= self.settings.index_seconds):
                await self._check_index()
                since_index = 0.0
            await asyncio.sleep(self.settings.poll_seconds)
            since_index += self.settings.poll_seconds

    def _judge(self, health: Health) -> bool:
        """A load keeps MLServer from answering in time or from saying ready; that is no loss of readiness."""
        if health is Health.BUSY and self.models.at_work:
            return self.ready
        return health is Health.READY

    async def _publish(self) -> None:
        status = agent_pb2.ReplicaStatus()
        status.CopyFrom(self.outbox.status)
        status.server_ready = self.ready
        status.resident_bytes = await in_thread(self.memory.resident_bytes)
        self.outbox.publish_status(status)
        SERVER_READY.set(self.ready)
        RESIDENT_BYTES.set(status.resident_bytes)

    async def _check_index(self) -> None:
        expected = self.models.loaded()
        try:
            ready = await self.server.ready_models()
        except ServerError as error:
            log.info("index is not available", error=error.message)
            return
        self.models.lost(sorted(expected - ready))
