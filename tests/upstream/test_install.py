"""A namespace of upstream's before anything is moved: it answers, and behaves as on a cluster."""

from __future__ import annotations

from benchmarks.steady import steady
from tests.support.upstream.artifacts import expectations
from tests.support.upstream.facts import OPERATOR, Upstream, steady_models
from tests.support.upstream.in_place import detach_envoy, orphan, stop_operator, until_owned
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


async def test_twenty_names_answer_and_outlive_the_objects_that_made_their_pods(tmp_path):
    facts = Upstream(models=steady_models(20), experiments=("split",), pipelines=("chain",))
    async with upstream_ground(tmp_path, facts) as place:
        assert await wrong(place) == []
        lease = await place.admin.get(LEASE, "e98130ae.seldon.io", facts.home)
        assert lease["spec"]["holderIdentity"].startswith(OPERATOR)
        await stop_operator(place)
        before = await place.pods()
        with steady(place.inference) as traffic:
            traffic.send(expectations(place.facts), 100, rpcs=0.2)
            await orphaned_and_adopted(place, STATEFUL_SET, "mlserver", dependents=POD)
            await orphaned_and_adopted(place, DEPLOYMENT, "seldon-envoy", dependents=REPLICA_SET)
            await traffic.stop()
            assert await place.pods() == before
            await woken(place)
            traffic.send(expectations(place.facts), 100, rpcs=0.2)
            await detach_envoy(place)
            assert await wrong(place) == []
            await traffic.stop()
            tally = traffic.take()
        assert tally.failures == []
        assert tally.sent > 0
        assert await place.pods() == before


async def orphaned_and_adopted(place, kind, name, *, dependents):
    """Deletes a workload without what it made, and makes it again."""
    old = await place.admin.get(kind, name, place.facts.namespace)
    await orphan(place, kind, name, dependents=dependents)
    metadata = {key: old["metadata"][key] for key in ("name", "namespace", "labels")}
    new = await place.admin.create({**old, "metadata": metadata, "status": {}})
    await until_owned(place, dependents, name, [new["metadata"]["uid"]])


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
