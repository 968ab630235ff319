"""Workloads that are deleted without their pods and made again, here or on the cluster of the tests.

What a move of servers and Envoys relies on: no pod is restarted, whoever owns it.
"""

from __future__ import annotations

import pytest
from tests.support.controllers import replica_set_controllers
from tests.support.grounds import ground
from tests.support.waiting import until_true

from bailie.api.kinds import DEPLOYMENT, POD, REPLICA_SET, STATEFUL_SET

pytestmark = [pytest.mark.e2e, pytest.mark.kubernetes, pytest.mark.timeout(600)]
LABELS = {"app": "sleeper"}


@pytest.fixture
async def place(tmp_path):
    async with ground(tmp_path, controllers=replica_set_controllers) as found:
        yield found


def workload(kind, namespace, **spec):
    container = {"name": "sleeper", "image": "bailie:0.1.0", "command": ["sleep", "600"]}
    pod = {"containers": [container], "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": LABELS}, "spec": pod}
    spec = {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": template, **spec}
    metadata = {"name": "sleeper", "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": kind.kind, "metadata": metadata, "spec": spec}


def stateful(namespace, **spec):
    parallel = {"serviceName": "sleeper", "podManagementPolicy": "Parallel"}
    return workload(STATEFUL_SET, namespace, **parallel, **spec)


async def listed(place, kind, namespace):
    found = (await place.admin.list(kind, namespace, labels="app=sleeper")).items
    return {each["metadata"]["name"]: each["metadata"] for each in found}


async def until_running(place, namespace, count=2):
    """Waits for so many pods; returns their uids by name."""

    async def running():
        pods = (await place.admin.list(POD, namespace, labels="app=sleeper")).items
        phases = [pod.get("status", {}).get("phase") for pod in pods]
        going = [pod for pod in pods if "deletionTimestamp" in pod["metadata"]]
        return phases == ["Running"] * count and not going

    await place.until(running, lambda: f"{count} pods of {namespace} run")
    return await uids(place, namespace)


async def uids(place, namespace):
    return {name: each["uid"] for name, each in (await listed(place, POD, namespace)).items()}


async def until_owned(place, kind, namespace, owners):
    async def owned():
        found = (await listed(place, kind, namespace)).values()
        return {each["uid"] for meta in found for each in meta.get("ownerReferences", ())} == owners

    await until_true(owned, seconds=place.seconds)


async def orphans(place, namespace):
    """Makes the pods of a StatefulSet and deletes it without them; returns their uids by name."""
    await place.admin.create(stateful(namespace))
    found = await until_running(place, namespace)
    await place.admin.delete(STATEFUL_SET, "sleeper", namespace, propagation="Orphan")
    await until_owned(place, POD, namespace, set())
    return found


async def test_a_stateful_set(place):
    namespace = await place.namespace("adoption")
    before = await orphans(place, namespace)
    made = await place.admin.create(stateful(namespace))
    await until_owned(place, POD, namespace, {made["metadata"]["uid"]})
    assert await uids(place, namespace) == before


async def test_a_stateful_set_that_counts_from_a_hundred_ends_the_lower_pods_that_it_selects(place):
    """So a move takes the label off the pods that are to stay."""
    namespace = await place.namespace("ordinals")
    before = await orphans(place, namespace)
    apart = {"metadata": {"labels": {"app": "apart"}}}
    await place.admin.patch(POD, "sleeper-0", namespace, apart)
    await place.admin.create(stateful(namespace, ordinals={"start": 100}))

    async def counted():
        return (await listed(place, POD, namespace)).keys() == {"sleeper-100", "sleeper-101"}

    await until_true(counted, seconds=place.seconds)
    kept = await place.admin.get(POD, "sleeper-0", namespace)
    assert kept["metadata"]["uid"] == before["sleeper-0"]
    await place.admin.delete(POD, "sleeper-0", namespace)


async def test_a_deployment_leaves_a_replica_set_which_the_next_one_adopts(place):
    namespace = await place.namespace("deployment")
    await place.admin.create(workload(DEPLOYMENT, namespace))
    before = await until_running(place, namespace)
    await place.admin.delete(DEPLOYMENT, "sleeper", namespace, propagation="Orphan")
    await until_owned(place, REPLICA_SET, namespace, set())
    [left] = (await listed(place, REPLICA_SET, namespace)).values()
    await until_owned(place, POD, namespace, {left["uid"]})
    made = await place.admin.create(workload(DEPLOYMENT, namespace))
    await until_owned(place, REPLICA_SET, namespace, {made["metadata"]["uid"]})
    assert (await listed(place, REPLICA_SET, namespace)).keys() == {left["name"]}
    assert await uids(place, namespace) == before


async def test_a_replica_set_replaces_a_pod_whose_label_was_taken_off(place):
    """The pod goes on, and one more comes: a pod is taken apart only without its ReplicaSet."""
    namespace = await place.namespace("apart")
    await place.admin.create(workload(DEPLOYMENT, namespace))
    before = await until_running(place, namespace)
    name = min(before)
    await place.admin.patch(POD, name, namespace, {"metadata": {"labels": {"app": "apart"}}})
    assert len({*await until_running(place, namespace), *before}) == 3
    kept = await place.admin.get(POD, name, namespace)
    assert kept["metadata"]["uid"] == before[name]
    assert not kept["metadata"].get("ownerReferences")
    await place.admin.delete(POD, name, namespace)
