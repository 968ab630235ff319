"""A namespace of upstream's before anything is moved: it answers, and behaves as on a cluster."""

from __future__ import annotations

from benchmarks.steady import steady
from tests.support.upstream.artifacts import expectations
from tests.support.upstream.facts import OPERATOR, Upstream, steady_models
from tests.support.upstream.install import upstream_ground
from tests.support.waiting import until, until_true

from bailie.api.kinds import DEPLOYMENT, LEASE, MODEL, POD, REPLICA_SET, SERVICE, STATEFUL_SET
from bailie.local.traffic import inference_clients, wrong_answer

ENVOYS = "app.kubernetes.io/name=seldon-envoy"


async def wrong(place):
    """Asks each model once by REST and gRPC; returns what was wrong."""
    async with inference_clients(place.inference) as clients:
        asked = [
            (kind, each.model, await wrong_answer(client, each))
            for kind, client in clients.items()
            for each in expectations(place.facts)
        ]
    return [each for each in asked if each[2]]


async def sleeping(place):
    """Scales the operator to 0 and waits for the end of its pod."""
    home = place.facts.operated_from
    await place.admin.patch(DEPLOYMENT, OPERATOR, home, {"spec": {"replicas": 0}})

    async def gone():
        pods = (await place.admin.list(POD, home)).items
        return not any(pod["metadata"]["name"].startswith(OPERATOR) for pod in pods)

    await until_true(gone)


async def test_twenty_names_answer_and_outlive_the_objects_that_made_their_pods(tmp_path):
    facts = Upstream(models=steady_models(20), experiments=("split",), pipelines=("chain",))
    async with upstream_ground(tmp_path, facts) as place:
        assert await wrong(place) == []
        lease = await place.admin.get(LEASE, "e98130ae.seldon.io", facts.home)
        assert lease["spec"]["holderIdentity"].startswith(OPERATOR)
        await sleeping(place)
        before = await place.pods()
        with steady(place.inference) as traffic:
            traffic.send(expectations(place.facts), 100, rpcs=0.2)
            await orphaned_and_adopted(place, STATEFUL_SET, "mlserver", dependents=POD)
            await orphaned_and_adopted(place, DEPLOYMENT, "seldon-envoy", dependents=REPLICA_SET)
            await traffic.stop()
            assert await place.pods() == before
            await woken(place)
            traffic.send(expectations(place.facts), 100, rpcs=0.2)
            await detached(place)
            assert await wrong(place) == []
            await traffic.stop()
            tally = traffic.take()
        assert tally.failures == []
        assert tally.sent > 0
        assert await place.pods() == before


async def orphaned_and_adopted(place, kind, name, *, dependents):
    """Deletes a workload without what it made, and makes it again."""
    old = await place.admin.get(kind, name, place.facts.namespace)
    await orphaned(place, kind, name, dependents=dependents)
    metadata = {key: old["metadata"][key] for key in ("name", "namespace", "labels")}
    new = await place.admin.create({**old, "metadata": metadata, "status": {}})
    await until_owned(place, dependents, name, [new["metadata"]["uid"]])


async def orphaned(place, kind, name, *, dependents):
    """Deletes a workload without what it made."""
    await place.admin.delete(kind, name, place.facts.namespace, propagation="Orphan")
    await until_owned(place, dependents, name, [])


async def until_owned(place, kind, name, owners):
    """Waits until the objects of a workload have these owners alone."""

    async def owned():
        listed = (await place.admin.list(kind, place.facts.namespace)).items
        found = [each["metadata"] for each in listed if each["metadata"]["name"].startswith(f"{name}-")]
        return [owner["uid"] for each in found for owner in each.get("ownerReferences", ())] == owners

    await until_true(owned)


async def detached(place):
    """Takes Envoy's pod out of the hands of its Deployment and its name, while it answers for the Service."""
    namespace = place.facts.namespace
    await orphaned(place, DEPLOYMENT, "seldon-envoy", dependents=REPLICA_SET)
    [left] = (await place.admin.list(REPLICA_SET, namespace, labels=ENVOYS)).items
    await orphaned(place, REPLICA_SET, left["metadata"]["name"], dependents=POD)
    [pod] = (await place.admin.list(POD, namespace, labels=ENVOYS)).items
    name = pod["metadata"]["name"]
    await place.admin.patch(POD, name, namespace, {"metadata": {"labels": {"before": "envoy"}}})
    service = {"spec": {"selector": {"app.kubernetes.io/name": None, "before": "envoy"}}}
    await place.admin.patch(SERVICE, "seldon-mesh", namespace, service)
    nameless = {"metadata": {"labels": {"app.kubernetes.io/name": None}}}
    await place.admin.patch(POD, name, namespace, nameless)
    await until(lambda: place.endpoints.ready("seldon-mesh") == [pod["status"]["podIP"]])


async def woken(place):
    """A second operator wakes up: what was changed meanwhile is as before, by upstream's field manager."""
    namespace, model = place.facts.namespace, place.facts.models[0].name
    changed = {"spec": {"selector": {"app.kubernetes.io/name": "another"}}}
    await place.admin.patch(SERVICE, "seldon-mesh", namespace, changed)
    await until(lambda: place.endpoints.ready("seldon-mesh") == [])
    await place.admin.patch(MODEL, model, namespace, {"metadata": {"finalizers": []}})
    await place.admin.delete(STATEFUL_SET, "second", namespace, propagation="Orphan")
    async with place.evil_twin():

        async def back():
            sets = (await place.admin.list(STATEFUL_SET, namespace)).items
            found = await place.admin.get(MODEL, model, namespace)
            service = await place.admin.get(SERVICE, "seldon-mesh", namespace)
            return (
                {each["metadata"]["name"] for each in sets} >= {"second", "mlserver"}
                and found["metadata"].get("finalizers") == ["seldon.model.finalizer"]
                and service["spec"]["selector"] == {"app.kubernetes.io/name": "seldon-envoy"}
                and service
            )

        service = await until_true(back)
        await until(lambda: place.endpoints.ready("seldon-mesh"))
    assert "manager" in {each["manager"] for each in service["metadata"]["managedFields"]}
    lease = await place.admin.get(LEASE, "e98130ae.seldon.io", place.facts.home)
    assert lease["spec"]["holderIdentity"] == f"{OPERATOR}-twin"
