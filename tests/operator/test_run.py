from __future__ import annotations

import asyncio
import contextlib

import httpx
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from tests.support import plain_http
from tests.support.waiting import until, until_true

from bailie.api.kinds import LEASE, ROLE_BINDING, SERVER
from bailie.kube.errors import Conflict
from bailie.manifests.rbac import OPERATOR_ACCOUNT, cluster_manifests
from bailie.operator.run import run
from bailie.scope.claim import ELECTION_LEASE

SPEC = {"serverConfig": "mlserver"}


async def test_a_namespace_without_rights_waits_and_stands_in_nobodys_way(installation):
    await installation.admin.delete(ROLE_BINDING, "seldon-v2-manager-rolebinding", installation.b)
    for namespace in installation.namespaces:
        await installation.make("Server", "mlserver", SPEC, namespace)
    async with installation.operator() as operator:
        await installation.until(SERVER, "mlserver", "True")
        waiting = operator.scope.state()[installation.b]
        assert waiting["state"] == "waiting"
        assert waiting["reason"] == "NoRights"
        await installation.grant(installation.b)
        await installation.until(SERVER, "mlserver", "True", namespace=installation.b)
        assert operator.scope.state()[installation.b]["state"] == "served"


async def test_a_namespace_that_is_not_listed_is_left_alone(installation):
    async with installation.operator(watch=(installation.a,)):
        await installation.make("Server", "mlserver", SPEC, installation.b)
        await installation.make("Server", "mlserver", SPEC)
        await installation.until(SERVER, "mlserver", "True")
        assert await installation.condition(SERVER, "mlserver", namespace=installation.b) == {}


async def test_namespaces_are_taken_up_and_let_go_while_running(installation):
    for namespace in installation.namespaces:
        await installation.make("Server", "mlserver", SPEC, namespace)
    async with installation.operator(watch=(installation.a,)) as operator:
        await installation.until(SERVER, "mlserver", "True")
        operator.scope.serve({installation.b})
        await installation.until(SERVER, "mlserver", "True", namespace=installation.b)
        assert set(operator.scope.state()) == {installation.b}
        await installation.admin.delete(SERVER, "mlserver", installation.a)
        await installation.admin.patch(SERVER, "mlserver", installation.b, {"spec": {"replicas": 2}})
        await until(lambda: installation.workloads.running[installation.b, "mlserver"].replicas == 2)
    assert installation.workloads.removed == []


async def test_a_clusterwide_operator_serves_namespaces_as_they_come(installation):
    for manifest in cluster_manifests(installation.home):
        await installation.put(manifest)
    late = f"late-{installation.home}"
    async with installation.operator(watch=(), clusterwide=True):
        installation.api.namespace(late)
        await installation.make("Server", "mlserver", SPEC, late)
        await installation.until(SERVER, "mlserver", "True", namespace=late)


async def test_a_standby_takes_over_when_the_leader_ends(installation):
    await installation.make("Server", "mlserver", SPEC)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(run(installation.settings(), installation.client, installation.adapter))
        await installation.until(SERVER, "mlserver", "True")
        settings = installation.settings(pod_name="operator-1")
        second = group.create_task(run(settings, installation.client, installation.adapter))
        assert await _holder(installation) == "operator-0"
        first.cancel()
        await until_true(lambda: _is_held_by(installation, "operator-1"))
        await installation.admin.patch(SERVER, "mlserver", installation.a, {"spec": {"replicas": 2}})
        await until(lambda: installation.workloads.running[installation.a, "mlserver"].replicas == 2)
        second.cancel()


async def test_health_says_which_namespaces_are_served(installation):
    with capture_logs() as logs:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(run(installation.settings(), installation.client, installation.adapter))
            started = await until(lambda: [entry for entry in logs if entry["event"] == "operator started"])
            async with plain_http.async_client(base_url=f"http://127.0.0.1:{started[0]['port']}") as http:
                await until_true(lambda: _answers(http, "/ready"))
                await until_true(lambda: _serves(http, installation.a))
                metrics = (await http.get("/metrics")).text
            task.cancel()
    assert 'bailie_operator_namespaces{state="served"}' in metrics


async def test_the_operator_can_do_nothing_elsewhere(installation):
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": "default"},
    }
    token = installation.api.service_account_token(installation.home, OPERATOR_ACCOUNT)
    with installation.api.http(token) as http:
        answer = http.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", json=review)
    if answer.status_code == 404:
        return
    groups = {g for rule in answer.json()["status"]["resourceRules"] for g in rule["apiGroups"]}
    assert groups <= {"authorization.k8s.io", "authentication.k8s.io"}


async def _holder(installation):
    lease = await installation.admin.get(LEASE, ELECTION_LEASE, installation.home)
    return lease["spec"]["holderIdentity"]


async def _is_held_by(installation, name):
    return await _holder(installation) == name


async def _answers(http, path):
    with contextlib.suppress(httpx.TransportError):
        return (await http.get(path)).status_code == 200


async def _serves(http, namespace):
    return (await http.get("/namespaces/")).json().get(namespace, {}).get("state") == "served"


async def test_a_home_that_cannot_be_read_is_said_and_recovers(installation):
    await installation.admin.delete(ROLE_BINDING, "seldon-v2-leader-election-rolebinding", installation.home)
    async with installation.operator():
        await installation.make("Server", "mlserver", SPEC)
        ready = await installation.until(SERVER, "mlserver", "False", "ServerConfigNotFound")
        assert f"{installation.home} cannot be read" in ready["message"]
        await installation.grant(installation.a)
        await installation.until(SERVER, "mlserver", "True")


async def test_a_conflict_is_tried_again_without_a_word(installation):
    installation.workloads.refusals["mlserver"] = Conflict("changed meanwhile", status=409)
    async with installation.operator():
        await installation.make("Server", "mlserver", SPEC)
        await until(lambda: installation.workloads.refused)
        installation.workloads.refusals.clear()
        await installation.until(SERVER, "mlserver", "True")
    assert await installation.events("ServerNotReady") == []


async def test_rights_that_lack_at_home_are_named_verb_by_verb_until_they_are_there(installation):
    name = "seldon-v2-leader-election-rolebinding"
    await installation.admin.delete(ROLE_BINDING, name, installation.home)
    labels = {"namespace": installation.home, "group": LEASE.group, "resource": "leases", "verb": "update"}
    with capture_logs() as logs:
        async with asyncio.TaskGroup() as group:
            settings = installation.settings()
            task = group.create_task(run(settings, installation.client, installation.adapter))

            def said(event):
                return [entry for entry in logs if entry["event"] == event]

            missing = (await until(lambda: said("rights in own namespace are missing")))[0]["missing"]
            assert "create, delete, get, list, patch, update, watch on leases.coordination.k8s.io" in missing
            assert REGISTRY.get_sample_value("bailie_operator_missing_right", labels) == 1
            await installation.grant(installation.a)
            await until(lambda: said("rights in own namespace are complete"))
            assert REGISTRY.get_sample_value("bailie_operator_missing_right", labels) is None
            task.cancel()
