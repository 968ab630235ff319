"""One scheduler process: follows the API, stands for election, and while it leads, decides.

Called by `bailie scheduler` (bailie.cli.processes), which hands in the data plane. A standby keeps its copy
of the API warm and answers its probes; agents and Envoys are served by the leader only. A scheduler may serve
further namespaces than its own: each has its own engine.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import structlog

from bailie.kube.election import LeaderElection
from bailie.kube.events import Recorder
from bailie.kube.health import HealthServer
from bailie.kube.token import TokenFile
from bailie.scheduler.agents.secret_token import SecretToken
from bailie.scheduler.agents.service import AgentService, serve_agents
from bailie.scheduler.agents.tenants import AgentTenants
from bailie.scheduler.freshness import Stale
from bailie.scheduler.leader_endpoint import keep_endpoint
from bailie.scheduler.lease_guard import LeaseGuard
from bailie.scheduler.namespace import NamespaceScheduler
from bailie.scope.claim import SCHEDULER_LEASE, TERM_ANNOTATION
from bailie.wellknown import names

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from bailie.kube.client import Client
    from bailie.kube.token import Token
    from bailie.routing.table import Publisher
    from bailie.scheduler.settings import SchedulerSettings

    DataPlane = Callable[[Callable[[], bool]], AbstractAsyncContextManager[Publisher]]
    """Entered when a term begins and left when it ends: listens for Envoys, and yields an empty publisher.

    Its argument says whether the lease is held for certain at this moment; nothing may be sent when not.
    """
    FurtherPlane = Callable[[str, Token], AbstractAsyncContextManager[Publisher]]
    """While entered, serves the Envoys of another namespace, which show its token, at the same port."""

log = structlog.get_logger(__name__)

LEASE = SCHEDULER_LEASE
_RETRY_SECONDS = 2.0


async def run(
    settings: SchedulerSettings, client: Client, data_plane: DataPlane, further: FurtherPlane | None = None
) -> None:
    """Runs until cancelled. Raises OSError where a port is taken."""
    scheduler = Scheduler(settings, client, data_plane, further)
    routes = {"explain": scheduler.explain, "namespaces": scheduler.namespaces}
    health = HealthServer(live=lambda: None, ready=scheduler.unready, routes=routes)
    async with (
        health.serve(settings.address, settings.http_port),
        serve_agents(scheduler.tenants, settings.address, settings.agent_port),
    ):
        await scheduler.run()


class Scheduler:
    """One process: its own namespace, the others that it serves, and the lease that all of them share."""

    def __init__(
        self,
        settings: SchedulerSettings,
        client: Client,
        data_plane: DataPlane,
        further: FurtherPlane | None = None,
    ) -> None:
        namespace = settings.namespace
        self._settings = settings
        self._client = client
        self._data_plane = data_plane
        self._further = further
        self._recorder = Recorder(client, names.SCHEDULER, settings.pod_name)
        self._home = self._namespace_scheduler(namespace, TokenFile(settings.token_file))
        self._secrets = {name: SecretToken(client, name) for name in settings.serves} if further else {}
        self._others = {name: self._namespace_scheduler(name, token) for name, token in self._secrets.items()}
        self.agents = self._home.agents
        self.tenants = AgentTenants(namespace, {each.namespace: each.agents for each in self._all})
        # The pod's name alone: after a crash the restarted container takes its own lease back at once. Two
        # containers of one pod never live at a time, and the epoch would tell their orders apart.
        address = f"{settings.address}:{settings.agent_port}"
        self._election = LeaderElection(client, namespace, LEASE, settings.pod_name, address=address)
        self._election.notes = self._notes

    def _namespace_scheduler(self, namespace: str, token: Token) -> NamespaceScheduler:
        agents = AgentService(namespace, token, self._settings.address, self._leads)
        return NamespaceScheduler(self._client, self._recorder, agents)

    @property
    def _all(self) -> tuple[NamespaceScheduler, ...]:
        return (self._home, *self._others.values())

    async def run(self) -> None:
        """Follows the API and leads whenever the lease is held."""
        async with asyncio.TaskGroup() as group:
            for each in self._all:
                group.create_task(each.follow(), name=f"follow-{each.namespace}")
            for namespace, token in self._secrets.items():
                group.create_task(token.run(), name=f"token-{namespace}")
            group.create_task(self._recorder.run(), name="events")
            group.create_task(self._election.run(self._lead), name="election")

    def unready(self) -> str | None:
        """Returns what keeps this process from doing its part; None when nothing does.

        The other namespaces are left out: their troubles must not make this process unready.
        """
        return self._home.unready() or self._election.leaderless or None

    def namespaces(self, _: str) -> dict[str, str]:
        """Returns what each namespace waits for, empty for nothing."""
        return {each.namespace: each.unready() or "" for each in self._all}

    def explain(self, name: str) -> dict[str, Any] | None:
        """Returns the placement of a model, `<name>` or `<namespace>/<name>`; None for an unknown model."""
        namespace, _, model = name.rpartition("/")
        found = [each for each in self._all if each.namespace == namespace] if namespace else [self._home]
        return found[0].explain(model) if found else None

    async def _lead(self, epoch: int) -> None:
        """Leads for one term; nothing that the engines learn in it outlives it."""
        client = self._client.guarded(LeaseGuard(self._leads))
        for each in self._all:
            each.agents.lead(epoch)
        try:
            async with self._data_plane(self._leads) as publisher, asyncio.TaskGroup() as group:
                group.create_task(keep_endpoint(client, self._settings))
                for other in self._others.values():
                    group.create_task(self._schedule_other(other, client), name=f"schedule-{other.namespace}")
                await self._home.schedule(publisher, client)
        finally:
            for each in self._all:
                each.agents.stand_down()

    async def _schedule_other(self, other: NamespaceScheduler, client: Client) -> None:
        """Schedules another namespace; while its copy of the API is stale, the namespace is tried again."""
        assert self._further is not None  # noqa: S101 - without it there are no others
        async with self._further(other.namespace, other.token) as publisher:
            while True:
                try:
                    await other.schedule(publisher, client)
                except Stale as error:
                    log.warning("namespace not scheduled", namespace=other.namespace, error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)

    def _notes(self) -> dict[str, str]:
        """Returns the annotation of the lease that `bailie doctor` reads; each renewal writes it again."""
        others = {name: other.state() for name, other in self._others.items()}
        return {TERM_ANNOTATION: json.dumps({**self._home.state(), "others": others})}

    def _leads(self) -> bool:
        """Says whether the lease is held for certain; asked before each message to agents, Envoys or the API.

        Another scheduler may lead since this process was suspended; its own monotonic clock tells it so
        before any message could.
        """
        return self._election.leading
