"""One scheduler process: follows the API, stands for election, and while it leads, decides.

Called by `bailie scheduler` (bailie.cli.processes), which hands in the data plane. A standby keeps its copy
of the API warm and answers its probes; agents and Envoys are served by the leader only.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import structlog

from bailie.api.kinds import EXPERIMENT, MODEL, PIPELINE, SERVER
from bailie.kube.clock import utc_now
from bailie.kube.election import LeaderElection
from bailie.kube.events import Recorder
from bailie.kube.health import HealthServer
from bailie.kube.informer import Informer
from bailie.kube.token import TokenFile
from bailie.scheduler.agents import AgentService, serve_agents
from bailie.scheduler.currency import current
from bailie.scheduler.endpoint import keep_endpoint
from bailie.scheduler.engine import Engine
from bailie.scheduler.explaining import explained
from bailie.scheduler.failures import Now
from bailie.scheduler.statuses import StatusWriter
from bailie.scheduler.unsupported import Unsupported
from bailie.scope.claim import SCHEDULER_LEASE, TERM_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from bailie.kube.client import Client
    from bailie.kube.informer import Change
    from bailie.routing.table import Publisher
    from bailie.scheduler.settings import SchedulerSettings

    DataPlane = Callable[[Callable[[], bool]], AbstractAsyncContextManager[Publisher]]
    """Entered when leading begins, left when it ends: opens the data plane's door with an empty publisher.

    Its argument says whether the lease is held for certain at this moment; nothing may be sent when not.
    """

log = structlog.get_logger(__name__)

LEASE = SCHEDULER_LEASE
_NEEDED = (MODEL, SERVER)
"""Nothing is decided before these are known. The rest only gets conditions."""


async def run(settings: SchedulerSettings, client: Client, data_plane: DataPlane) -> None:
    """Runs until cancelled. Raises OSError where a port is taken."""
    scheduler = Scheduler(settings, client, data_plane)
    health = HealthServer(live=lambda: None, ready=scheduler.unready, routes={"explain": scheduler.explain})
    async with (
        health.serve(settings.address, settings.http_port),
        serve_agents(scheduler.agents, settings.address, settings.agent_port),
    ):
        await scheduler.run()


class Scheduler:
    """What one process keeps: the copy of the API, the agents' door, and the engine while it leads."""

    def __init__(self, settings: SchedulerSettings, client: Client, data_plane: DataPlane) -> None:
        namespace = settings.namespace
        self._settings = settings
        self._client = client
        self._data_plane = data_plane
        self._informers = {
            kind: Informer(client, kind, namespace) for kind in (MODEL, SERVER, EXPERIMENT, PIPELINE)
        }
        self._recorder = Recorder(client, "seldon-scheduler", settings.pod_name)
        self._engine: Engine | None = None
        self.agents = AgentService(namespace, TokenFile(settings.token_file))
        # The pod's name alone: after a crash the restarted container takes its own lease back at once. Two
        # containers of one pod never live at a time, and the epoch would tell their orders apart.
        address = f"{settings.address}:{settings.agent_port}"
        self._election = LeaderElection(client, namespace, LEASE, settings.pod_name, address=address)
        self._election.notes = self._notes
        self._publisher: Publisher | None = None

    async def run(self) -> None:
        """Follows the API and leads whenever the lease is held."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers.values():
                group.create_task(informer.run(), name=f"informer-{informer.kind.plural}")
            group.create_task(self._recorder.run(), name="events")
            group.create_task(self._election.run(self._lead), name="election")

    def unready(self) -> str | None:
        """What keeps this process from doing its part, None when nothing does."""
        missing = [kind.plural for kind in _NEEDED if not self._informers[kind].synced.is_set()]
        if missing:
            return f"{', '.join(missing)} not listed yet"
        return None

    def explain(self, name: str) -> dict[str, Any] | None:
        """The placement of a model; None on a standby and for a model that is not there."""
        return explained(self._engine.picture, name) if self._engine else None

    async def _lead(self, epoch: int) -> None:
        """One term. Everything that it knows ends with it."""
        self.agents.lead(epoch, self._leads, self._election.outbid)
        try:
            async with self._data_plane(self._leads) as publisher, asyncio.TaskGroup() as group:
                found = group.create_task(keep_endpoint(self._client, self._settings, self._leads))
                for kind in _NEEDED:
                    await current(self._client, self._informers[kind])
                await self._govern(publisher)
                found.cancel()
        finally:
            self._engine = self._publisher = None
            self.agents.stand_down()

    def _notes(self) -> dict[str, str]:
        """What the lease says of the term, for `bailie doctor`: it goes along with each renewal."""
        agents = Counter(replica.server for replica in self.agents.connected)
        published = self._engine.published if self._engine else 0
        acknowledged = self._publisher.acknowledged if self._publisher else 0
        state = {"agents": agents, "published": published, "acknowledged": acknowledged}
        return {TERM_ANNOTATION: json.dumps(state)}

    def _leads(self) -> bool:
        """Asked before anything is said to agents, Envoys or the API.

        A process that was suspended and wakes up may be deposed since; its own monotonic clock tells it so
        before any message could.
        """
        return self._election.leading

    async def _govern(self, publisher: Publisher) -> None:
        models, servers = self._informers[MODEL], self._informers[SERVER]
        engine = Engine(
            self._settings.namespace,
            models=models.store.values,
            servers=servers.store.values,
            agents=self.agents,
            publisher=publisher,
            clock=_now,
        )
        writer = StatusWriter(
            self._client,
            self._settings.namespace,
            informers=self._informers,
            recorder=self._recorder,
            leads=self._leads,
        )
        unsupported = Unsupported(self._client, self._settings.namespace, self._informers, self._leads)
        engine.on_picture(writer.take)
        publisher.on_acknowledged(lambda _: engine.wake())
        publisher.on_used(engine.note_used)
        ends = [
            self.agents.subscribe(engine.wake),
            models.subscribe(lambda change: engine.wake() if _matters(change) else None),
            servers.subscribe(lambda change: engine.wake() if _matters(change) else None),
        ]
        self._engine, self._publisher = engine, publisher
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(engine.run(), name="engine")
                group.create_task(writer.run(), name="statuses")
                group.create_task(unsupported.run(), name="unsupported")
        finally:
            for end in ends:
                end()


def _matters(change: Change) -> bool:
    """False for what this scheduler writes itself: conditions and counts."""
    if change.old is None or change.new is None:
        return True
    return _mark(change.old) != _mark(change.new)


def _mark(manifest: Mapping[str, Any]) -> tuple[object, ...]:
    metadata, running = manifest["metadata"], (manifest.get("status") or {}).get("replicas")
    own = ("uid", "generation", "deletionTimestamp", "finalizers")
    return (*(metadata.get(field) for field in own), running if manifest["kind"] == SERVER.kind else None)


def _now() -> Now:
    return Now(asyncio.get_running_loop().time(), utc_now().timestamp())
