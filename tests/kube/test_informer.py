"""Informers against the embedded API: restarts, lost history, missing rights, live scopes."""

from __future__ import annotations

import asyncio
import contextlib
import random
from contextlib import asynccontextmanager

import pytest
import structlog
from prometheus_client import REGISTRY
from tests.support.waiting import until

from bailie.api import kinds
from bailie.kube.client import Client
from bailie.kube.errors import Forbidden, NotFound, Unreachable
from bailie.kube.informer import Informer
from bailie.kube.informers import InformerSet


@asynccontextmanager
async def running(informer):
    """Runs the informer (or set) while entered, and sees that it ends cleanly on cancel."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(informer.run())
        try:
            yield informer
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=30)
            assert task.cancelled()


@pytest.fixture
def informer(client):
    return Informer(client, kinds.CONFIG_MAP, "a")


def names(informer):
    return sorted(name for _, name in informer.store)


async def test_the_store_follows_and_every_change_is_announced(client, informer, config_map):
    await client.create(config_map("one", key="1"))
    changes = []
    informer.subscribe(
        lambda change: changes.append(
            (change.type.value, change.object["metadata"]["name"], change.object["data"])
        )
    )
    async with running(informer):
        await informer.synced.wait()
        await client.create(config_map("two", key="1"))
        await client.patch(kinds.CONFIG_MAP, "one", "a", {"data": {"key": "2"}})
        await client.delete(kinds.CONFIG_MAP, "two", "a")
        await client.create(config_map("elsewhere", namespace="b"))
        await client.create(config_map("three", key="1"))
        await until(lambda: len(changes) == 5)
    assert changes == [
        ("ADDED", "one", {"key": "1"}),
        ("ADDED", "two", {"key": "1"}),
        ("MODIFIED", "one", {"key": "2"}),
        ("DELETED", "two", {"key": "1"}),
        ("ADDED", "three", {"key": "1"}),
    ]
    assert names(informer) == ["one", "three"]
    assert "managedFields" not in informer.store["a", "one"]["metadata"]
    assert informer.failure is None


async def test_a_callback_that_raises_is_logged_and_stops_nothing(client, informer, config_map):
    def fail(change):
        raise ValueError("bug")

    informer.subscribe(fail)
    with structlog.testing.capture_logs() as logs:
        async with running(informer):
            await informer.synced.wait()
            await client.create(config_map("one"))
            await client.create(config_map("two"))
            await until(lambda: names(informer) == ["one", "two"])
    assert [entry["event"] for entry in logs] == ["callback failed"] * 2


def lists():
    """How often an informer has listed ConfigMaps."""
    return REGISTRY.get_sample_value("bailie_informer_lists_total", {"resource": "configmaps"}) or 0


async def test_a_history_that_is_gone_leads_to_a_new_list(api_for_a_while, config_map):
    async with api_for_a_while(kept_changes=3) as api, Client.from_kubeconfig(api.kubeconfig) as client:
        await client.create(config_map("old", namespace="default"))
        await client.create(config_map("kept", namespace="default"))
        informer = Informer(client, kinds.CONFIG_MAP, "default")
        changes = []
        informer.subscribe(
            lambda change: changes.append((change.type.value, change.object["metadata"]["name"]))
        )
        async with running(informer):
            await informer.synced.wait()
        await client.delete(kinds.CONFIG_MAP, "old", "default")
        await client.create(config_map("new", namespace="default"))
        for turn in range(510):  # the server drops history every 500 writes
            await client.patch(kinds.CONFIG_MAP, "kept", "default", {"data": {"turn": str(turn)}})
        changes.clear()
        before = lists()
        async with running(informer):
            await until(lambda: names(informer) == ["kept", "new"])
        assert lists() == before + 1
    assert sorted(changes) == [("ADDED", "new"), ("DELETED", "old"), ("MODIFIED", "kept")]


async def test_it_resumes_when_the_server_comes_back(api_for_a_while, config_map):
    """The server goes away in the middle of a watch; nothing is missed or repeated."""
    changes = []
    async with api_for_a_while() as api:
        api.namespace("a")
        client = Client.from_kubeconfig(api.kubeconfig)
        informer = Informer(client, kinds.CONFIG_MAP, "a")
        informer.subscribe(
            lambda change: changes.append((change.type.value, change.object["metadata"]["name"]))
        )
        task = asyncio.get_running_loop().create_task(informer.run())
        await informer.synced.wait()
        await client.create(config_map("before"))
        await until(lambda: names(informer) == ["before"])
    await until(lambda: isinstance(informer.failure, Unreachable))
    assert names(informer) == ["before"]
    async with api_for_a_while() as api:
        await client.create(config_map("after"))
        await until(lambda: names(informer) == ["after", "before"])
        await until(lambda: informer.failure is None)
        task.cancel()
        await asyncio.wait({task})
        await client.aclose()
    assert changes == [("ADDED", "before"), ("ADDED", "after")]


async def test_missing_rights_show_and_are_served_when_they_come(api, client, grant, config_map, tmp_path):
    await client.create(config_map("one"))
    kubeconfig = api.kubeconfig_for(api.service_account_token("a", "reader"), tmp_path / "reader")
    async with Client.from_kubeconfig(kubeconfig) as reader:
        informer = Informer(reader, kinds.CONFIG_MAP, "a")
        states = []
        informer.subscribe_state(lambda: states.append((informer.synced.is_set(), type(informer.failure))))
        async with running(informer):
            await until(lambda: informer.failure is not None)
            assert isinstance(informer.failure, Forbidden)
            assert not informer.synced.is_set()
            await grant("a", "reader", ["configmaps"])
            async with asyncio.timeout(60):
                await informer.synced.wait()
        assert names(informer) == ["one"]
    assert states == [(False, Forbidden), (False, type(None)), (True, type(None))]


async def test_namespaces_are_added_and_removed_while_others_run(client, config_map):
    await client.create(config_map("one"))
    await client.create(config_map("two", namespace="b"))
    informers = InformerSet(client, [kinds.CONFIG_MAP, kinds.SECRET])
    changes: list[tuple[str, str, str]] = []
    states: list[str] = []
    informers.subscribe(
        lambda kind, change: changes.append((kind.kind, change.type.value, change.object["metadata"]["name"]))
    )
    informers.subscribe_state(states.append)
    informers.add("a")
    async with running(informers):
        await until(lambda: informers.synced("a"))
        informers.add("b")
        assert informers.add("b") is informers.add("b")
        await until(lambda: informers.synced("b"))
        assert informers.namespaces == {"a", "b"}
        await informers.remove("a")
        assert (informers.get(kinds.CONFIG_MAP, "a"), informers.synced("a")) == (None, False)
        await client.create(config_map("unseen"))
        await client.create(config_map("three", namespace="b"))
        await until(lambda: ("ConfigMap", "ADDED", "three") in changes)
        await informers.remove("never")
    assert changes == [("ConfigMap", "ADDED", name) for name in ("one", "two", "three")]
    assert set(states) == {"a", "b"}
    assert informers.failures("b") == {}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_what_is_announced_adds_up_to_what_is_there(client, informer, config_map, seed):
    """However often it is stopped and started, the changes lead to the server's state."""
    chance = random.Random(seed)
    told = {}

    def tell(change):
        name = change.object["metadata"]["name"]
        assert (change.old is not None) == (name in told)
        told[name] = change.new and change.new["data"]
        if change.new is None:
            del told[name]

    informer.subscribe(tell)

    async def disturb(times):
        for turn in range(times):
            await client.apply(config_map(f"c{chance.randrange(6)}", turn=str(turn)), force=True)
            with contextlib.suppress(NotFound):
                await client.delete(kinds.CONFIG_MAP, f"c{chance.randrange(6)}", "a")

    for _ in range(5):
        async with running(informer):
            await disturb(chance.randrange(8))
        await disturb(chance.randrange(4))
    truth = {
        item["metadata"]["name"]: item["data"] for item in (await client.list(kinds.CONFIG_MAP, "a")).items
    }
    async with running(informer):
        await until(lambda: told == truth)
    assert names(informer) == sorted(truth)
