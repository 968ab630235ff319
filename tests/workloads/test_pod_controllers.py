"""A laptop's controllers and a real API: the adapter writes, Pods follow; no node runs them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.cluster import Kubectl, kubectl_binaries
from tests.support.controllers import pod_controllers
from tests.support.node import NAMESPACE
from tests.support.waiting import until_true

from bailie.api.kinds import DEPLOYMENT, POD, SERVICE, STATEFUL_SET
from bailie.kube.client import Client
from bailie.kube.errors import Conflict, NotFound
from bailie.manifests.workload import Workload
from bailie.workloads.kubernetes import KubernetesWorkloads
from bailie.workloads.port import Observation

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
    objects=(SERVICE_MANIFEST,),
)
CLAIMS = replace(TEMPLATE, volume_claim_templates=({"metadata": {"name": "models"}, "spec": {}},))
DEPLOYED = replace(TEMPLATE, interchangeable=True)
KINDS = {"statefulset": TEMPLATE, "deployment": DEPLOYED}


@pytest.fixture
async def client(api):
    async with Client.from_kubeconfig(api.kubeconfig) as client, pod_controllers(client):
        yield client


@pytest.fixture
async def workloads(client):
    return KubernetesWorkloads(client)


@pytest.fixture
def kubectl(api, tmp_path):
    *_, newest = kubectl_binaries().values()
    return Kubectl(newest, api.kubeconfig, NAMESPACE, tmp_path)


async def pods(client):
    found = (await client.list(POD, NAMESPACE)).items
    return {pod["metadata"]["name"]: pod for pod in found}


def uid(pod):
    return pod["metadata"]["uid"]


async def until_named(client, *names):
    async def there():
        return sorted(await pods(client)) == list(names)

    await until_true(there)
    return await pods(client)


async def make_ready(client, name, *, ready=True, **status):
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    body = {"status": {"conditions": conditions, **status}}
    await client.patch(POD, name, NAMESPACE, body, subresource="status")


async def until_ready(client, *names, kind=STATEFUL_SET):
    """Has the pods ready, and waits until the status of their workload says so."""
    for name in names:
        await make_ready(client, name)

    async def told():
        status = (await client.get(kind, "seldon-envoy", NAMESPACE))["status"]
        return status.get("readyReplicas") == len(names) and status

    return await until_true(told)


async def test_pods_with_stable_names_owner_and_claims(client, workloads):
    await workloads.ensure(CLAIMS)
    pod = (await until_named(client, "seldon-envoy-0", "seldon-envoy-1"))["seldon-envoy-1"]
    owner = pod["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("StatefulSet", "seldon-envoy")
    claimed = {"name": "models", "persistentVolumeClaim": {"claimName": "models-seldon-envoy-1"}}
    assert claimed in pod["spec"]["volumes"]


async def test_pods_that_the_api_refuses_are_told_in_its_words(client, workloads):
    await workloads.ensure(replace(TEMPLATE, name="s" * 62, objects=()))

    async def told():
        return "must be no more than 63 bytes" in (await workloads.observe(NAMESPACE, "s" * 62)).message

    await until_true(told)


async def test_a_machine_takes_so_many_pods_and_the_next_when_one_goes(api):
    async with Client.from_kubeconfig(api.kubeconfig) as client, pod_controllers(client, most_pods=3):
        workloads = KubernetesWorkloads(client)
        await workloads.ensure(replace(TEMPLATE, objects=()))
        await until_ready(client, "seldon-envoy-0", "seldon-envoy-1")
        await workloads.ensure(replace(TEMPLATE, name="other", replicas=2**31 - 1, objects=()))

        async def told():
            return "this machine has 3 pods" in (await workloads.observe(NAMESPACE, "other")).message

        await until_true(told)
        await until_named(client, "other-0", "seldon-envoy-0", "seldon-envoy-1")
        await workloads.ensure(replace(TEMPLATE, replicas=0, objects=()))
        await until_named(client, "other-0", "other-1", "other-2")


async def test_the_node_port_becomes_the_host_port_and_a_balancer_has_the_machines_address(client, workloads):
    await workloads.ensure(TEMPLATE)
    pod = (await until_named(client, "seldon-envoy-0", "seldon-envoy-1"))["seldon-envoy-0"]
    service = await client.get(SERVICE, "seldon-mesh", NAMESPACE)
    http, ready = pod["spec"]["containers"][0]["ports"]
    assert (http["hostPort"], http["hostIP"]) == (service["spec"]["ports"][0]["nodePort"], "127.0.0.1")
    assert "hostPort" not in ready

    async def balanced():
        found = await client.get(SERVICE, "seldon-mesh", NAMESPACE)
        return found["status"]["loadBalancer"].get("ingress") == [{"ip": "127.0.0.1"}]

    await until_true(balanced)


async def test_a_service_of_somebody_else_changes_no_pod(client, workloads):
    await workloads.ensure(TEMPLATE)
    before = await until_named(client, "seldon-envoy-0", "seldon-envoy-1")
    spec = {"type": "NodePort", "selector": {"app": "envoy"}, "ports": [{"port": 9003}]}
    other = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "other", "namespace": NAMESPACE}}
    await client.create({**other, "spec": spec})
    await client.delete(POD, "seldon-envoy-0", NAMESPACE)

    async def replaced():
        found = (await pods(client)).get("seldon-envoy-0")
        return found if found and uid(found) != uid(before["seldon-envoy-0"]) else None

    after = await until_true(replaced)
    assert after["spec"]["containers"] == before["seldon-envoy-0"]["spec"]["containers"]
    assert uid((await pods(client))["seldon-envoy-1"]) == uid(before["seldon-envoy-1"])


async def test_scaling(client, workloads):
    await workloads.ensure(TEMPLATE)
    await until_named(client, "seldon-envoy-0", "seldon-envoy-1")
    await workloads.ensure(replace(TEMPLATE, replicas=3))
    await until_named(client, "seldon-envoy-0", "seldon-envoy-1", "seldon-envoy-2")
    await workloads.ensure(replace(TEMPLATE, replicas=1))
    await until_named(client, "seldon-envoy-0")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_restart_replaces_one_ready_pod_at_a_time_and_its_status_is_told(
    client, workloads, kubectl, kind
):
    """kubectl as in a tutorial; the operator looks again meanwhile, and takes nothing back."""
    await workloads.ensure(KINDS[kind])
    names = ("seldon-envoy-0", "seldon-envoy-1")
    first = await until_named(client, *names)
    resource = STATEFUL_SET if kind == "statefulset" else DEPLOYMENT
    await until_ready(client, *names, kind=resource)
    status = ("rollout", "status", f"{kind}/seldon-envoy", "--watch=false")
    assert "complete" in kubectl(*status) or "successfully rolled out" in kubectl(*status)
    kubectl("rollout", "restart", f"{kind}/seldon-envoy")

    async def changed(name):
        found = (await pods(client)).get(name)
        return found is not None and uid(found) != uid(first[name])

    await until_true(lambda: changed("seldon-envoy-1"))
    await workloads.ensure(KINDS[kind])
    assert not await changed("seldon-envoy-0")
    assert "aiting for" in kubectl(*status)
    await make_ready(client, "seldon-envoy-1")
    await until_true(lambda: changed("seldon-envoy-0"))
    await until_ready(client, *names, kind=resource)
    await workloads.ensure(KINDS[kind])
    kubectl("rollout", "status", f"{kind}/seldon-envoy", "--timeout=30s")
    if kind == "deployment":
        kubectl("wait", "--for=condition=Available", "deployment/seldon-envoy", "--timeout=30s")


async def test_everything_goes_with_its_workload(client, workloads):
    await workloads.ensure(TEMPLATE)
    await until_named(client, "seldon-envoy-0", "seldon-envoy-1")
    await workloads.remove(NAMESPACE, "seldon-envoy")
    await until_named(client)


async def test_observation_counts_and_repeats_the_first_complaint(client, workloads):
    assert await workloads.observe(NAMESPACE, "seldon-envoy") == Observation(replicas=0, ready_replicas=0)
    await workloads.ensure(TEMPLATE)
    await until_named(client, "seldon-envoy-0", "seldon-envoy-1")
    waiting = {"state": {"waiting": {"reason": "HostPortConflict", "message": "port 1 is in use by x"}}}
    entry = {"name": "envoy", "ready": False, "restartCount": 0, "image": "x", "imageID": "", **waiting}
    await make_ready(client, "seldon-envoy-1", ready=False, containerStatuses=[entry])
    await until_ready(client, "seldon-envoy-0")
    assert await workloads.observe(NAMESPACE, "seldon-envoy") == Observation(
        replicas=2,
        ready_replicas=1,
        message="pod seldon-envoy-1, container envoy: HostPortConflict: port 1 is in use by x",
    )


async def test_pods_outlive_their_workload_and_are_adopted_by_the_next_one(client, workloads, kubectl):
    """As the hint of a fixed field says: `kubectl delete --cascade=orphan`, and the object is made anew."""
    await workloads.ensure(TEMPLATE)
    names = ("seldon-envoy-0", "seldon-envoy-1")
    before = await until_named(client, *names)
    kubectl("delete", "statefulset", "seldon-envoy", "--cascade=orphan")

    async def owners():
        return [pod["metadata"].get("ownerReferences") or [] for pod in (await pods(client)).values()]

    async def orphaned():
        return await owners() == [[], []]

    await until_true(orphaned)
    await workloads.ensure(TEMPLATE)
    made = await client.get(STATEFUL_SET, "seldon-envoy", NAMESPACE)

    async def adopted():
        return [[each["uid"] for each in own] for own in await owners()] == [[uid(made)]] * 2

    await until_true(adopted)
    after = await pods(client)
    assert {name: uid(pod) for name, pod in after.items()} == {name: uid(pod) for name, pod in before.items()}


async def test_a_pod_that_loses_its_label_is_released_and_keeps_its_name(client, workloads):
    await workloads.ensure(TEMPLATE)
    await until_named(client, "seldon-envoy-0", "seldon-envoy-1")
    await client.patch(POD, "seldon-envoy-1", NAMESPACE, {"metadata": {"labels": {"app": "apart"}}})

    async def released():
        pod = (await pods(client))["seldon-envoy-1"]
        return not pod["metadata"].get("ownerReferences")

    await until_true(released)


async def test_numbers_from_an_ordinal_on(client, workloads):
    await workloads.ensure(replace(CLAIMS, first_ordinal=100))
    found = await until_named(client, "seldon-envoy-100", "seldon-envoy-101")
    labels = found["seldon-envoy-100"]["metadata"]["labels"]
    assert labels["statefulset.kubernetes.io/pod-name"] == "seldon-envoy-100"


async def test_pods_from_before_there_were_stateful_sets_are_taken_over(client, workloads):
    """One by one: none is lost, and nobody is without an answer."""
    labels = {"app": "envoy", "bailie.io/workload": "seldon-envoy", "bailie.io/template-hash": "old"}
    metadata = {"name": "seldon-envoy-0", "namespace": NAMESPACE, "labels": labels}
    spec = {"containers": [{"name": "envoy", "image": "bailie"}]}
    old = await client.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    await make_ready(client, "seldon-envoy-0")
    await workloads.ensure(TEMPLATE)
    found = await until_named(client, "seldon-envoy-0", "seldon-envoy-1")
    assert uid(found["seldon-envoy-0"]) == uid(old)
    await make_ready(client, "seldon-envoy-1")

    async def replaced():
        try:
            return uid(await client.get(POD, "seldon-envoy-0", NAMESPACE)) != uid(old)
        except (NotFound, Conflict):
            return False

    await until_true(replaced)
