"""The agent's process: puts the parts together and runs them until SIGTERM, then drains.

`cli` calls `run`. At the start the inventory is made from disk and the server's index before the first
word to the scheduler, so that a restart of the agent never says that a loaded model is not.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from bailie._gen import agent_pb2
from bailie.agent.artifacts import Artifacts
from bailie.agent.draining import Draining
from bailie.agent.egress import Egress
from bailie.agent.errors import ServerError
from bailie.agent.load_order import LoadLimits
from bailie.agent.load_queue import LoadQueue
from bailie.agent.loading import Loading, Queues
from bailie.agent.memory import ServerMemory
from bailie.agent.memory_budget import MemoryBudget
from bailie.agent.memory_growth import MemoryGrowth
from bailie.agent.models import Models
from bailie.agent.monitor import Monitor
from bailie.agent.outbox import Outbox
from bailie.agent.readiness import Readiness
from bailie.agent.remotes import ConfiguredRemotes
from bailie.agent.repository import PREPARE, RUNTIME
from bailie.agent.secret_watch import SecretWatch
from bailie.agent.secrets import KubernetesSecrets
from bailie.agent.seldon_metrics import SeldonMetrics
from bailie.agent.server import Health, InferenceServer
from bailie.agent.server_clients import ServerClients
from bailie.agent.server_deaths import ServerDeaths
from bailie.agent.server_restart import RestartRequest
from bailie.agent.session import SchedulerSession
from bailie.agent.store import Store
from bailie.agent.suspects import WasUnderWay
from bailie.agent.waiting.listeners import serve_waiting
from bailie.kube.health import HealthServer
from bailie.kube.open_files import allow_open_files
from bailie.tracing.exporter import SpanExporter
from bailie.tracing.tracer import Tracer
from bailie.wellknown.names import AGENT_CONFIG

if TYPE_CHECKING:
    from bailie.agent.settings import Settings

log = structlog.get_logger(__name__)

_RESTORE_SECONDS = 30.0
_DOWNLOAD_PATIENCE_SECONDS = 2.0
_LOAD_PATIENCE_SECONDS = 1.0


@dataclass(slots=True)
class _Probed:
    """The answers of the health server, which exists before there is anything to report."""

    readiness: Readiness | None = None
    draining: Draining | None = None
    metrics: SeldonMetrics | None = None

    def unready(self) -> str | None:
        return self.readiness.trouble() if self.readiness else "the agent looks at its inference server"

    def metrics_text(self) -> str:
        return self.metrics.text() if self.metrics else ""

    async def drained(self, path: str) -> dict[str, bool]:
        return await self.draining.answer(path) if self.draining else {"drained": False}


async def run(settings: Settings) -> None:
    """Runs an agent until it is drained after SIGTERM or SIGINT, or until cancelled."""
    allow_open_files()
    probed = _Probed()
    health = HealthServer(
        live=lambda: None,
        ready=probed.unready,
        events={"drained": probed.drained},
        metrics=probed.metrics_text,
    )
    server = InferenceServer(settings.address, http_port=settings.http_port, grpc_port=settings.grpc_port)
    # The probes come first: a server that is busy may take the look at it half a minute.
    async with health.serve(settings.address, settings.health_port), server:
        await _run(settings, server, probed)


async def _run(settings: Settings, server: InferenceServer, probed: _Probed) -> None:
    memory = ServerMemory(settings.address, settings.http_port, settings.metrics_port)
    store = Store(settings.folder)
    ready, in_memory = await _look(server)
    outbox = Outbox(_first_status(settings, ready=ready))
    budget = MemoryBudget(settings.memory_bytes if settings.overcommit_percent else None)
    loading = _loading(settings, store, server, memory=memory, budget=budget)
    tracer = Tracer(AGENT_CONFIG, settings.namespace, settings.pod)
    models = Models(loading, outbox, budget, tracer)
    probed.metrics = SeldonMetrics(settings, models)
    monitor = Monitor(
        settings=settings,
        server=server,
        memory=memory,
        models=models,
        outbox=outbox,
        restart=RestartRequest(settings.folder),
        was_under_way=WasUnderWay(store.models),
        ready=ready,
    )
    watch = SecretWatch(
        namespace=settings.namespace,
        secrets=loading.artifacts.secrets,
        configured=loading.artifacts.configured,
        models=models,
        outbox=outbox,
        seconds=settings.secret_seconds,
    )
    records = await asyncio.to_thread(store.open)
    models.restore(records, in_memory)
    await loading.adopt(record.server_name for record in records if record.server_name in in_memory)
    log.info("agent starts", server=settings.server, replica=settings.replica, models=len(records))
    async with serve_waiting(models, settings) as endpoint:
        session = SchedulerSession(
            settings=settings, models=models, outbox=outbox, endpoint=endpoint, tracer=tracer
        )
        probed.readiness = Readiness(
            session=session.trouble,
            server_ready=lambda: monitor.ready,
            first_loads=models.first_loads,
            serves=lambda: bool(models.loaded()),
            clock=asyncio.get_running_loop().time,
        )
        probed.draining = _draining(settings, session, monitor, endpoint)
        working = (models, monitor, watch, session, SpanExporter(tracer))
        await _serve(working, _Ending(probed.draining, loading.deaths))


def _first_status(settings: Settings, *, ready: bool) -> agent_pb2.ReplicaStatus:
    return agent_pb2.ReplicaStatus(
        memory_bytes=settings.memory_bytes,
        overcommit_percent=settings.overcommit_percent,
        server_ready=ready,
    )


def _loading(
    settings: Settings, store: Store, server: InferenceServer, *, memory: ServerMemory, budget: MemoryBudget
) -> Loading:
    secrets = KubernetesSecrets()
    configured = ConfiguredRemotes(folder=settings.config_folder, namespace=settings.namespace)
    artifacts = Artifacts(
        namespace=settings.namespace,
        secrets=secrets,
        configured=configured,
        roots=settings.roots,
        claims=settings.claims,
        egress=Egress(networks=settings.networks, api_server=settings.api_server, outside=settings.outside),
        timeout=settings.download_seconds,
        limits=settings.limits,
        identity=settings.cloud_identity,
        environment=settings.child_environment,
    )
    return Loading(
        settings=settings,
        artifacts=artifacts,
        prepare=PREPARE[settings.server_type],
        runtime=RUNTIME[settings.server_type],
        store=store,
        server=server,
        memory=memory,
        growth=MemoryGrowth(),
        budget=budget,
        queues=queues(settings),
        deaths=ServerDeaths(settings.folder / "deaths.json"),
    )


def queues(settings: Settings) -> Queues:
    """Returns the queues of downloads and loads: the server loads one model at a time while loads are short,
    so that memory is measured exactly and a crash is the fault of the model that was loading."""
    several = LoadLimits(places=settings.parallel_loads, patience=_DOWNLOAD_PATIENCE_SECONDS)
    alone = LoadLimits(places=1, patience=_LOAD_PATIENCE_SECONDS)
    return Queues(
        downloads=LoadQueue(several, "downloading"),
        copies=LoadQueue(several, "copying"),
        server=LoadQueue(alone, "loading"),
    )


async def _look(server: InferenceServer) -> tuple[bool, frozenset[str]]:
    """Reads the index of a running server, and waits for a busy one; an absent server has no models."""
    if await server.health() is Health.GONE:
        return False, frozenset()
    try:
        await server.wait_until_up(_RESTORE_SECONDS)
        return True, (await server.index()).ready
    except ServerError as error:
        log.warning("index is not available at the start", error=error.message)
        return False, frozenset()


def _draining(
    settings: Settings, session: SchedulerSession, monitor: Monitor, endpoint: agent_pb2.Endpoint
) -> Draining:
    ports = (settings.http_port, settings.grpc_port, endpoint.held_http_port, endpoint.held_grpc_port)
    return Draining(
        session=session,
        clients=ServerClients(settings.address, ports),
        server_ready=lambda: monitor.ready,
        limit=settings.drain_seconds,
    )


class _Part(Protocol):
    """A part of the agent that works until it is cancelled."""

    async def run(self) -> None:
        """Works until cancelled."""


@dataclass(frozen=True, slots=True)
class _Ending:
    """The parts that the end of the pod concerns."""

    draining: Draining
    deaths: ServerDeaths

    async def run(self) -> None:
        """Drains. A server that ends from now on ends with its pod, and no load is to blame."""
        self.deaths.open = False
        await self.draining.run()


async def _serve(working: tuple[_Part, ...], ending: _Ending) -> None:
    """Serves until a signal: the first begins the drain, the second ends it."""
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[None] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, None)
    try:
        async with asyncio.TaskGroup() as group:
            parts = [group.create_task(part.run()) for part in working]
            await signals.get()
            ends = [group.create_task(ending.run()), group.create_task(signals.get())]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for part in (*parts, *ends):
                part.cancel()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
