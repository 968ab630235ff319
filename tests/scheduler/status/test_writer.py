"""What the status writer does with objects that others have touched, against the embedded API."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

import pytest
from tests.support.waiting import until as until_within

from bailie.api.kinds import MODEL, SERVER
from bailie.control.fleet import CopyId, ModelCopy
from bailie.control.pass_result import PassResult
from bailie.control.subjects import Subject
from bailie.kube.events import Recorder
from bailie.kube.informer import Informer
from bailie.kube.leader_guard import LeaderGuard
from bailie.lifecycle.conditions import ModelFacts
from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.version import VersionFacts
from bailie.placement import ReplicaId, Server, Snapshot, VersionId
from bailie.scheduler.status.models import ModelWriter
from bailie.scheduler.status.servers import ServerWriter
from bailie.scheduler.status.writer import UNCERTAIN_SECONDS, StatusWriter

until = partial(until_within, seconds=30.0)
COPY = ModelCopy(
    CopyId(ReplicaId("mlserver", 0), VersionId("iris", "x"), 1), CopyState.LOADED, None, 0, True, True
)


@contextlib.asynccontextmanager
async def writing(namespace, leads=lambda: True, **fields):
    """A status writer that runs while entered, and the Models that it sees."""
    client = namespace.client.guarded(LeaderGuard(leads))
    informers = {kind: Informer(namespace.client, kind, namespace.name) for kind in (MODEL, SERVER)}
    recorder = Recorder(namespace.client, "seldon-scheduler", "test")
    writers = {
        MODEL: ModelWriter(client, namespace.name, recorder, **fields),
        SERVER: ServerWriter(client, namespace.name),
    }
    writer = StatusWriter(namespace.name, informers, writers)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run()) for each in (*informers.values(), recorder, writer)]
        for informer in informers.values():
            await informer.synced.wait()
        try:
            yield writer, informers[MODEL].store
        finally:
            for task in tasks:
                task.cancel()


def result(namespace, *, left=(), generation=1, uid=None, **version):
    """What a pass found about `iris`, as it is in the API, or as the one of another `uid`."""
    facts = ModelFacts(
        uid=uid or namespace.uid(),
        generation=generation,
        version=VersionFacts(**version),
        server="mlserver",
        scheduling="words",
    )
    return PassResult(
        snapshot=Snapshot(servers=(Server(name="mlserver"),)),
        copies={"iris": tuple(left)},
        facts={"iris": facts},
        looked_at=frozenset({Subject("Model", "iris")}),
    )


class Failing:
    """The writer of a kind that fails at every result."""

    def take(self, result):
        raise ZeroDivisionError("a mistake of our own")

    async def write(self, manifest):
        return None


async def test_a_writer_that_raises_keeps_no_other_from_the_result(namespace):
    namespace.model()
    client, recorder = namespace.client, Recorder(namespace.client, "seldon-scheduler", "test")
    informers = {kind: Informer(client, kind, namespace.name) for kind in (SERVER, MODEL)}
    writers = {SERVER: Failing(), MODEL: ModelWriter(client, namespace.name, recorder)}
    writer = StatusWriter(namespace.name, informers, writers)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run()) for each in (*informers.values(), writer)]
        for informer in informers.values():
            await informer.synced.wait()
        writer.take(result(namespace))
        await until(lambda: namespace.condition("ModelReady"))
        for task in tasks:
            task.cancel()


async def test_a_status_that_somebody_else_wrote_is_put_right(namespace):
    namespace.model()
    async with writing(namespace) as (writer, _):
        writer.take(result(namespace, placed=1, loaded=1, available=1))
        await until(lambda: namespace.condition().startswith("True"))
        wrong = {"status": {"availableReplicas": 9, "conditions": []}}
        await namespace.client.patch(MODEL, "iris", namespace.name, wrong, subresource="status")
        await until(lambda: namespace.status()["availableReplicas"] == 1 and namespace.condition())


async def test_models_on_a_server_are_counted_and_the_operators_fields_left_alone(namespace):
    namespace.server(running=3)
    async with writing(namespace) as (writer, _):
        writer.take(result(namespace, uid="none", left=[COPY]))
        await until(lambda: namespace.status("mlserver", "servers").get("loadedModels") == 1)
        assert namespace.status("mlserver", "servers")["replicas"] == 3


async def test_a_model_of_another_generation_waits_for_the_next_pass(namespace):
    namespace.model()
    async with writing(namespace) as (writer, store):
        namespace.change("iris", replicas=2)
        await until(lambda: store[namespace.name, "iris"]["metadata"]["generation"] == 2)
        writer.take(result(namespace, placed=1))
        with pytest.raises(AssertionError):
            await until_within(lambda: namespace.status() or None, seconds=0.5)


async def test_a_deletion_goes_on_when_the_unload_took_too_long_and_says_so(namespace):
    namespace.model(metadata={"finalizers": ["seldon.model.finalizer"]})
    async with writing(namespace, unload_wait=1.0) as (writer, store):
        writer.take(result(namespace, deleted=True, left=[COPY]))
        namespace.delete("iris")
        await until(lambda: store[namespace.name, "iris"]["metadata"].get("deletionTimestamp"))
        assert namespace.names() == {"iris"}
        generation = store[namespace.name, "iris"]["metadata"]["generation"]
        writer.take(result(namespace, deleted=True, left=[COPY], generation=generation))
        await until(lambda: namespace.names() == set())
        await until(lambda: "UnloadGivenUp" in namespace.events())


async def test_nothing_is_written_while_it_is_not_certain_that_the_lease_is_held(namespace):
    leads = []
    namespace.model()
    before = namespace.version()
    async with writing(namespace, leads=lambda: bool(leads)) as (writer, _):
        writer.take(result(namespace, placed=1, loaded=1, available=1))
        await asyncio.sleep(2 * UNCERTAIN_SECONDS)
        assert namespace.version() == before
        leads.append("again")
        await until(lambda: namespace.condition().startswith("True"))
