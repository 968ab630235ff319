"""What `bailie up` gives to namespaces that come into the list while it runs."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from tests.support.api import running_api
from tests.support.waiting import until, until_true

from bailie.api.kinds import CONFIG_MAP, NAMESPACE, ROLE_BINDING, SECRET, SELDON_RUNTIME
from bailie.kube.client import Client
from bailie.kube.errors import NotFound
from bailie.local.bootstrap import bootstrap, watched
from bailie.local.settings import OPERATOR_NAMESPACE, LocalSettings
from bailie.local.watch_list import NamespaceProvisioner

BINDING = "seldon-v2-manager-rolebinding"


@pytest.fixture
async def client(tmp_path):
    with running_api(tmp_path) as api:
        async with Client.from_kubeconfig(api.kubeconfig) as client:
            yield client


@asynccontextmanager
async def following(client, settings):
    watch_list = NamespaceProvisioner(client, settings, await bootstrap(client, settings))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch_list.run())
        yield watch_list
        task.cancel()


async def put(client, *names):
    text = "".join(f"{name}\n" for name in names)
    await client.patch(CONFIG_MAP, "bailie-scope", OPERATOR_NAMESPACE, {"data": {"namespaces": text}})


async def has(client, kind, name, namespace):
    try:
        return await client.get(kind, name, namespace)
    except NotFound:
        return None


async def test_a_namespace_that_comes_into_the_list_gets_all_that_it_needs(client, tmp_path):
    async with following(client, LocalSettings(state_directory=tmp_path)) as watch_list:
        await put(client, "default", "late", "Not_A_Name")
        await until_true(lambda: has(client, ROLE_BINDING, BINDING, "late"))
        assert await has(client, SECRET, "seldon-control-plane", "late")
        assert await has(client, SELDON_RUNTIME, "seldon", "late")
        assert watch_list.namespaces == ("default", "late")


async def test_what_was_deleted_from_a_provisioned_namespace_stays_away(client, tmp_path):
    settings = LocalSettings(state_directory=tmp_path, default_servers=False)
    async with following(client, settings) as watch_list:
        await put(client, "default", "one")
        await until_true(lambda: has(client, ROLE_BINDING, BINDING, "one"))
        await client.delete(ROLE_BINDING, BINDING, "one")
        await put(client, "default", "one", "two")
        await until_true(lambda: has(client, ROLE_BINDING, BINDING, "two"))
        assert await has(client, ROLE_BINDING, BINDING, "one") is None
        await put(client, "default", "two")
        await until(lambda: "one" not in watch_list.namespaces)
        await put(client, "default", "two", "one")
        await until_true(lambda: has(client, ROLE_BINDING, BINDING, "one"))


async def test_a_namespace_that_leaves_the_list_keeps_what_it_has(client, tmp_path):
    async with following(client, LocalSettings(state_directory=tmp_path)) as watch_list:
        await put(client)
        await until(lambda: watch_list.namespaces == ())
        assert await has(client, NAMESPACE, "default", None)
        assert await has(client, SELDON_RUNTIME, "seldon", "default")


async def test_a_start_without_a_list_keeps_the_one_that_there_is(client, tmp_path):
    assert await bootstrap(client, LocalSettings(state_directory=tmp_path)) == ("default",)
    await put(client, "mine")
    assert await bootstrap(client, LocalSettings(state_directory=tmp_path)) == ("mine",)
    chosen = LocalSettings(state_directory=tmp_path, namespaces=("a", "b"))
    assert await bootstrap(client, chosen) == ("a", "b")
    assert await watched(client) == ("a", "b")
