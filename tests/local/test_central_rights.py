"""The rights of one namespace's scheduler in another, as `bailie up` gives and takes them."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.api import running_api
from tests.support.waiting import until_true

from bailie.api.kinds import ROLE, ROLE_BINDING, SELDON_RUNTIME
from bailie.kube.client import Client
from bailie.kube.errors import NotFound
from bailie.local.central_rights import CentralRights

NAME = "seldon-central-scheduler"
TEAM = "team"


@pytest.fixture
async def client(tmp_path):
    with running_api(tmp_path) as api:
        for name in (TEAM, "mesh", "other"):
            api.namespace(name)
        async with Client.from_kubeconfig(api.kubeconfig) as client, asyncio.TaskGroup() as group:
            task = group.create_task(CentralRights(client).run())
            yield client
            task.cancel()


async def make(client, name, scheduler_namespace):
    spec = {"seldonConfig": "default", "schedulerNamespace": scheduler_namespace}
    metadata = {"name": name, "namespace": TEAM}
    manifest = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "SeldonRuntime"}
    return await client.create({**manifest, "metadata": metadata, "spec": spec})


async def ask(client, name, scheduler_namespace):
    await client.patch(SELDON_RUNTIME, name, TEAM, {"spec": {"schedulerNamespace": scheduler_namespace}})


async def given_to(client):
    """The namespace whose scheduler has the rights, empty for none at all."""
    try:
        await client.get(ROLE, f"{NAME}-role", TEAM)
        (subject,) = (await client.get(ROLE_BINDING, f"{NAME}-rolebinding", TEAM))["subjects"]
    except NotFound:
        return ""
    return subject["namespace"]


async def until_given(client, namespace):
    async def holds():
        return await given_to(client) == namespace

    await until_true(holds)


async def say(client, name, *, status, reason):
    condition = {"type": "SchedulerReady", "status": status, "reason": reason, "message": "m"}
    condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    await client.patch(
        SELDON_RUNTIME, name, TEAM, {"status": {"conditions": [condition]}}, subresource="status"
    )


async def test_rights_follow_the_field_and_outlast_the_hand_over(client):
    await make(client, "seldon", "mesh")
    await until_given(client, "mesh")
    await say(client, "seldon", status="True", reason="ServedElsewhere")
    await ask(client, "seldon", "other")
    await until_given(client, "other")
    await ask(client, "seldon", None)
    await say(client, "seldon", status="False", reason="ReplicasNotReady")
    assert await given_to(client) == "other"
    await say(client, "seldon", status="True", reason="ReplicasReady")
    await until_given(client, "")
    await ask(client, "seldon", "mesh")
    await until_given(client, "mesh")


async def test_rights_go_with_the_runtime_and_only_the_oldest_asks(client):
    await make(client, "ant", "mesh")
    await until_given(client, "mesh")
    await make(client, "zebra", "other")
    await say(client, "ant", status="True", reason="ServedElsewhere")
    assert await given_to(client) == "mesh"
    await client.delete(SELDON_RUNTIME, "ant", TEAM)
    await until_given(client, "other")
    await client.delete(SELDON_RUNTIME, "zebra", TEAM)
    await until_given(client, "")
