"""One scheduler process: follows the API, stands for election, and while it leads, decides.

Called by `bailie scheduler` (bailie.cli.processes), which hands in the data plane. A standby keeps its copy
of the API warm and answers its probes; agents and Envoys are served by the leader only. A scheduler may serve
further namespaces than its own: each has its own engine, and its own Lease for as long as this one leads.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from bailie.kube.election import LeaderElection
from bailie.kube.events import Recorder
from bailie.kube.health import HealthServer
from bailie.kube.leader_guard import LeaderGuard
from bailie.kube.open_files import allow_open_files
from bailie.kube.places import Places
from bailie.kube.tenants import Tenants
from bailie.kube.token import TokenFile
from bailie.scheduler.agents.greetings import MOST_HELLOS
from bailie.scheduler.agents.service import AgentService
from bailie.scheduler.agents.serving import serve_agents
from bailie.scheduler.agents.tenants import AgentTenants
from bailie.scheduler.leader_endpoint import keep_endpoint
from bailie.scheduler.namespace import NamespaceScheduler
from bailie.scheduler.served_list import ServedList
from bailie.scheduler.served_namespace import ServedNamespace
from bailie.scope.claim import SCHEDULER_LEASE, TERM_ANNOTATION
from bailie.tracing.exporter import SpanExporter
from bailie.tracing.tracer import Tracer
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractAsyncContextManager

    from bailie.kube.client import Client
    from bailie.kube.health import JsonRoute
    from bailie.kube.token import Token
    from bailie.routing.table import Publisher
    from bailie.scheduler.served_namespace import FurtherPlane
    from bailie.scheduler.settings import SchedulerSettings

    DataPlane = Callable[[Tenants, Callable[[], bool]], AbstractAsyncContextManager[Publisher]]
    """Entered when a term begins and left when it ends: listens for the Envoys of all these namespaces, and
    yields an empty publisher for the home.

    The second argument says whether the lease is held for certain at this moment; otherwise nothing may be
    sent.
    """

LEASE = SCHEDULER_LEASE


async def run(
    settings: SchedulerSettings,
    client: Client,
    data_plane: DataPlane,
    further: FurtherPlane | None = None,
    *,
    request_metrics: Callable[[], Iterable[str]] = tuple,
) -> None:
    """Runs until cancelled. `request_metrics` returns the data plane's part of `/metrics` in slices.

    Raises OSError where a port is taken.
    """
    allow_open_files()
    scheduler = Scheduler(settings, client, data_plane, further)
    routes: dict[str, JsonRoute] = {
        "explain": scheduler.explain,
        "servers": scheduler.explain_server,
        "namespaces": scheduler.namespaces,
        "top": scheduler.usage,
    }
    health = HealthServer(live=lambda: None, ready=scheduler.unready, routes=routes, metrics=request_metrics)
    async with (
        health.serve(settings.address, settings.http_port),
        serve_agents(scheduler.tenants, settings.address, settings.agent_port),
    ):
        await scheduler.run()


class Scheduler:
    """One process: its own namespace, and the others that it serves while it leads at home."""

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
        token = TokenFile(settings.token_file)
        self._hellos = Places(MOST_HELLOS)
        self.agents = AgentService(namespace, token, settings.address, self._leads, hellos=self._hellos)
        self._tracer = Tracer(names.SCHEDULER, namespace, settings.pod_name)
        sinks = settings.payload_sinks
        self._home = NamespaceScheduler(client, self._recorder, self.agents, self._tracer, sinks=sinks)
        self._list = ServedList(client, namespace)
        self._others: dict[str, ServedNamespace] = {}
        self._services = {namespace: self.agents}
        self._tokens: dict[str, Token] = {namespace: token}
        self._tenants = Tenants(namespace, self._tokens)
        self.tenants = AgentTenants(self._tenants, self._services)
        # The pod's name alone: after a crash the restarted container takes its own lease back at once. Two
        # containers of one pod never live at a time, and the epoch would tell their orders apart.
        self._election = LeaderElection(client, namespace, LEASE, settings.pod_name, notes=self._notes)

    async def run(self) -> None:
        """Follows the API and leads whenever the lease is held."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._home.follow(), name="follow")
            if self._further is not None:
                group.create_task(self._list.run(), name="list")
                group.create_task(self._list.each(self._follow), name="follow-others")
            group.create_task(self._recorder.run(), name="events")
            group.create_task(SpanExporter(self._tracer).run(), name="spans")
            group.create_task(self._election.run(self._lead), name="election")

    def unready(self) -> str | None:
        """Returns what keeps this process from doing its part; None when nothing does.

        The other namespaces are left out: their troubles must not make this process unready.
        """
        return self._home.unready() or self._election.leaderless or None

    def namespaces(self, _: str) -> dict[str, str]:
        """Returns what each namespace waits for, empty for nothing."""
        others = {name: other.unready() for name, other in self._others.items()}
        return {self._home.namespace: self._home.unready() or "", **others}

    async def explain(self, name: str) -> dict[str, Any] | None:
        """Returns the placement of a model, `<name>` or `<namespace>/<name>`; None for an unknown model."""
        namespace, _, model = name.rpartition("/")
        served = self._served(namespace)
        return await served.explain(model) if served else None

    async def explain_server(self, name: str) -> dict[str, Any] | None:
        """Returns the replicas of a Server, `<namespace>/<name>`; None for an unknown Server."""
        namespace, _, server = name.rpartition("/")
        served = self._served(namespace)
        return await served.explain_server(server) if served else None

    async def usage(self, asked: str) -> dict[str, Any] | None:
        """Returns how the Models of `<namespace>`, or one, `<namespace>/<model>`, are used.

        None where another scheduler decides for them, and for an unknown Model.
        """
        namespace, _, model = asked.partition("/")
        served = self._served(namespace)
        return await served.usage(model) if served else None

    def _served(self, namespace: str) -> NamespaceScheduler | None:
        if namespace in {"", self._home.namespace}:
            return self._home
        other = self._others.get(namespace)
        return other.scheduler if other else None

    async def _follow(self, namespace: str) -> None:
        """Keeps what is known of another namespace, leading or not, while it is listed."""
        other = self._other(namespace)
        try:
            await other.follow()
        finally:
            del self._others[namespace], self._services[namespace], self._tokens[namespace]

    def _other(self, namespace: str) -> ServedNamespace:
        """Returns what is kept of a listed namespace; the first call makes it."""
        if namespace not in self._others:
            made = ServedNamespace(
                self._client,
                self._recorder,
                self._settings,
                namespace,
                leads_home=self._leads,
                hellos=self._hellos,
            )
            self._others[namespace], self._services[namespace] = made, made.agents
            self._tokens[namespace] = made.token
        return self._others[namespace]

    async def _lead(self, epoch: int) -> None:
        """Leads for one term; nothing that the engines learn in it outlives it."""
        client = self._client.guarded(LeaderGuard(self._leads))
        self.agents.lead(epoch)
        try:
            async with (
                self._data_plane(self._tenants, self._leads) as publisher,
                asyncio.TaskGroup() as group,
            ):
                group.create_task(keep_endpoint(client, self._settings, self._settings.namespace))
                group.create_task(self._list.each(self._stand), name="stand-for-others")
                await self._home.schedule(publisher, client)
        finally:
            self.agents.stand_down()

    async def _stand(self, namespace: str) -> None:
        """Stands for the Lease of another namespace, for as long as this process leads at home."""
        assert self._further is not None  # noqa: S101 - without it the list is empty
        await self._other(namespace).stand(self._further)

    def _notes(self) -> dict[str, str]:
        """Returns the lease's annotations: the holder's address, and the term for `bailie doctor`."""
        others = {name: other.scheduler.state() for name, other in self._others.items()}
        return {
            labels.HOLDER_ADDRESS: f"{self._settings.address}:{self._settings.agent_port}",
            TERM_ANNOTATION: json.dumps({**self._home.state(), "others": others}),
        }

    def _leads(self) -> bool:
        """Says whether the lease is held for certain; asked before each message to agents, Envoys or the API.

        Another scheduler may lead since this process was suspended; its own monotonic clock tells it so
        before any message could.
        """
        return self._election.leading
