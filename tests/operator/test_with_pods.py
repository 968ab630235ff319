"""The operator with a laptop's controllers: its rights suffice, and what it makes goes with its owner."""

from __future__ import annotations

import pytest
from tests.support.controllers import pod_controllers
from tests.support.waiting import until_true

from bailie.api.kinds import CONFIG_MAP, POD, SELDON_RUNTIME, SERVER, SERVICE
from bailie.manifests.objects import service
from bailie.workloads.kubernetes import KubernetesWorkloads


@pytest.fixture
async def installation(installation):
    installation.workloads = KubernetesWorkloads(installation.client)
    async with pod_controllers(installation.admin):
        yield installation


async def _names(installation, kind):
    return {item["metadata"]["name"] for item in (await installation.admin.list(kind, installation.a)).items}


async def _make_ready(installation, name):
    """Stands for the node: the pod runs, its containers are ready."""
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    await installation.admin.patch(POD, name, installation.a, {"status": status}, subresource="status")


async def test_runtime_and_server_become_pods_and_ready_with_them(installation):
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", {"seldonConfig": "default"})
        await installation.make("Server", "mlserver", {"serverConfig": "mlserver", "replicas": 2})
        wanted = {"seldon-scheduler-0", "seldon-envoy-0", "mlserver-0", "mlserver-1"}
        await until_true(lambda: _has(installation, POD, wanted), seconds=40)
        assert await _names(installation, SERVICE) >= {"seldon-scheduler", "seldon-mesh", "mlserver"}
        assert "seldon-agent" in await _names(installation, CONFIG_MAP)
        await installation.until(SERVER, "mlserver", "False", "ReplicasNotReady")
        for name in wanted:
            await _make_ready(installation, name)
        await installation.until(SERVER, "mlserver", "True")
        await installation.until(SELDON_RUNTIME, "seldon", "True")


async def test_a_deleted_pod_and_a_deleted_service_come_back(installation):
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", {"seldonConfig": "default"})
        await until_true(lambda: _has(installation, POD, {"seldon-envoy-0"}), seconds=40)
        uid = (await installation.admin.get(POD, "seldon-envoy-0", installation.a))["metadata"]["uid"]
        await installation.admin.delete(POD, "seldon-envoy-0", installation.a, grace_seconds=0)
        await installation.admin.delete(SERVICE, "seldon-mesh", installation.a)

        async def replaced():
            pods = (await installation.admin.list(POD, installation.a)).items
            return any(
                p["metadata"]["name"] == "seldon-envoy-0" and p["metadata"]["uid"] != uid for p in pods
            )

        await until_true(replaced, seconds=40)
        await until_true(lambda: _has(installation, SERVICE, {"seldon-mesh"}), seconds=40)


async def test_what_was_made_goes_with_its_owner(installation):
    async with installation.operator():
        await installation.make("Server", "mlserver", {"serverConfig": "mlserver"})
        await until_true(lambda: _has(installation, POD, {"mlserver-0"}), seconds=40)
        await installation.admin.delete(SERVER, "mlserver", installation.a)

        async def gone():
            pods = (await installation.admin.list(POD, installation.a)).items
            going = all(pod["metadata"].get("deletionTimestamp") for pod in pods)
            return going and "mlserver" not in await _names(installation, SERVICE)

        await until_true(gone, seconds=40)


async def test_nothing_is_done_where_nothing_changes(installation):
    async with installation.operator():
        await installation.make("Server", "mlserver", {"serverConfig": "mlserver"})
        await until_true(lambda: _has(installation, POD, {"mlserver-0"}), seconds=40)
        await _make_ready(installation, "mlserver-0")
        await installation.until(SERVER, "mlserver", "True")
        before = await _versions(installation)
        await installation.admin.patch(
            SERVER,
            "mlserver",
            installation.a,
            {"metadata": {"annotations": {"kubectl.kubernetes.io/x": "y"}}},
        )
        await installation.make("Server", "other", {"serverConfig": "mlserver"})
        await until_true(lambda: _has(installation, POD, {"other-0"}), seconds=40)
        assert await _versions(installation) == before


async def _has(installation, kind, wanted):
    return wanted <= await _names(installation, kind)


async def _versions(installation):
    """Resource versions of what belongs to the Server."""
    found = {}
    for kind in (POD, SERVICE):
        for item in (await installation.admin.list(kind, installation.a)).items:
            if item["metadata"]["name"].startswith("mlserver"):
                found[kind.kind, item["metadata"]["name"]] = item["metadata"]["resourceVersion"]
    return found


async def test_what_is_disabled_later_goes_and_what_was_made_by_hand_stays(installation):
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", {"seldonConfig": "default"})
        pods = {"seldon-scheduler-0", "seldon-envoy-0"}
        await until_true(lambda: _has(installation, POD, pods), seconds=40)
        overrides = [{"name": "seldon-scheduler", "disable": True}, {"name": "seldon-envoy", "replicas": 0}]
        body = {"spec": {"overrides": overrides}}
        await installation.admin.patch(SELDON_RUNTIME, "seldon", installation.a, body)

        async def gone():
            found = (await installation.admin.list(POD, installation.a)).items
            left = [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]
            return not left and await _names(installation, SERVICE) == set()

        await until_true(gone, seconds=40)
        await installation.until(SELDON_RUNTIME, "seldon", "True")
        alias = {"type": "ExternalName", "externalName": "seldon-scheduler.central.svc.cluster.local"}
        await installation.admin.create(service(installation.a, "seldon-scheduler", alias))
        where = {"condition": "SchedulerReady"}
        await installation.until(SELDON_RUNTIME, "seldon", "True", "ServedElsewhere", **where)
        kept = await installation.admin.get(SERVICE, "seldon-scheduler", installation.a)
        assert kept["spec"]["externalName"] == alias["externalName"]
