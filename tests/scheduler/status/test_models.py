"""What the writers of statuses keep of objects that come and go."""

from __future__ import annotations

from tests.support.passes import Pass

from bailie.scheduler.status.models import ModelWriter
from bailie.scheduler.status.servers import ServerWriter
from bailie.wellknown.names import FINALIZER


class Api:
    """Takes every write."""

    def __init__(self):
        self.patched = []

    async def patch(self, kind, name, namespace, body, subresource=""):
        self.patched.append((kind.kind, name, subresource))

    def event(self, *_):
        """Takes an Event."""


def manifest(found, **metadata):
    return {**found, "metadata": {"resourceVersion": "1", **found["metadata"], **metadata}}


async def test_nothing_is_kept_of_models_whose_finalizer_was_taken_off():
    world, api = Pass(), Api()
    world.agents.connect()
    writer = ModelWriter(api, "a", api)
    for number in range(20):
        name = f"model-{number}"
        world.model(name, metadata={"uid": f"uid-{number}", "finalizers": [FINALIZER]})
        world.step()
        writer.take(world.engine.result)
        for _ in range(2):
            await writer.write(manifest(world.models[name]))
        assert [each for each in api.patched if each == ("Model", name, "")] == [("Model", name, "")], "once"
        deleted = manifest(world.models[name], deletionTimestamp="2026-01-01T00:00:00Z")
        world.models[name] = deleted
        world.step()
        writer.take(world.engine.result)
        await writer.write(deleted)
        del world.models[name]
        world.step()
        writer.take(world.engine.result)
    assert (writer._adopted, writer._waits._since) == ({}, {})


async def test_nothing_is_said_of_a_model_by_the_facts_of_one_that_had_its_name():
    """A Model that was deleted and made anew has the generation of the one before, and may be seen before the
    next pass."""
    world, api = Pass(), Api()
    world.agents.connect()
    writer = ModelWriter(api, "a", api)
    world.model("iris", metadata={"uid": "former"})
    world.step()
    writer.take(world.engine.result)
    await writer.write(manifest(world.models["iris"], uid="present"))
    assert api.patched == []
    await writer.write(manifest(world.models["iris"]))
    assert api.patched == [("Model", "iris", "status")]


async def test_nothing_is_kept_of_servers_that_are_gone():
    world, api = Pass(), Api()
    writer = ServerWriter(api, "a")
    for number in range(20):
        name = f"server-{number}"
        world.server(name)
        world.step()
        writer.take(world.engine.result)
        await writer.write(world.servers[name])
        assert ("Server", name, "status") in api.patched
        del world.servers[name]
        world.step()
        writer.take(world.engine.result)
    assert (writer._written, writer._refused) == ({}, {})
