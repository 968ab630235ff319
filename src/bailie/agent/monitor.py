"""Looks at the inference server again and again: readiness and memory for the status, the index for losses.

Runs beside `session`. `models` loads the models again that the server lost (by a restart, or an unload by
another client). A server that answers nothing for long is restarted (`server_restart`).
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from bailie.agent.errors import ServerError
from bailie.agent.metrics import RESIDENT_BYTES, SERVER_READY
from bailie.agent.server import INDEX_SECONDS, LOOK_SECONDS, Health
from bailie.agent.threads import in_thread

if TYPE_CHECKING:
    from bailie.agent.memory import ServerMemory
    from bailie.agent.models import Models
    from bailie.agent.outbox import Outbox
    from bailie.agent.server import InferenceServer
    from bailie.agent.server_restart import RestartRequest
    from bailie.agent.settings import Settings
    from bailie.agent.suspects import WasUnderWay

log = structlog.get_logger(__name__)

_LATE_SECONDS = 1.0
_INDEX_SHARE = 0.01
"""Of the server's time that readings of its index may take."""


@dataclass(slots=True)
class Stretch:
    """The time since when a condition holds without a break, in seconds of a monotonic clock."""

    _since: float | None = None

    def note(self, *, holds: bool, now: float) -> float:
        """Returns for how many seconds the condition has held."""
        if not holds:
            self._since = None
            return 0.0
        if self._since is None:
            self._since = now
        return now - self._since


@dataclass(slots=True, kw_only=True)
class Monitor:
    """Keeps the replica's status and the models in line with the server."""

    settings: Settings
    server: InferenceServer
    memory: ServerMemory
    models: Models
    outbox: Outbox
    restart: RestartRequest
    was_under_way: WasUnderWay
    ready: bool = False
    silent_for: float = 0.0
    """How long the server has answered nothing, without a load, since the first look that failed."""
    _answered: bool = False
    """Whether the server has been seen to do anything but be silent."""
    _doubt: Stretch = field(default_factory=Stretch)
    _silence: Stretch = field(default_factory=Stretch)
    _index_took: float = INDEX_SECONDS
    _measured_at: float = -math.inf
    _connections: int | None = None
    """Of the server's client when the index was read; None since it was not ready."""

    async def run(self) -> None:
        """Looks until cancelled."""
        now = asyncio.get_running_loop().time
        indexed_at = -math.inf
        await in_thread(self.was_under_way.read)  # of an end that this agent has not seen
        while True:
            was_ready = self.ready
            if not was_ready:
                self._connections = None
            health = await self._look()
            self.ready = self.judge(health, now())
            await self.restart.make(self.is_hung())
            # A server that has come back may have lost its models; it is not ready before the lost ones are
            # known.
            another = health is Health.READY and self._may_be_another()
            if another or (self.ready and now() - indexed_at >= self._index_pause()):
                self.ready = await self._check_index() or not another
                indexed_at = now()
            if self.ready != was_ready:
                log.info(
                    "inference server readiness changed",
                    ready=self.ready,
                    silent_seconds=round(self.silent_for),
                )
            await self._publish(now())
            await asyncio.sleep(self.settings.poll_seconds)

    async def _look(self) -> Health | None:
        """Asks the server for its health. A server that is unready because one of its models is counts as
        ready.

        Returns None if this process itself was held up: then the answer says nothing about the server.
        """
        clock = asyncio.get_running_loop().time
        begun, health = clock(), await self.server.health()
        if health is Health.BUSY and clock() - begun > LOOK_SECONDS + _LATE_SECONDS:
            return None
        in_doubt = not self.models.at_work or self._may_be_another()
        if health is Health.UNREADY and in_doubt and await self._check_index():
            return Health.READY
        return health

    def _may_be_another(self) -> bool:
        """Says whether the server may have been restarted since its index was read."""
        return self.server.connections != self._connections

    def judge(self, health: Health | None, now: float) -> bool:
        """Decides whether the server counts as ready, and for how long it has been silent.

        A load, or a long inference in the server's own process, keeps MLServer from answering in time: a
        ready server stays ready while it loads, and otherwise until it has been silent for `silent_seconds`.
        """
        silent = health is Health.BUSY and not self.server.loading
        unready = health is Health.UNREADY and not self.models.at_work
        self._answered = self._answered or health not in {Health.BUSY, None}
        self.silent_for = self._silence.note(holds=silent, now=now)
        doubted_for = self._doubt.note(holds=silent or unready, now=now)
        if health in {Health.READY, Health.GONE}:
            return health is Health.READY
        return self.ready and doubted_for < self.settings.silent_seconds

    def is_hung(self) -> bool:
        """Says whether to restart the server: it has been silent for long, or a load has blocked it.

        A server that has been silent since this agent began may be busy with a load that an earlier agent
        began.
        """
        limit = self.settings.hung_seconds
        if not self._answered:
            limit = max(limit, self.settings.load_seconds)
        return self.silent_for >= limit or bool(self.server.condemned)

    async def _publish(self, now: float) -> None:
        silent = self.silent_for >= self.settings.silent_seconds
        self.outbox.update_status(server_ready=self.ready, server_silent=silent)
        SERVER_READY.set(self.ready)
        if not self.silent_for and now - self._measured_at >= self.settings.status_seconds:
            resident_bytes = (await self.memory.read()).resident_bytes
            self.outbox.update_status(resident_bytes=resident_bytes)
            RESIDENT_BYTES.set(resident_bytes)
            self._measured_at = now

    def _index_pause(self) -> float:
        longest = self.settings.longest_index_seconds
        return max(self.settings.index_seconds, min(self._index_took / _INDEX_SHARE, longest))

    async def _check_index(self) -> bool:
        """Starts the load of models that the server lost; says whether the server gave an index."""
        expected, connections = self.models.loaded(), self.server.connections
        clock = asyncio.get_running_loop().time
        begun = clock()
        # A server that hangs meanwhile must not keep the monitor from noticing.
        patience = min(INDEX_SECONDS, max(LOOK_SECONDS, 10 * self._index_took))
        try:
            index = await self.server.index(patience)
        except ServerError as error:
            log.info("index is not available", error=error.message)
            return False
        # Also where the reading itself needed another connection: the server may have ended just before it.
        restarted = self._may_be_another()
        self._connections = connections
        self._index_took = clock() - begun
        lost = {name: since for name, since in expected.items() if name not in index.ready}
        under_way = await in_thread(self.was_under_way.read) if restarted else {}
        self.models.lost(lost, index.troubles, restarted=restarted, under_way=under_way)
        return True
