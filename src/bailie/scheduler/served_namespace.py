"""A further namespace of a scheduler: its token, its own Lease, its agents and its engine.

Held by `run`, one for each namespace of the list. The scheduler stands for the Lease of that namespace while
it leads at home. So a hand-over between this scheduler and one in the namespace itself is a failover: the
Lease passes on, agents come with what they have loaded, and their epoch grows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bailie.kube.election import LeaderElection
from bailie.kube.leader_guard import LeaderGuard
from bailie.scheduler.agents.secret_token import SecretToken
from bailie.scheduler.agents.service import AgentService
from bailie.scheduler.freshness import Stale
from bailie.scheduler.leader_endpoint import keep_endpoint
from bailie.scheduler.namespace import NamespaceScheduler
from bailie.scope.claim import SCHEDULER_LEASE
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from bailie.kube.client import Client
    from bailie.kube.events import Recorder
    from bailie.kube.places import Places
    from bailie.routing.table import Publisher
    from bailie.scheduler.settings import SchedulerSettings

    FurtherPlane = Callable[[str, Callable[[], bool]], AbstractAsyncContextManager[Publisher]]
    """Serves the Envoys of another namespace, on the scheduler's own port, while entered. The last argument
    says whether anything may be sent to them at this moment."""

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 2.0


class ServedNamespace:
    """One further namespace, for as long as it is listed."""

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        settings: SchedulerSettings,
        namespace: str,
        *,
        leads_home: Callable[[], bool],
        hellos: Places,
    ) -> None:
        self.token = SecretToken(client, namespace)
        self.agents = AgentService(namespace, self.token, settings.address, self.leads, hellos=hellos)
        self.scheduler = NamespaceScheduler(client, recorder, self.agents, sinks=settings.payload_sinks)
        self._client = client
        self._settings = settings
        self._namespace = namespace
        self._leads_home = leads_home
        # All replicas of this scheduler are one candidate: the Lease at home says which of them acts, so that
        # the next leader at home need not wait here for the end of the Lease of the one before.
        identity = f"{settings.namespace}/{names.SCHEDULER}"
        notes = {labels.HOLDER_ADDRESS: f"{settings.address}:{settings.agent_port}"}
        self._election = LeaderElection(client, namespace, SCHEDULER_LEASE, identity, notes=lambda: notes)

    def leads(self) -> bool:
        """Says whether this process may decide for the namespace at this moment."""
        return self._leads_home() and self._election.leading

    def unready(self) -> str:
        """Returns what the namespace waits for, empty for nothing."""
        return self.scheduler.unready() or self._election.leaderless

    async def follow(self) -> None:
        """Keeps the copy of the API and the token until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.scheduler.follow(), name=f"follow-{self._namespace}")
            group.create_task(self.token.run(), name=f"token-{self._namespace}")

    async def stand(self, data_plane: FurtherPlane) -> None:
        """Decides whenever the namespace's Lease is held, until cancelled; then releases it."""

        async def lead(epoch: int) -> None:
            self.agents.lead(epoch)
            try:
                async with data_plane(self._namespace, self.leads) as publisher:
                    await self._schedule(publisher)
            finally:
                self.agents.stand_down()

        await self._election.run(lead)

    async def _schedule(self, publisher: Publisher) -> None:
        """Schedules; a stale copy is tried again and ends nothing at home."""
        client = self._client.guarded(LeaderGuard(self.leads))
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_endpoint(client, self._settings, self._namespace))
            while True:
                try:
                    await self.scheduler.schedule(publisher, client)
                except Stale as error:
                    log.warning("namespace not scheduled", namespace=self._namespace, error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
