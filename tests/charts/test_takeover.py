"""A namespace goes from Seldon Core to Bailie and back, by the steps of docs/production-patterns.md."""

from __future__ import annotations

import pytest
from tests.charts.test_installations import admin, api, install, operating, until_ready
from tests.support.charts import render
from tests.support.controllers import cluster_controllers
from tests.support.patterns import HOME, PATTERNS, TEAMS
from tests.support.seldon_core import RUNTIME_COMPONENTS
from tests.support.waiting import until_true

from bailie.api.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    LEASE,
    POD_DISRUPTION_BUDGET,
    ROLE,
    SELDON_RUNTIME,
    SERVER,
    SERVICE,
    STATEFUL_SET,
)
from bailie.manifests.defaults import token_secret
from bailie.manifests.rbac import SCHEDULER_RULES, namespace_manifests

__all__ = ["admin", "api"]
PLACE = "elsewhere"
MADE = (STATEFUL_SET, DEPLOYMENT, SERVICE, CONFIG_MAP, POD_DISRUPTION_BUDGET, ENDPOINT_SLICE)
OURS = "app.kubernetes.io/managed-by=bailie"


def left_behind(server):
    """What is there of Seldon Core: everything but the Server, which owns some of it."""
    runtime = {
        "seldonConfig": "default",
        "overrides": [{"name": name, "replicas": 0} for name in RUNTIME_COMPONENTS],
    }
    metadata = {"name": "seldon", "finalizers": ["seldon.runtime.finalizer"]}
    yield from (
        {
            "apiVersion": "mlops.seldon.io/v1alpha1",
            "kind": "SeldonRuntime",
            "metadata": metadata,
            "spec": runtime,
        },
        _rbac("seldon-scheduler-role", ["configmaps", "secrets"]),
        _rbac("agent-role", ["configmaps", "secrets"]),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "seldon-scheduler"},
            "spec": {"type": "ExternalName", "externalName": f"seldon-scheduler.{HOME}.svc.cluster.local"},
        },
        _stateful_set(server),
    )


def _rbac(name, resources):
    rules = [{"apiGroups": [""], "resources": resources, "verbs": ["get", "list", "watch"]}]
    api_version = "rbac.authorization.k8s.io/v1"
    return {"apiVersion": api_version, "kind": "Role", "metadata": {"name": name}, "rules": rules}


def _stateful_set(server):
    labels = {"seldon-server-name": "mlserver"}
    owner = {
        "apiVersion": server["apiVersion"],
        "kind": "Server",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    owner |= {"name": "mlserver", "uid": server["metadata"]["uid"]}
    containers = [{"name": "rclone", "image": "seldonio/seldon-rclone:2.9.1"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "mlserver", "ownerReferences": [owner]},
        "spec": {"serviceName": "mlserver", "selector": {"matchLabels": labels}, "template": template},
    }


async def put_list(admin, *names):
    body = {"data": {"namespaces": "".join(f"{name}\n" for name in names)}}
    await admin.patch(CONFIG_MAP, "bailie-scope", HOME, body)


@pytest.fixture
async def namespace_of_seldon_core(admin):
    server = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Server", "metadata": {"name": "mlserver"}}
    server["metadata"]["namespace"] = PLACE
    made = await admin.create({**server, "spec": {"serverConfig": "mlserver", "replicas": 1}})
    for manifest in left_behind(made):
        manifest["metadata"]["namespace"] = PLACE
        await admin.create(manifest)


async def test_there_and_back(api, admin, namespace_of_seldon_core, tmp_path):
    [pattern] = [each for each in PATTERNS if each.name == "3-scoped"]
    manifests = pattern.manifests()
    await install(admin, manifests)
    async with cluster_controllers(admin), operating(api, manifests, HOME, tmp_path) as refused:
        await take_over(admin)
        await until_ready(admin, PLACE)
        assert await names(admin, STATEFUL_SET) == {"mlserver"}
        assert await names(admin, DEPLOYMENT) == {"seldon-scheduler", "seldon-envoy"}
        assert await containers(admin) == {"agent", "mlserver"}
        assert refused == []
        await give_back(admin, refused)
    assert await admin.get(SELDON_RUNTIME, "seldon", PLACE)
    assert await admin.get(SERVER, "mlserver", PLACE)


async def take_over(admin):
    await admin.delete(SERVICE, "seldon-scheduler", PLACE)
    await admin.delete(STATEFUL_SET, "mlserver", PLACE)
    await install(admin, [*namespace_manifests(PLACE, HOME), token_secret(PLACE, "x" * 43)], force=True)
    role = await admin.get(ROLE, "seldon-scheduler-role", PLACE)
    assert role["rules"] == [rule.manifest() for rule in SCHEDULER_RULES]
    await put_list(admin, *TEAMS, PLACE)
    released = render("runtime", {"rights": {"create": False}}, namespace=PLACE).of("SeldonRuntime")
    await install(admin, released, force=True)


async def give_back(admin, refused):
    await put_list(admin, *TEAMS)

    async def let_go():
        leases = await admin.list(LEASE, PLACE)
        return not any(each["spec"].get("holderIdentity") for each in leases.items)

    await until_true(let_go)
    for kind in MADE:
        for found in (await admin.list(kind, PLACE, labels=OURS)).items:
            await admin.delete(kind, found["metadata"]["name"], PLACE)
    left = [await names(admin, kind) for kind in MADE]
    assert left == [set() for _ in MADE]
    assert refused == []


async def names(admin, kind):
    return {found["metadata"]["name"] for found in (await admin.list(kind, PLACE)).items}


async def containers(admin):
    found = await admin.get(STATEFUL_SET, "mlserver", PLACE)
    return {each["name"] for each in found["spec"]["template"]["spec"]["containers"]}
