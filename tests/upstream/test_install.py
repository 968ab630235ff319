"""A namespace of upstream's before anything is moved: it answers, and behaves as on a cluster."""

from __future__ import annotations

from benchmarks.steady import steady
from tests.support.upstream.artifacts import expectations
from tests.support.upstream.facts import OPERATOR, Upstream, steady_models
from tests.support.upstream.install import upstream_ground
from tests.support.waiting import until, until_true

from bailie.api.kinds import DEPLOYMENT, LEASE, MODEL, POD, REPLICA_SET, SERVICE, STATEFUL_SET
from bailie.local.traffic import inference_clients, wrong_answer


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
            tally = traffic.take()
        assert tally.failures == []
        assert tally.sent > 0
        await woken(place)
        assert await place.pods() == before
        assert await wrong(place) == []


async def orphaned_and_adopted(place, kind, name, *, dependents):
    """Deletes a workload without what it made, and makes it again."""
    namespace = place.facts.namespace
    old = await place.admin.get(kind, name, namespace)
    await place.admin.delete(kind, name, namespace, propagation="Orphan")

    async def owners():
        listed = (await place.admin.list(dependents, namespace)).items
        found = [each for each in listed if each["metadata"]["name"].startswith(f"{name}-")]
        return [owner["uid"] for each in found for owner in each["metadata"].get("ownerReferences", ())]

    async def orphaned():
        return await owners() == []

    await until_true(orphaned)
    metadata = {key: old["metadata"][key] for key in ("name", "namespace", "labels")}
    new = await place.admin.create({**old, "metadata": metadata, "status": {}})

    async def adopted():
        return await owners() == [new["metadata"]["uid"]]

    await until_true(adopted)


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
