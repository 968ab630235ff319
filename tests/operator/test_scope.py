"""The operator's scope while it runs: its list, rights that come and go, and claims of several operators."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json

from prometheus_client import REGISTRY
from tests.support.waiting import until, until_true

from bailie.api.kinds import CONFIG_MAP, DEPLOYMENT, EVENT, LEASE, NAMESPACE, ROLE, ROLE_BINDING, SERVER
from bailie.kube.client import Client
from bailie.kube.clock import stamp_micro, utc_now
from bailie.manifests.rbac import OPERATOR_ACCOUNT, SCOPE_STATUS, cluster_manifests, role_manifests
from bailie.operator.run import Operator
from bailie.scope.claim import CLAIM_LEASE, STATUS_KEY, UPSTREAM_LEASE

SPEC = {"serverConfig": "mlserver"}
LIST = "bailie-scope"
MANAGER = "seldon-v2-manager-rolebinding"


def state(operator, namespace):
    return operator.scope.state().get(namespace, {})


async def until_state(operator, namespace, wanted, reason=None, *, seconds=30):
    def stands():
        found = state(operator, namespace)
        return found if found.get("state") == wanted and reason in {None, found["reason"]} else None

    return await until(stands, seconds=seconds)


async def put_list(installation, *names, **more):
    data = {"namespaces": "".join(f"{name}\n" for name in names), **more}
    metadata = {"name": LIST, "namespace": installation.home}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    await installation.admin.apply(manifest, field_manager="test", force=True)


@contextlib.asynccontextmanager
async def listed(installation, **changes):
    async with installation.operator(watch=(), scope_config_map=LIST, **changes) as operator:
        yield operator


@contextlib.asynccontextmanager
async def another(installation, tmp_path, **changes):
    """A second installation with rights in the same namespaces; pods in a memory of its own."""
    home = f"other-{installation.home}"
    installation.api.namespace(home)
    token = installation.api.service_account_token(home, OPERATOR_ACCOUNT)
    kubeconfig = installation.api.kubeconfig_for(token, tmp_path / "other.kubeconfig")
    for namespace in installation.namespaces:
        for manifest in role_manifests(namespace, home):
            if manifest["kind"] == "RoleBinding" and manifest["metadata"]["namespace"] == namespace:
                manifest["metadata"]["name"] += "-other"
            await installation.put(manifest)
    async with Client.from_kubeconfig(kubeconfig) as client:
        second = dataclasses.replace(installation, client=client, home=home)
        async with second.operator(**changes) as operator:
            yield operator


async def events_of(installation, namespace, reason):
    return [e for e in (await installation.admin.list(EVENT, namespace)).items if e["reason"] == reason]


async def test_a_namespace_is_served_within_seconds_of_the_list_and_then_its_rights(installation):
    await put_list(installation, installation.a)
    await installation.admin.delete(ROLE_BINDING, MANAGER, installation.b)
    await installation.make("Server", "mlserver", SPEC, installation.b)
    async with listed(installation) as operator:
        await until_state(operator, installation.a, "served")
        assert state(operator, installation.b) == {}
        await put_list(installation, installation.a, installation.b)
        await until_state(operator, installation.b, "waiting", "NoRights")
        await installation.grant(installation.b)
        await until_state(operator, installation.b, "served", seconds=30)
        await installation.until(SERVER, "mlserver", "True", namespace=installation.b)


async def test_rights_that_were_there_first_do_as_well(installation):
    await put_list(installation, installation.a)
    async with listed(installation) as operator:
        await until_state(operator, installation.a, "served")
        await put_list(installation, installation.a, installation.b)
        await until_state(operator, installation.b, "served", seconds=30)


async def test_a_namespace_taken_from_the_list_is_released_and_keeps_what_runs(installation):
    await put_list(installation, installation.a, installation.b)
    await installation.make("Server", "mlserver", SPEC, installation.b)
    async with listed(installation) as operator:
        await installation.until(SERVER, "mlserver", "True", namespace=installation.b)
        await put_list(installation, installation.a)
        await until(lambda: state(operator, installation.b) == {})
        assert installation.b not in operator.cache.served.namespaces
        claim = await installation.admin.get(LEASE, CLAIM_LEASE, installation.b)
        assert claim["spec"]["holderIdentity"] == ""
        assert state(operator, installation.a)["state"] == "served"
    assert installation.workloads.removed == []
    assert (installation.b, "mlserver") in installation.workloads.running


async def test_a_list_that_is_missing_is_not_an_empty_one(installation):
    async with listed(installation) as operator:
        await until_true(lambda: events_of(installation, installation.home, "ListNotFound"))
        assert operator.scope.state() == {}
        await put_list(installation, installation.a)
        await until_state(operator, installation.a, "served")
        await installation.admin.delete(CONFIG_MAP, LIST, installation.home)
        await until(lambda: operator._list.problems)
        assert state(operator, installation.a)["state"] == "served"


async def test_mistakes_in_the_list_are_said_and_the_rest_is_served(installation):
    await put_list(installation, installation.a, installation.a, "team-*")
    async with listed(installation) as operator:
        await until_state(operator, installation.a, "served")
        assert [problem.reason for problem in operator._list.problems] == ["Duplicate", "Invalid"]
        await until_true(lambda: events_of(installation, installation.home, "ListDuplicate"))
        published = await until_true(lambda: _published(installation, installation.a, "served"))
        assert any("is a pattern" in problem for problem in published["problems"])


async def _published(installation, namespace, wanted):
    with contextlib.suppress(Exception):
        found = await installation.admin.get(CONFIG_MAP, SCOPE_STATUS, installation.home)
        document = json.loads(found["data"][STATUS_KEY])
        return document if document["namespaces"][namespace]["state"] == wanted else None


async def test_missing_rights_are_named_verb_by_verb(installation):
    role = await installation.admin.get(ROLE, "seldon-v2-manager-role", installation.b)
    whole = [dict(rule) for rule in role["rules"]]
    for rule in role["rules"]:
        if "services" in rule["resources"]:
            rule["verbs"] = [verb for verb in rule["verbs"] if verb not in {"patch", "create"}]
    await installation.admin.replace(role)
    async with installation.operator() as operator:
        limited = await until_state(operator, installation.b, "limited", "MissingRights")
        assert limited["message"] == "the operator lacks create, patch on configmaps, services"
        assert "patch services" in limited["missing"]
        labels = {"namespace": installation.b, "group": "", "resource": "services", "verb": "patch"}
        assert REGISTRY.get_sample_value("bailie_operator_missing_right", labels) == 1
        await until_true(lambda: events_of(installation, installation.home, "MissingRights"))
        role = await installation.admin.get(ROLE, "seldon-v2-manager-role", installation.b)
        await installation.admin.replace({**role, "rules": whole})
        operator.scope.refused(installation.b)
        await until_state(operator, installation.b, "served")
        assert REGISTRY.get_sample_value("bailie_operator_missing_right", labels) is None


async def test_a_withdrawn_role_binding_is_noticed_and_others_go_on(installation):
    async with installation.operator() as operator:
        for namespace in installation.namespaces:
            await until_state(operator, namespace, "served")
        await installation.admin.delete(ROLE_BINDING, MANAGER, installation.b)
        waiting = await until_state(operator, installation.b, "waiting", "NoRights")
        assert "no rights there" in waiting["message"]
        await until(lambda: installation.b not in operator.cache.served.namespaces)
        assert state(operator, installation.a)["state"] == "served"
        await installation.grant(installation.b)
        await until_state(operator, installation.b, "served", seconds=30)


async def test_a_namespace_that_does_not_exist_waits_and_is_picked_up(installation):
    late = f"late-{installation.home}"
    await put_list(installation, installation.a, late)
    async with listed(installation) as operator:
        await until_state(operator, late, "waiting", "NoRights")
        installation.api.namespace(late)
        await installation.grant(late)
        await until_state(operator, late, "served", seconds=30)


async def test_who_may_read_namespaces_says_that_there_is_none(installation):
    for manifest in cluster_manifests(installation.home):
        if manifest["kind"] == "ClusterRole":
            manifest["rules"] = [rule for rule in manifest["rules"] if rule["resources"] == ["namespaces"]]
        await installation.put(manifest)
    await put_list(installation, f"gone-{installation.home}")
    async with listed(installation) as operator:
        await until_state(operator, f"gone-{installation.home}", "waiting", "NamespaceNotFound")


async def test_a_selector_narrows_a_clusterwide_operator(installation):
    for manifest in cluster_manifests(installation.home):
        await installation.put(manifest)
    team = {"metadata": {"labels": {"team": installation.home}}}
    await installation.admin.patch(NAMESPACE, installation.a, None, team)
    data = {"namespaceSelector": f"team={installation.home}"}
    metadata = {"name": LIST, "namespace": installation.home}
    await installation.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    for namespace in installation.namespaces:
        await installation.make("Server", "mlserver", SPEC, namespace)
    async with listed(installation, clusterwide=True) as operator:
        await until_state(operator, installation.a, "served")
        assert set(operator.scope.state()) == {installation.a}
        await installation.admin.patch(NAMESPACE, installation.b, None, team)
        await until_state(operator, installation.b, "served")
        await installation.admin.patch(
            NAMESPACE, installation.a, None, {"metadata": {"labels": {"team": None}}}
        )
        await until(lambda: set(operator.scope.state()) == {installation.b})


async def test_a_selector_that_is_none_is_said(installation):
    for manifest in cluster_manifests(installation.home):
        await installation.put(manifest)
    metadata = {"name": LIST, "namespace": installation.home}
    data = {"namespaceSelector": "team in (a"}
    await installation.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    async with listed(installation, clusterwide=True) as operator:
        problems = await until(lambda: operator._list.problems)
        assert problems[0].reason == "CannotList"
        assert operator.scope.state() == {}


async def test_a_second_operator_stands_back_and_takes_over_after_release(installation, tmp_path):
    await put_list(installation, installation.a, installation.b)
    async with listed(installation) as first:
        for namespace in installation.namespaces:
            await until_state(first, namespace, "served")
        async with another(installation, tmp_path, watch=(installation.b,)) as second:
            foreign = await until_state(second, installation.b, "foreign", "ClaimedByAnother")
            owner = f"{installation.home}/seldon-v2-controller-manager"
            assert (foreign["owner"], bool(foreign["since"])) == (owner, True)
            assert second.cache.served.namespaces == frozenset()
            await until_true(lambda: events_of(installation, installation.b, "ClaimedByAnother"))
            await put_list(installation, installation.a)
            await until_state(second, installation.b, "served")


async def test_a_claim_that_is_no_longer_renewed_is_taken_over(installation):
    spec = {"holderIdentity": "elsewhere/gone", "leaseDurationSeconds": 2, "leaseTransitions": 1}
    metadata = {"name": CLAIM_LEASE, "namespace": installation.a}
    await installation.put(
        {"apiVersion": LEASE.api_version, "kind": "Lease", "metadata": metadata, "spec": spec}
    )
    async with installation.operator() as operator:
        await until_state(operator, installation.a, "foreign")
        await until_state(operator, installation.a, "served", seconds=30)


async def test_the_end_of_a_term_keeps_the_claim_for_a_standby(installation):
    async with installation.operator() as operator:
        await until_state(operator, installation.a, "served")
    kept = (await installation.admin.get(LEASE, CLAIM_LEASE, installation.a))["spec"]
    assert kept["holderIdentity"] == f"{installation.home}/seldon-v2-controller-manager"
    async with installation.operator() as operator:
        await until_state(operator, installation.a, "served", seconds=30)
        taken = (await installation.admin.get(LEASE, CLAIM_LEASE, installation.a))["spec"]
        assert taken["acquireTime"] == kept["acquireTime"]


async def test_nothing_is_written_by_a_replica_that_no_longer_leads(installation):
    leads = [True]
    await installation.make("Server", "mlserver", SPEC)
    operator = Operator(installation.settings(), installation.client, installation.adapter, lambda: leads[0])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(operator.run())
        await installation.until(SERVER, "mlserver", "True")
        leads[0] = False
        before = await installation.admin.get(SERVER, "mlserver", installation.a)
        await installation.admin.patch(SERVER, "mlserver", installation.a, {"spec": {"replicas": 2}})
        await until(lambda: installation.workloads.running[installation.a, "mlserver"].replicas == 2)
        await asyncio.sleep(0.2)
        after = await installation.admin.get(SERVER, "mlserver", installation.a)
        assert after["status"] == before["status"]
        task.cancel()


async def test_upstreams_operator_at_work_in_the_namespace_is_left_to_it(installation):
    now = stamp_micro(utc_now())
    spec = {"holderIdentity": "seldon-v2-controller-manager-x", "leaseDurationSeconds": 3, "renewTime": now}
    metadata = {"name": UPSTREAM_LEASE, "namespace": installation.a}
    await installation.put(
        {"apiVersion": LEASE.api_version, "kind": "Lease", "metadata": metadata, "spec": spec}
    )
    async with installation.operator() as operator:
        foreign = await until_state(operator, installation.a, "foreign", "UpstreamOperator")
        assert foreign["owner"] == "Seldon Core"
        assert "scale its Deployment to 0" in foreign["message"]
        await until_state(operator, installation.a, "served", seconds=30)


async def test_upstreams_deployment_is_seen_where_the_operator_may_read_deployments(installation):
    """Also before it has a ready pod: then two operators would act."""
    container = {"name": "manager", "image": "seldonio/seldonv2-controller:2.9.1", "args": ["--leader-elect"]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    metadata = {"name": "seldon-v2-controller-manager", "namespace": installation.a}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    await installation.put(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    )
    role = await installation.admin.get(ROLE, "seldon-v2-manager-role", installation.a)
    role["rules"].append({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]})
    await installation.admin.replace(role)
    async with installation.operator() as operator:
        await until_state(operator, installation.a, "foreign", "UpstreamOperator")
        await installation.admin.patch(
            DEPLOYMENT, metadata["name"], installation.a, {"spec": {"replicas": 0}}
        )
        await until_state(operator, installation.a, "served")
        await installation.admin.patch(
            DEPLOYMENT, metadata["name"], installation.a, {"spec": {"replicas": 1}}
        )
        await until_state(operator, installation.a, "foreign", "UpstreamOperator")
        await installation.admin.delete(DEPLOYMENT, metadata["name"], installation.a)
        await until_state(operator, installation.a, "served")


async def test_a_clusterwide_operator_claims_only_where_there_is_something_to_serve(installation):
    for manifest in cluster_manifests(installation.home):
        await installation.put(manifest)
    async with installation.operator(watch=(), clusterwide=True) as operator:
        await installation.make("Server", "mlserver", SPEC)
        await until_state(operator, installation.a, "served")
        assert state(operator, installation.b) == {}
        await installation.make("SeldonRuntime", "seldon", {"seldonConfig": "default"}, installation.b)
        await until_state(operator, installation.b, "served")
        await installation.admin.delete(SERVER, "mlserver", installation.a)
        await until(lambda: state(operator, installation.a) == {})


async def test_without_the_right_to_list_a_cluster_it_says_so(installation):
    async with installation.operator(watch=(), clusterwide=True) as operator:
        problems = await until(lambda: len(operator._list.problems) == 3 and operator._list.problems)
        assert {problem.reason for problem in problems} == {"CannotList"}
        assert operator.scope.state() == {}
