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
from bailie.workloads.port import Observation, WorkloadRefused

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
TEMPLATE = Workload(
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
    owner={},
    objects=(SERVICE_MANIFEST, CONFIG),
    volume_claim_templates=({"metadata": {"name": "models"}, "spec": {}},),
)


@pytest.fixture
async def client(api):
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        yield client


@pytest.fixture
async def workload(client):
    """The workload of an owner that exists: what nobody owns is cleared away by the API."""
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": NAMESPACE}}
    uid = (await client.create(owner))["metadata"]["uid"]
    return replace(TEMPLATE, owner={"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid})


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


async def test_pods_with_stable_names_owner_claims_and_objects(client, workloads, workload):
    await workloads.ensure(workload)
    found = await pods(client)
    assert sorted(found) == ["seldon-envoy-0", "seldon-envoy-1"]
    pod = found["seldon-envoy-1"]
    assert pod["metadata"]["ownerReferences"] == [dict(workload.owner)]
    assert {"name": "models", "persistentVolumeClaim": {"claimName": "models-seldon-envoy-1"}} in pod["spec"][
        "volumes"
    ]
    service = await client.get(SERVICE, "seldon-mesh", NAMESPACE)
    assert service["metadata"]["ownerReferences"] == [dict(workload.owner)]
    assert (await client.get(CONFIG_MAP, "conf", NAMESPACE))["data"] == {"a": "1"}


async def test_the_node_port_becomes_the_host_port_of_its_container_port(client, workloads, workload):
    await workloads.ensure(workload)
    number = (await client.get(SERVICE, "seldon-mesh", NAMESPACE))["spec"]["ports"][0]["nodePort"]
    http, ready = (await pods(client))["seldon-envoy-0"]["spec"]["containers"][0]["ports"]
    assert (http["hostPort"], http["hostIP"]) == (number, "127.0.0.1")
    assert "hostPort" not in ready


async def test_repeating_changes_nothing(client, workloads, workload):
    await workloads.ensure(workload)
    before = await pods(client)
    await workloads.ensure(workload)
    assert await pods(client) == before


async def test_scaling_and_a_pod_that_vanished(client, workloads, workload):
    await workloads.ensure(workload)
    await client.delete(POD, "seldon-envoy-0", NAMESPACE)
    await workloads.ensure(replace(workload, replicas=3))
    assert sorted(await pods(client)) == ["seldon-envoy-0", "seldon-envoy-1", "seldon-envoy-2"]
    await workloads.ensure(replace(workload, replicas=1))
    assert sorted(await pods(client)) == ["seldon-envoy-0"]


async def test_a_new_template_replaces_one_ready_pod_at_a_time(client, workloads, workload):
    await workloads.ensure(workload)
    first = await pods(client)
    for name in first:
        await make_ready(client, name)
    changed = replace(workload, template=_with_args(["envoy", "--x"]))
    await workloads.ensure(changed)
    assert sorted(await pods(client)) == ["seldon-envoy-0"]
    await workloads.ensure(changed)
    assert sorted(await pods(client)) == ["seldon-envoy-0", "seldon-envoy-1"]
    await workloads.ensure(changed)  # the new one is not ready yet: the old one stays
    now = await pods(client)
    assert _uid(now["seldon-envoy-0"]) == _uid(first["seldon-envoy-0"])
    assert _uid(now["seldon-envoy-1"]) != _uid(first["seldon-envoy-1"])
    await make_ready(client, "seldon-envoy-1")
    await workloads.ensure(changed)
    assert sorted(await pods(client)) == ["seldon-envoy-1"]


async def test_objects_that_left_the_workload_are_deleted(client, workloads, workload):
    await workloads.ensure(workload)
    await workloads.ensure(replace(workload, objects=(SERVICE_MANIFEST,)))
    with pytest.raises(NotFound):
        await client.get(CONFIG_MAP, "conf", NAMESPACE)


async def test_removal_takes_everything_of_the_workload_only(client, workloads, workload):
    await workloads.ensure(workload)
    other = replace(workload, name="other", replicas=1, objects=(), selector={"app": "other"})
    await workloads.ensure(other)
    await workloads.remove(NAMESPACE, "seldon-envoy")
    assert sorted(await pods(client)) == ["other-0"]
    assert (await client.list(SERVICE, NAMESPACE)).items == []
    await workloads.remove(NAMESPACE, "seldon-envoy")


async def test_observation_counts_and_repeats_the_first_complaint(client, workloads, workload):
    assert await workloads.observe(NAMESPACE, "seldon-envoy") == Observation(replicas=0, ready_replicas=0)
    await workloads.ensure(workload)
    await make_ready(client, "seldon-envoy-0")
    waiting = {"state": {"waiting": {"reason": "HostPortConflict", "message": "port 1 is in use by x"}}}
    entry = {"name": "envoy", "ready": False, "restartCount": 0, "image": "x", "imageID": "", **waiting}
    await make_ready(client, "seldon-envoy-1", ready=False, containerStatuses=[entry])
    assert await workloads.observe(NAMESPACE, "seldon-envoy") == Observation(
        replicas=2,
        ready_replicas=1,
        message="pod seldon-envoy-1, container envoy: HostPortConflict: port 1 is in use by x",
    )


def _uid(pod):
    return pod["metadata"]["uid"]


def _with_args(args):
    template = TEMPLATE.template
    container = {**template["spec"]["containers"][0], "args": args}
    return {**template, "spec": {"containers": [container]}}


@pytest.mark.parametrize("replicas", [0, 2])
async def test_pods_that_the_api_would_refuse_change_nothing(client, replicas):
    workloads = LocalWorkloads(client)
    await workloads.ensure(TEMPLATE)
    before = {pod["metadata"]["uid"] for pod in (await client.list(POD, NAMESPACE)).items}
    assert len(before) == 2
    spec = {**TEMPLATE.template["spec"], "volumes": [{"name": "../x", "emptyDir": {}}]}
    config = {**CONFIG, "data": {"a": "2"}}
    template = {**TEMPLATE.template, "spec": spec}
    wrong = replace(TEMPLATE, template=template, replicas=replicas, objects=(SERVICE_MANIFEST, config))
    for _ in range(2):
        with pytest.raises(WorkloadRefused, match=r"spec\.volumes\[0\]\.name"):
            await workloads.ensure(wrong)
    assert {pod["metadata"]["uid"] for pod in (await client.list(POD, NAMESPACE)).items} == before
    assert (await client.get(CONFIG_MAP, "conf", NAMESPACE))["data"] == {"a": "1"}
