"""The local adapter against a real API; the node is not needed, Pods are only looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.node import NAMESPACE

from bailie.api.kinds import CONFIG_MAP, POD, SERVICE
from bailie.kube.client import Client
from bailie.kube.errors import NotFound
from bailie.manifests.workload import Workload
from bailie.workloads.local import LocalWorkloads
from bailie.workloads.port import Observation

OWNER = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Server", "name": "mlserver", "uid": "u-1"}
SERVICE_MANIFEST = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "seldon-mesh"},
    "spec": {
        "type": "LoadBalancer",
        "selector": {"app": "envoy"},
        "ports": [{"name": "data", "port": 80, "targetPort": "http"}],
    },
}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"a": "1"}}
WORKLOAD = Workload(
    namespace=NAMESPACE,
    name="seldon-envoy",
    replicas=2,
    selector={"app": "envoy"},
    template={
        "metadata": {"labels": {"app": "envoy"}},
        "spec": {
            "containers": [
                {
                    "name": "envoy",
                    "image": "bailie",
                    "args": ["envoy"],
                    "ports": [
                        {"name": "http", "containerPort": 9000},
                        {"name": "ready", "containerPort": 9003},
                    ],
                }
            ]
        },
    },
    owner=OWNER,
    objects=(SERVICE_MANIFEST, CONFIG),
    volume_claim_templates=({"metadata": {"name": "models"}, "spec": {}},),
)


@pytest.fixture
async def client(api):
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        yield client


@pytest.fixture
def workloads(client):
    return LocalWorkloads(client)


async def pods(client):
    found = (await client.list(POD, NAMESPACE)).items
    return {pod["metadata"]["name"]: pod for pod in found}


async def make_ready(client, name, *, ready=True, **status):
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    body = {"status": {"conditions": conditions, **status}}
    await client.patch(POD, name, NAMESPACE, body, subresource="status")


async def test_pods_with_stable_names_owner_claims_and_objects(client, workloads):
    await workloads.ensure(WORKLOAD)
    found = await pods(client)
    assert sorted(found) == ["seldon-envoy-0", "seldon-envoy-1"]
    pod = found["seldon-envoy-1"]
    assert pod["metadata"]["ownerReferences"] == [OWNER]
    assert {"name": "models", "persistentVolumeClaim": {"claimName": "models-seldon-envoy-1"}} in pod["spec"][
        "volumes"
    ]
    service = await client.get(SERVICE, "seldon-mesh", NAMESPACE)
    assert service["metadata"]["ownerReferences"] == [OWNER]
    assert (await client.get(CONFIG_MAP, "conf", NAMESPACE))["data"] == {"a": "1"}


async def test_the_node_port_becomes_the_host_port_of_its_container_port(client, workloads):
    await workloads.ensure(WORKLOAD)
    number = (await client.get(SERVICE, "seldon-mesh", NAMESPACE))["spec"]["ports"][0]["nodePort"]
    http, ready = (await pods(client))["seldon-envoy-0"]["spec"]["containers"][0]["ports"]
    assert (http["hostPort"], http["hostIP"]) == (number, "127.0.0.1")
    assert "hostPort" not in ready


async def test_repeating_changes_nothing(client, workloads):
    await workloads.ensure(WORKLOAD)
    before = await pods(client)
    await workloads.ensure(WORKLOAD)
    assert await pods(client) == before


async def test_scaling_and_a_pod_that_vanished(client, workloads):
    await workloads.ensure(WORKLOAD)
    await client.delete(POD, "seldon-envoy-0", NAMESPACE)
    await workloads.ensure(replace(WORKLOAD, replicas=3))
    assert sorted(await pods(client)) == ["seldon-envoy-0", "seldon-envoy-1", "seldon-envoy-2"]
    await workloads.ensure(replace(WORKLOAD, replicas=1))
    assert sorted(await pods(client)) == ["seldon-envoy-0"]


async def test_a_new_template_replaces_one_ready_pod_at_a_time(client, workloads):
    await workloads.ensure(WORKLOAD)
    first = await pods(client)
    for name in first:
        await make_ready(client, name)
    changed = replace(WORKLOAD, template=_with_args(["envoy", "--x"]))
    await workloads.ensure(changed)
    assert sorted(await pods(client)) == ["seldon-envoy-0"]
    await workloads.ensure(changed)
    assert sorted(await pods(client)) == ["seldon-envoy-0", "seldon-envoy-1"]
    await workloads.ensure(changed)  # the new one is not ready yet: the old one stays
    assert (await pods(client))["seldon-envoy-0"] | {"status": 0} == first["seldon-envoy-0"] | {
        "status": 0,
        "metadata": (await pods(client))["seldon-envoy-0"]["metadata"],
    }
    await make_ready(client, "seldon-envoy-1")
    await workloads.ensure(changed)
    assert sorted(await pods(client)) == ["seldon-envoy-1"]


async def test_objects_that_left_the_workload_are_deleted(client, workloads):
    await workloads.ensure(WORKLOAD)
    await workloads.ensure(replace(WORKLOAD, objects=(SERVICE_MANIFEST,)))
    with pytest.raises(NotFound):
        await client.get(CONFIG_MAP, "conf", NAMESPACE)


async def test_removal_takes_everything_of_the_workload_only(client, workloads):
    await workloads.ensure(WORKLOAD)
    other = replace(WORKLOAD, name="other", replicas=1, objects=(), selector={"app": "other"})
    await workloads.ensure(other)
    await workloads.remove(NAMESPACE, "seldon-envoy")
    assert sorted(await pods(client)) == ["other-0"]
    assert (await client.list(SERVICE, NAMESPACE)).items == []
    await workloads.remove(NAMESPACE, "seldon-envoy")


async def test_observation_counts_and_repeats_the_first_complaint(client, workloads):
    assert await workloads.observe(NAMESPACE, "seldon-envoy") == Observation(replicas=0, ready_replicas=0)
    await workloads.ensure(WORKLOAD)
    await make_ready(client, "seldon-envoy-0")
    waiting = {"state": {"waiting": {"reason": "HostPortConflict", "message": "port 1 is in use by x"}}}
    entry = {"name": "envoy", "ready": False, "restartCount": 0, "image": "x", "imageID": "", **waiting}
    await make_ready(client, "seldon-envoy-1", ready=False, containerStatuses=[entry])
    assert await workloads.observe(NAMESPACE, "seldon-envoy") == Observation(
        replicas=2,
        ready_replicas=1,
        message="pod seldon-envoy-1, container envoy: HostPortConflict: port 1 is in use by x",
    )


def _with_args(args):
    template = WORKLOAD.template
    container = {**template["spec"]["containers"][0], "args": args}
    return {**template, "spec": {"containers": [container]}}
