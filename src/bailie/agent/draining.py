"""The end of a replica: from the SIGTERM of the agent until no client needs its inference server any more.

Run by `run`. The agent announces that it drains and goes on as before; the scheduler has the models loaded
elsewhere, leads the data plane away and says so (`Drained`). Then the requests under way end, and only then
the server gets its signal: its container's `preStop` hook asks this agent for `/drained`, which answers at
the end.

The request for `/drained` starts nothing, because any host in the network can send it. A drain begins with
the signal, which only the pod's own node sends.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bailie.agent.server_clients import ServerClients
    from bailie.agent.session import SchedulerSession

log = structlog.get_logger(__name__)

SIGNAL_SECONDS = 5.0
"""A pod that ends has both its containers told at one moment, or so: how long a hook waits for the agent's
signal. Without one the server's container alone is started again."""
UNDER_WAY_SECONDS = 30.0
"""How long requests are waited for that were under way when the last route was gone."""
ALONE_SECONDS = 10.0
"""How long a scheduler is waited for; another one leads within 4 s where there is one."""
QUIET_SECONDS = 1.0
"""The server counts as unused when no client has been connected to it for so long."""
_STEP_SECONDS = 0.1


@dataclass(slots=True, kw_only=True)
class Draining:
    """`run` ends when the inference server may. `limit` is in seconds, all in all."""

    session: SchedulerSession
    clients: ServerClients
    server_ready: Callable[[], bool]
    limit: float
    _begun: asyncio.Event = field(default_factory=asyncio.Event)
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, _path: str = "") -> dict[str, bool]:
        """Answers `/drained`: at the end of the drain; at once where there is none, or no server to save."""
        if self.server_ready():
            await _within(self._begun.wait(), SIGNAL_SECONDS)
        if self._begun.is_set():
            await self._over.wait()
        return {"drained": self._over.is_set()}

    async def run(self) -> None:
        """Drains."""
        self._begun.set()
        log.info("agent drains", seconds=self.limit)
        self.session.drain()
        try:
            async with asyncio.timeout(self.limit):
                await self._released()
                if not self.session.stranded:
                    await _within(self._quiet(0.0), UNDER_WAY_SECONDS)
            log.info("agent drained", stranded=list(self.session.stranded or ()))
        except TimeoutError:
            log.warning("models are still answered here, and the time for that is over", seconds=self.limit)
        finally:
            self._over.set()

    async def _released(self) -> None:
        """Waits until the scheduler says `Drained`. Without a session: until no client is connected, or no
        scheduler can be expected."""
        now = asyncio.get_running_loop().time
        heard_at = now()
        while self.session.stranded is None:
            if self.session.connected.is_set():
                heard_at = now()
            elif now() - heard_at >= ALONE_SECONDS or await _within(
                self._quiet(QUIET_SECONDS), QUIET_SECONDS + _STEP_SECONDS
            ):
                log.warning("no scheduler takes the models of this replica over")
                return
            await asyncio.sleep(_STEP_SECONDS)

    async def _quiet(self, seconds: float) -> None:
        """Waits until no client has been connected to the server for some seconds."""
        now = asyncio.get_running_loop().time
        seen_at = now()
        while True:
            if await self.clients.connected():
                seen_at = now()
            elif now() - seen_at >= seconds:
                return
            await asyncio.sleep(_STEP_SECONDS)


async def _within(waiting: Awaitable[object], seconds: float) -> bool:
    """Waits no longer than that; says whether it came to pass."""
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return False
    return True
