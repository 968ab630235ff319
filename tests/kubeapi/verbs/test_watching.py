"""The watch verb as an ASGI response: bookmarks, departures, slow readers, the end of the server."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.support.waiting import until

from kubeapi import bootstrap
from kubeapi.errors import ApiError
from kubeapi.registry.ports import NodePorts
from kubeapi.storage.hub import Hub
from kubeapi.storage.store import Key, Store
from kubeapi.verbs.watching import Watch


class Client:
    """The other end of one watch."""

    def __init__(self):
        self.body = b""
        self.finished = False
        self.leaving = asyncio.Event()

    async def receive(self):
        await self.leaving.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.body += message.get("body", b"")
        self.finished = message["type"] == "http.response.body" and not message["more_body"]

    def events(self):
        return [json.loads(line) for line in self.body.splitlines()]

    def seen(self):
        return [(e["type"], e["object"]["metadata"].get("name", "")) for e in self.events()]


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "objects.db")
    yield opened
    opened.close()


@pytest.fixture
def resource():
    return bootstrap.catalogue((), NodePorts()).find("", "v1", "configmaps")


def put(store, name, **labels):
    obj = {"metadata": {"name": name, "namespace": "a", "uid": name, "labels": labels}}
    return store.put(Key("/configmaps", "a", name), obj, store.get(Key("/configmaps", "a", name)))


def watch(hub, resource, **query):
    return Watch(hub, resource, "a", query, show=lambda obj: obj)


async def test_silence_is_broken_by_bookmarks_with_the_newest_revision(store, resource):
    hub, client = Hub(store, bookmark_seconds=0.02), Client()
    started = watch(hub, resource, allowWatchBookmarks="true", labelSelector="app=x")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(started({}, client.receive, client.send))
        put(store, "other", app="y")
        await until(lambda: ("BOOKMARK", "") in client.seen())
        hub.close()
    assert client.events()[-1]["object"]["metadata"]["resourceVersion"] == "1"
    assert {kind for kind, _ in client.seen()} == {"BOOKMARK"}


async def test_a_client_that_leaves_is_forgotten(store, resource):
    hub, client = Hub(store), Client()
    started = watch(hub, resource)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(started({}, client.receive, client.send))
        put(store, "x")
        await until(lambda: client.seen() == [("ADDED", "x")])
        client.leaving.set()
    assert hub.open_watches == 0


async def test_the_end_of_the_server_ends_watches_in_order(store, resource):
    hub, client = Hub(store), Client()
    started = watch(hub, resource)
    put(store, "x")
    hub.close()
    await started({}, client.receive, client.send)
    assert client.finished


async def test_nothing_is_lost_between_the_list_and_the_first_read(store, resource):
    hub, client = Hub(store), Client()
    put(store, "before")
    started = watch(hub, resource)
    put(store, "between")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(started({}, client.receive, client.send))
        await until(lambda: len(client.seen()) == 2)
        client.leaving.set()
    assert client.seen() == [("ADDED", "before"), ("ADDED", "between")]


@pytest.mark.parametrize(
    ("query", "code"), [({"resourceVersion": "7"}, 410), ({"resourceVersion": "x"}, 400)]
)
def test_revisions_that_cannot_be_resumed_from(store, resource, query, code):
    with pytest.raises(ApiError) as refused:
        watch(Hub(store), resource, **query)
    assert refused.value.code == code
