"""The process of a pipeline gateway: listens for Envoys, and runs their requests until it is told to end.

`cli` calls `serve`. At the end it takes no further connection, finishes the requests in progress, and closes
each connection with its next answer, so that Envoy goes elsewhere and no request fails.
"""

from __future__ import annotations

import asyncio
import resource
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from bailie.kube.discovery import EnvoyPlace
from bailie.kube.health import HealthServer
from bailie.pipelinegateway import metrics
from bailie.pipelinegateway.answers import Answers
from bailie.pipelinegateway.budget import ByteBudget
from bailie.pipelinegateway.connection import Connection, ConnectionLimits
from bailie.pipelinegateway.engine import PipelineEngine, RunLimits
from bailie.pipelinegateway.plan_file import read_plans
from bailie.pipelinegateway.plans import Plans
from bailie.pipelinegateway.request_reader import ReadLimits
from bailie.pipelinegateway.service import PipelineService
from bailie.pipelinegateway.step_client import step_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bailie.pipelinegateway.settings import PipelineGatewaySettings

log = structlog.get_logger(__name__)

_BACKLOG = 1_024


async def serve(settings: PipelineGatewaySettings) -> None:
    """Serves until cancelled. Raises OSError where a port is taken."""
    _take_file_descriptors()
    health = HealthServer(live=lambda: None, ready=lambda: None)
    async with health.serve(settings.address, settings.health_port), gateway(settings) as (_, port):
        log.info("pipeline gateway listens", port=port)
        await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def gateway(settings: PipelineGatewaySettings) -> AsyncIterator[tuple[PipelineEngine, int]]:
    """Runs a gateway while entered, and as long as its requests take, within the grace; yields its port."""
    place = EnvoyPlace(settings.namespace, settings.envoy_host, settings.envoy_port, settings.endpoints_dir)
    plans, budget = Plans(settings.namespace), ByteBudget(settings.most_bytes)
    plans.replace(read_plans(settings.plan_file))
    metrics.PLANS.set_function(lambda: len(plans.keys))
    limits = RunLimits(settings.seconds, settings.most_requests, settings.most_side_runs)
    async with step_client(place.find, settings.most_body_bytes) as client:
        engine = PipelineEngine(plans, client, budget, limits)
        service = PipelineService(engine, Answers(settings.namespace))
        reading = ConnectionLimits(ReadLimits(settings.most_body_bytes, budget), settings.seconds)
        async with _listening(settings, service, reading) as port:
            yield engine, port


@asynccontextmanager
async def _listening(
    settings: PipelineGatewaySettings, service: PipelineService, limits: ConnectionLimits
) -> AsyncIterator[int]:
    connections: set[Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(service, limits, connections),
        settings.address,
        settings.http_port,
        backlog=_BACKLOG,
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        service.ending = True
        await _finish(service.engine, connections, settings.grace_seconds)


async def _finish(engine: PipelineEngine, connections: set[Connection], seconds: float) -> None:
    """Waits until no request is in progress, then closes what is left."""
    for each in tuple(connections):
        each.finish()
    if not await engine.finish(seconds):
        log.warning("requests given up", seconds=seconds)
    for each in tuple(connections):
        each.abort()


def _take_file_descriptors() -> None:
    """Raises the limit of open files as far as the process may: each call of a step takes one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
