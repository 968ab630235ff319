"""The process of a pipeline gateway: listens for Envoys, and runs their requests until it is told to end.

`cli` calls `serve`. At its end the gateway tells the scheduler, and goes on until no route leads here. Then
the gateway finishes the requests in progress, so that none fails.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from bailie._gen import agent_pb2
from bailie.agent.outbox import Outbox
from bailie.agent.session import SchedulerSession
from bailie.kube.callers import Callers, most_callers
from bailie.kube.discovery import EnvoyPlace
from bailie.kube.health import HealthServer
from bailie.kube.open_files import allow_open_files
from bailie.pipelinegateway import metrics
from bailie.pipelinegateway.awaited_broker import settled_broker
from bailie.pipelinegateway.budget import ByteBudget
from bailie.pipelinegateway.connection import Connection, ConnectionLimits
from bailie.pipelinegateway.engine import PipelineEngine, RunLimits
from bailie.pipelinegateway.grpc_answers import answer_forms
from bailie.pipelinegateway.kept_data import KeptData
from bailie.pipelinegateway.metadata_questions import MetadataQuestions
from bailie.pipelinegateway.model_names import ModelNames
from bailie.pipelinegateway.plan_versions import PlanVersions
from bailie.pipelinegateway.plans import Plans
from bailie.pipelinegateway.request_reader import ReadLimits
from bailie.pipelinegateway.service import PipelineService
from bailie.pipelinegateway.spans import PipelineSpans
from bailie.pipelinegateway.step_client import step_client
from bailie.pipelinegateway.traces import TraceRing
from bailie.tracing.exporter import SpanExporter
from bailie.tracing.tracer import Tracer
from bailie.wellknown.names import PIPELINE_GATEWAY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from bailie.pipelinegateway.broker_port import BrokerPort
    from bailie.pipelinegateway.settings import PipelineGatewaySettings

log = structlog.get_logger(__name__)

_BACKLOG = 1_024
_ALONE_SECONDS = 10.0
"""How long a scheduler is waited for at the end; another one leads within 4 s where there is one."""
_STEP_SECONDS = 0.1
_JOURNAL_SECONDS = 5.0
"""How long records of the journal are written at the end."""
_NOTE_SECONDS = 1.0
"""How often the scheduler hears of a change of the journal, at most."""
_KEEP_SECONDS = 0.5
"""How long after a change the plans are written, with all changes until then."""


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway that listens. Its `session` is to be run by the owner. `broker` is None where none is
    configured. `models` are those that a scheduler has named."""

    engine: PipelineEngine
    session: SchedulerSession
    port: int
    models: ModelNames
    broker: BrokerPort | None = None


async def serve(settings: PipelineGatewaySettings) -> None:
    """Serves until SIGTERM or SIGINT, then drains. Raises OSError where a port is taken."""
    allow_open_files()  # each call of a step takes one
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    try:
        async with gateway(settings) as running:
            log.info("pipeline gateway listens", port=running.port, plans=len(running.engine.plans.keys))
            health = HealthServer(live=lambda: None, ready=lambda: _trouble(running))
            async with (
                health.serve(settings.address, settings.health_port),
                trace_server(running.engine).serve(settings.trace_address, settings.trace_port),
                asyncio.TaskGroup() as group,
            ):
                session = group.create_task(running.session.run())
                spans = group.create_task(SpanExporter(running.engine.spans.tracer).run())
                await told.wait()
                await _drain(running.session, settings.drain_seconds)
                session.cancel()
                spans.cancel()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def trace_server(engine: PipelineEngine) -> HealthServer:
    """Returns the server of traces and kept data."""
    routes = {"traces": engine.traces.read, "data": engine.traces.read_kept}
    return HealthServer(live=lambda: None, ready=lambda: None, routes=routes)


def _trouble(running: RunningGateway) -> str | None:
    """Returns why the gateway is not ready: it has no plans, and no scheduler has told it any."""
    return None if running.engine.plans.keys else running.session.trouble()


async def _drain(session: SchedulerSession, seconds: float) -> None:
    """Announces the end, and waits until no route leads here, or no scheduler can be expected."""
    now = asyncio.get_running_loop().time
    end, heard_at = now() + seconds, now()
    session.drain()
    log.info("pipeline gateway drains", seconds=seconds)
    while session.stranded is None and now() < end and now() - heard_at < _ALONE_SECONDS:
        if session.connected.is_set():
            heard_at = now()
        await asyncio.sleep(_STEP_SECONDS)


@asynccontextmanager
async def gateway(settings: PipelineGatewaySettings) -> AsyncIterator[RunningGateway]:
    """Runs a gateway while entered, and as long as its requests take, within the time for its end."""
    place = EnvoyPlace(settings.namespace, settings.envoy_host, settings.envoy_port, settings.endpoints_dir)
    plans, budget = Plans(settings.namespace), ByteBudget(settings.most_bytes)
    broker = await settled_broker(settings)
    metrics.PLANS.set_function(lambda: len(plans.keys))
    limits = RunLimits(settings.seconds, settings.most_requests, settings.most_side_runs)
    outbox = Outbox(agent_pb2.ReplicaStatus(server_ready=True))
    async with step_client(place.find, settings.most_body_bytes) as client:
        traces = TraceRing(settings.most_traces, KeptData(settings.most_kept_bytes))
        tracer = Tracer(PIPELINE_GATEWAY, settings.namespace, settings.pod)
        engine = PipelineEngine(plans, client, budget, limits, traces, PipelineSpans(tracer))
        later = partial(asyncio.get_running_loop().call_later, _KEEP_SECONDS)
        left = engine.batches.keep
        versions = PlanVersions(plans, outbox, settings.plan_file, left=left, later=later, broker=broker)
        forms, metadata = answer_forms(settings.namespace), MetadataQuestions(engine)
        service = PipelineService(engine, forms, metadata, broker)
        read = ReadLimits(settings.most_body_bytes, budget, plans.key_of)
        reading = ConnectionLimits(read, settings.seconds)
        models = ModelNames()
        consuming = broker.consuming(engine, models) if broker is not None else nullcontext()
        async with _listening(settings, service, reading) as port, consuming:
            endpoint = agent_pb2.Endpoint(address=settings.address, http_port=port, grpc_port=port)
            session = SchedulerSession(
                settings=settings,
                models=versions,
                outbox=outbox,
                endpoint=endpoint,
                tracer=tracer,
                names=models,
            )
            try:
                with _renewing(versions):
                    yield RunningGateway(engine, session, port, models, broker)
            finally:
                versions.keep()


@contextmanager
def _renewing(versions: PlanVersions) -> Iterator[None]:
    """Reports changes of the notes about the journal while entered."""
    loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()

    def turn() -> None:
        versions.renew()
        timers[:] = [loop.call_later(_NOTE_SECONDS, turn)]

    turn()
    try:
        yield
    finally:
        timers[0].cancel()


@asynccontextmanager
async def _listening(
    settings: PipelineGatewaySettings, service: PipelineService, limits: ConnectionLimits
) -> AsyncIterator[int]:
    connections: set[Connection] = set()
    callers = Callers(most_callers())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(service, limits, connections, callers),
        settings.address,
        settings.http_port,
        backlog=_BACKLOG,
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        service.ending = True
        await _finish(service, connections, settings.drain_seconds)


async def _finish(service: PipelineService, connections: set[Connection], seconds: float) -> None:
    """Waits until no request is in progress and the journal is written, then closes what is left."""
    for each in tuple(connections):
        each.finish()
    if not await service.engine.finish(seconds):
        log.warning("requests given up", seconds=seconds)
    if service.broker is not None:
        await service.broker.close(min(seconds, _JOURNAL_SECONDS))
    for each in tuple(connections):
        each.abort()
