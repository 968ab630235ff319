"""Real neighbours of an agent: a scheduler stand-in on gRPC, MLServer, trained models."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.agent.scheduler import SchedulerStandIn
from tests.support.mlserver import free_port as find_free_port
from tests.support.mlserver import mlserver_process  # noqa: F401 - a fixture, and no other tests' server
from tests.support.objectstore import object_store, web_server  # noqa: F401 - fixtures

from bailie._gen import agent_pb2
from bailie.agent.addresses import Networks, parse_networks
from bailie.agent.local_copy import Roots
from bailie.agent.run import run
from bailie.agent.settings import Settings

if TYPE_CHECKING:
    from tests.support.mlserver import MlserverProcess

_NUMBERS = count(1)


@pytest.fixture
async def scheduler():
    stand_in = SchedulerStandIn()
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


@pytest.fixture
def free_port() -> int:
    return find_free_port()


@pytest.fixture
def mlserver(mlserver_process: MlserverProcess):  # noqa: F811 - pytest's way to ask for a fixture
    """The session's server, running, with an empty repository before and after."""
    mlserver_process.ensure()
    yield mlserver_process
    for record in (mlserver_process.folder / "models").glob("*/bailie.json"):
        shutil.rmtree(record.parent)
    (mlserver_process.folder / "deaths.json").unlink(missing_ok=True)


@pytest.fixture
def settings(mlserver: MlserverProcess, scheduler: SchedulerStandIn) -> Settings:
    return Settings(
        namespace="a",
        pod="mlserver-0",
        server="mlserver",
        replica=0,
        address=mlserver.host,
        http_port=mlserver.http_port,
        grpc_port=mlserver.grpc_port,
        health_port=0,
        held_http_port=0,
        held_grpc_port=0,
        memory_bytes=1 << 30,
        overcommit_percent=10,
        parallel_workers=0,
        scheduler_host="127.0.0.1",
        scheduler_port=scheduler.port,
        folder=mlserver.folder,
        networks=Networks(parse_networks(["127.0.0.1"])),
        roots=Roots(allowed=(Path(tempfile.gettempdir()),), never=(mlserver.folder,)),
        poll_seconds=0.1,
        index_seconds=1.0,
        status_seconds=0.5,
        secret_seconds=0.2,
    )


@asynccontextmanager
async def running(settings: Settings):
    """An agent while the block runs; its failure is the test's."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run(settings))
        yield
        task.cancel()


def version(name: str = "iris", identity: str = "x") -> agent_pb2.ModelVersion:
    """A version with a number of its own: the server of a session never sees one twice."""
    return agent_pb2.ModelVersion(name=name, identity=identity, number=next(_NUMBERS))


def load(
    of: agent_pb2.ModelVersion, uri: object, *requirements: str, epoch: int = 1, **source
) -> agent_pb2.Load:
    return agent_pb2.Load(
        epoch=epoch,
        version=of,
        memory_bytes=1000,
        source=agent_pb2.ModelSource(
            storage_uri=str(uri), requirements=requirements or ("sklearn",), **source
        ),
    )


def unload(of: agent_pb2.ModelVersion, epoch: int = 1) -> agent_pb2.Unload:
    return agent_pb2.Unload(epoch=epoch, version=of)
