"""The agent's process: puts the parts together and runs them until SIGTERM.

`cli` calls `run`. At the start the inventory is made from disk and the server's index before the first
word to the scheduler, so that a restart of the agent never says that a loaded model is not.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import structlog

from bailie._gen import agent_pb2
from bailie.agent.artifacts import Artifacts
from bailie.agent.deaths import Deaths
from bailie.agent.egress import Egress
from bailie.agent.errors import ServerError
from bailie.agent.held import serve_held
from bailie.agent.hung import RestartRequest
from bailie.agent.loading import Loading, Queues
from bailie.agent.measuring import Measuring
from bailie.agent.memory import ServerMemory
from bailie.agent.models import Models
from bailie.agent.monitor import Monitor
from bailie.agent.order import Limits
from bailie.agent.outbox import Outbox
from bailie.agent.readiness import Readiness
from bailie.agent.remotes import ConfiguredRemotes
from bailie.agent.repository import PREPARE, RUNTIME
from bailie.agent.room import Room
from bailie.agent.secrets import KubernetesSecrets
from bailie.agent.server import Health, InferenceServer
from bailie.agent.session import Session
from bailie.agent.store import Store
from bailie.agent.turns import Turns
from bailie.kube.health import HealthServer

if TYPE_CHECKING:
    from bailie.agent.settings import Settings

log = structlog.get_logger(__name__)

_DRAIN_SECONDS = 5.0
_RESTORE_SECONDS = 30.0
_DOWNLOAD_PATIENCE_SECONDS = 2.0
_LOAD_PATIENCE_SECONDS = 1.0


async def run(settings: Settings) -> None:
    """Runs an agent until SIGTERM or SIGINT, or until cancelled."""
    memory = ServerMemory(settings.address, settings.http_port, settings.metrics_port)
    async with InferenceServer(
        settings.address, http_port=settings.http_port, grpc_port=settings.grpc_port
    ) as server:
        store = Store(settings.folder)
        ready, in_memory = await _look(server)
        outbox = Outbox(_first_status(settings, ready=ready))
        room = Room(settings.memory_bytes if settings.overcommit_percent else None)
        loading = _loading(settings, store, server, memory=memory, room=room)
        models = Models(loading, outbox, room)
        monitor = Monitor(
            settings=settings,
            server=server,
            memory=memory,
            models=models,
            outbox=outbox,
            restart=RestartRequest(settings.folder),
            ready=ready,
        )
        records = await asyncio.to_thread(store.open)
        models.restore(records, in_memory)
        await loading.adopt(record.server_name for record in records if record.server_name in in_memory)
        log.info("agent starts", server=settings.server, replica=settings.replica, models=len(records))
        async with serve_held(models, settings) as endpoint:
            session = Session(settings=settings, models=models, outbox=outbox, endpoint=endpoint)
            readiness = Readiness(
                session=session.trouble,
                server_ready=lambda: monitor.ready,
                at_work=lambda: models.at_work,
                clock=asyncio.get_running_loop().time,
            )
            health = HealthServer(live=lambda: None, ready=readiness.trouble)
            async with health.serve(settings.address, settings.health_port):
                await _serve(models, monitor, session, loading.deaths)


def _first_status(settings: Settings, *, ready: bool) -> agent_pb2.ReplicaStatus:
    return agent_pb2.ReplicaStatus(
        memory_bytes=settings.memory_bytes,
        overcommit_percent=settings.overcommit_percent,
        server_ready=ready,
    )


def _loading(
    settings: Settings, store: Store, server: InferenceServer, *, memory: ServerMemory, room: Room
) -> Loading:
    secrets = KubernetesSecrets()
    configured = ConfiguredRemotes(
        folder=settings.config_folder, namespace=settings.namespace, secrets=secrets
    )
    artifacts = Artifacts(
        namespace=settings.namespace,
        secrets=secrets,
        configured=configured,
        roots=settings.roots,
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
        measuring=Measuring(),
        room=room,
        queues=queues(settings),
        deaths=Deaths(settings.folder / "deaths.json"),
    )


def queues(settings: Settings) -> Queues:
    """Returns who waits for what: the server loads one model at a time while loads are short, so that memory
    is measured exactly and a crash is the fault of the model that was loading."""
    several = Limits(places=settings.parallel_loads, patience=_DOWNLOAD_PATIENCE_SECONDS)
    alone = Limits(places=1, patience=_LOAD_PATIENCE_SECONDS)
    return Queues(
        downloads=Turns(several, "downloading"),
        copies=Turns(several, "copying"),
        server=Turns(alone, "loading"),
    )


async def _look(server: InferenceServer) -> tuple[bool, frozenset[str]]:
    """Reads the index of a server that runs; one that is not there has nothing, one that is busy is waited
    for."""
    if await server.health() is Health.GONE:
        return False, frozenset()
    try:
        await server.wait_until_up(_RESTORE_SECONDS)
        return True, await server.ready_models()
    except ServerError as error:
        log.warning("index is not available at the start", error=error.message)
        return False, frozenset()


async def _serve(models: Models, monitor: Monitor, session: Session, deaths: Deaths) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with asyncio.TaskGroup() as group:
            parts = [group.create_task(part.run()) for part in (models, monitor)]
            talking = group.create_task(session.run())
            await stop.wait()
            log.info("agent drains")
            deaths.open = False
            session.drain()
            await asyncio.wait([talking], timeout=_DRAIN_SECONDS)
            for part in (talking, *parts):
                part.cancel()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
