"""Events: the same words count up, nothing fails the caller."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from tests.support.waiting import until

from bailie.api import kinds
from bailie.kube.client import Client
from bailie.kube.events import MOST_ALIKE, EventType, Recorder


@asynccontextmanager
async def recording(client):
    recorder = Recorder(client, "seldon-scheduler", "seldon-scheduler-0")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(recorder.run())
        try:
            yield recorder
        finally:
            task.cancel()


@pytest.fixture
async def model(client):
    metadata = {"name": "iris", "namespace": "a"}
    manifest = {"apiVersion": kinds.MODEL.api_version, "kind": "Model", "metadata": metadata}
    return await client.create({**manifest, "spec": {"storageUri": "/m"}})


async def written(client, count):
    """Returns the Events once their counts add up."""
    async with asyncio.timeout(60):
        while True:
            items = (await client.list(kinds.EVENT, "a")).items
            if sum(item["count"] for item in items) >= count:
                return items
            await asyncio.sleep(0.01)


async def test_an_event_names_its_object_and_who_says_it(client, model):
    async with recording(client) as recorder:
        recorder.event(model, EventType.WARNING, "NotPlaced", "0/3 servers fit")
        (event,) = await written(client, 1)
    assert event["involvedObject"] == {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Model",
        "name": "iris",
        "namespace": "a",
        "uid": model["metadata"]["uid"],
    }
    said = (event["type"], event["reason"], event["message"], event["reportingComponent"])
    assert said == ("Warning", "NotPlaced", "0/3 servers fit", "seldon-scheduler")


async def test_the_same_words_are_one_event_with_a_count(client, model):
    async with recording(client) as recorder:
        for _ in range(3):
            recorder.event(model, EventType.NORMAL, "Placed", "on mlserver")
        await written(client, 3)
        recorder.event(model, EventType.NORMAL, "Placed", "on mlserver")
        recorder.event(model, EventType.NORMAL, "Placed", "on triton")
        events = await written(client, 5)
        assert sorted((event["message"], event["count"]) for event in events) == [
            ("on mlserver", 4),
            ("on triton", 1),
        ]
        for event in events:
            await client.delete(kinds.EVENT, event["metadata"]["name"], "a")
        recorder.event(model, EventType.NORMAL, "Placed", "on mlserver")
        assert [event["count"] for event in await written(client, 1)] == [1]


async def test_messages_that_differ_in_figures_alone_become_few_events(client, model):
    async with recording(client) as recorder:
        for number in range(40):
            recorder.event(
                model, EventType.WARNING, "TooManyErrors", f"{number} of {2 * number} failed (10 s)"
            )
            recorder.event(model, EventType.WARNING, "NotPlaced", f"server-{number} has no room")
        events = await written(client, 80)
    alike = [each for each in events if each["reason"] == "TooManyErrors"]
    assert len(alike) == MOST_ALIKE
    assert sorted(each["count"] for each in alike) == [1, 1, 1, 1, 40 - MOST_ALIKE + 1]
    assert max(alike, key=lambda each: each["count"])["message"] == "39 of 78 failed (10 s)"
    assert len(events) == MOST_ALIKE + 40, "names are no figures"


async def test_who_may_not_write_events_goes_on(api, client, grant, model, tmp_path):
    kubeconfig = api.kubeconfig_for(api.service_account_token("a", "mute"), tmp_path / "mute")
    async with Client.from_kubeconfig(kubeconfig) as mute, recording(mute) as recorder:
        recorder.event(model, EventType.NORMAL, "Placed", "x" * 3000)
        await until(lambda: not recorder._pending)
        await grant("a", "mute", ["events"], ["create", "patch"])
        recorder.event(model, EventType.NORMAL, "Placed", "x" * 3000)
        (event,) = await written(client, 1)
    assert len(event["message"]) == 1024


async def test_more_than_can_be_written_is_dropped(client, model):
    recorder = Recorder(client, "c", "i")
    for index in range(2000):
        recorder.event(model, EventType.NORMAL, "Placed", str(index))
    assert len(recorder._pending) == 500
