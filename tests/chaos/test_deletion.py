"""Deletion ends, whatever is dead."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.support.chaos.stage import Stage, farewell, restartable_api
from tests.support.waiting import until, until_true

from bailie.api.kinds import MODEL, NAMESPACE, SERVER
from bailie.kube.errors import NotFound

BOUND_SECONDS = 60.0
FINALIZER = "seldon.model.finalizer"

# An API and connections that end in the middle leave sockets to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def api():
    with restartable_api() as api:
        yield api


@contextlib.asynccontextmanager
async def staged(api):
    """A stage with one server of two replicas, and a scheduler."""
    try:
        async with asyncio.TaskGroup() as group:
            stage = Stage(api, group, pace=lambda: 0.0)
            await stage.open()
            try:
                await stage.schedulers.start()
                await stage.apply(SERVER, "s0", {"serverConfig": "mlserver", "replicas": 2})
                for ordinal in range(2):
                    stage.replica("s0", ordinal).start(group)
                yield stage
            finally:
                await stage.close()
    finally:
        await farewell()


async def served(stage, count, **metadata):
    """Creates models and waits until all of them are loaded."""
    spec = {"storageUri": "/m", "memory": "1Mi"}
    await asyncio.gather(*(stage.apply(MODEL, f"m{each}", spec, **metadata) for each in range(count)))
    replicas = stage.replicas.values()
    await until(lambda: sum(len(each.loaded) for each in replicas) == count, seconds=120)


async def test_a_hundred_models_are_gone_within_a_minute_while_their_server_is_dead(api):
    async with staged(api) as stage:
        await served(stage, 100, finalizers=[FINALIZER])
        for replica in stage.replicas.values():
            await replica.kill(keep_inventory=True)
        await asyncio.gather(*(stage.delete(MODEL, f"m{each}") for each in range(100)))
        await until_true(lambda: gone(stage), seconds=BOUND_SECONDS)
        await until(lambda: not stage.plane.table.entries, seconds=BOUND_SECONDS)


async def test_what_a_dead_server_had_of_deleted_models_is_unloaded_when_it_is_back(api):
    async with staged(api) as stage:
        await served(stage, 3)
        dead = stage.replica("s0", 0)
        await dead.kill(keep_inventory=True)
        for number in range(3):
            await stage.delete(MODEL, f"m{number}")
        await until_true(lambda: gone(stage), seconds=BOUND_SECONDS)
        dead.start(stage.group)
        await until(lambda: not dead.inventory and dead.session, seconds=BOUND_SECONDS)


async def test_a_namespace_goes_with_everything_in_it(api):
    """Servers are pods of the namespace and go with it; nobody waits for what they have."""
    async with staged(api) as stage:
        await served(stage, 5, finalizers=[FINALIZER])
        await stage.client.delete(NAMESPACE, stage.name)
        await until_true(lambda: namespace_gone(stage), seconds=BOUND_SECONDS)
        assert stage.offences == []


async def test_a_namespace_goes_also_where_its_scheduler_goes_first(api):
    async with staged(api) as stage:
        await served(stage, 5, finalizers=[FINALIZER])
        await until_true(lambda: without_finalizers(stage), seconds=BOUND_SECONDS)
        for pod in list(stage.schedulers.running):
            await stage.schedulers.stop(pod)
        await stage.client.delete(NAMESPACE, stage.name)
        await until_true(lambda: namespace_gone(stage), seconds=BOUND_SECONDS)


async def without_finalizers(stage):
    return not any(each["metadata"].get("finalizers") for each in await stage.models())


async def gone(stage):
    return not await stage.models()


async def namespace_gone(stage):
    try:
        await stage.client.get(NAMESPACE, stage.name)
    except NotFound:
        return True
    return False
