"""The operator of each pattern at work, in an API that has what the charts make and grants what they say."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest
from tests.support.api import running_api
from tests.support.charts import render
from tests.support.controllers import cluster_controllers
from tests.support.patterns import HOME, PATTERNS, TEAMS
from tests.support.waiting import until_true

from bailie.api.kinds import CONFIG_MAP, DEPLOYMENT, SELDON_RUNTIME, SERVER, STATEFUL_SET
from bailie.kube.client import Client
from bailie.kube.errors import Forbidden
from bailie.manifests.rbac import OPERATOR_ACCOUNT, OPERATOR_STATEFUL_RULES, namespace_manifests
from bailie.operator.run import Adapter, run
from bailie.operator.settings import OperatorSettings
from bailie.workloads.kubernetes import KubernetesWorkloads

NAMESPACES = (HOME, *TEAMS, "elsewhere")


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path / "api") as running:
        for namespace in NAMESPACES:
            running.namespace(namespace)
        yield running


@pytest.fixture
async def admin(api):
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        yield client


async def install(admin, manifests, *, force=False):
    for manifest in manifests:
        await admin.apply(manifest, field_manager="helm", force=force)


def settings_of(manifests, home):
    """Reads the operator's settings from the environment that its Deployment gives it."""
    [deployment] = [manifest for manifest in manifests if manifest["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    pod = {"metadata.name": "operator-0", "metadata.namespace": home, "status.podIP": "127.0.0.1"}
    environment = {
        variable["name"]: variable["value"]
        if "value" in variable
        else pod[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        for variable in container["env"]
    }
    return replace(OperatorSettings.from_environment(environment), port=0)


@contextlib.asynccontextmanager
async def operating(api, manifests, home, folder):
    """Runs the operator as its Deployment says; yields the requests that it was refused."""
    token = api.service_account_token(home, OPERATOR_ACCOUNT)
    kubeconfig = api.kubeconfig_for(token, folder / "operator.kubeconfig")
    refused = []

    async def note(response):
        if response.status_code == 403:
            refused.append(f"{response.request.method} {response.request.url.path}")

    async with Client.from_kubeconfig(kubeconfig) as client, asyncio.TaskGroup() as group:
        client._http.event_hooks["response"].append(note)
        adapter = Adapter(KubernetesWorkloads, OPERATOR_STATEFUL_RULES)
        task = group.create_task(run(settings_of(manifests, home), client, adapter))
        try:
            yield refused
        finally:
            task.cancel()


async def until_ready(admin, namespace):
    async def ready():
        for kind, name in ((SELDON_RUNTIME, "seldon"), (SERVER, "mlserver")):
            found = await admin.get(kind, name, namespace)
            conditions = {c["type"]: c["status"] for c in found.get("status", {}).get("conditions", [])}
            if conditions.get("Ready") != "True":
                return False
        return True

    await until_true(ready, seconds=30)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
async def test_the_rights_of_the_charts_are_enough(api, admin, pattern, tmp_path):
    manifests = pattern.manifests()
    await install(admin, manifests)
    async with cluster_controllers(admin), operating(api, manifests, pattern.home, tmp_path) as refused:
        for namespace in pattern.served:
            await until_ready(admin, namespace)
        assert refused == []
    for namespace in NAMESPACES:
        made = {
            item["metadata"]["name"]
            for kind in (DEPLOYMENT, STATEFUL_SET)
            for item in (await admin.list(kind, namespace)).items
            if item["spec"]["replicas"]
        }
        own = {OPERATOR_ACCOUNT} if namespace == pattern.home else set()
        central = pattern.name.startswith("0") and namespace != pattern.home
        expected = {"seldon-envoy", "mlserver"} | (set() if central else {"seldon-scheduler"})
        assert made == own | (expected if namespace in pattern.served else set())


async def test_a_runtime_where_the_operator_has_no_rights_is_left_alone(api, admin, tmp_path):
    [pattern] = [each for each in PATTERNS if each.name == "3-scoped"]
    manifests = pattern.manifests()
    await install(admin, [*manifests, *render("runtime", namespace="elsewhere").manifests])
    async with cluster_controllers(admin), operating(api, manifests, pattern.home, tmp_path):
        await until_ready(admin, TEAMS[0])
    assert "status" not in await admin.get(SELDON_RUNTIME, "seldon", "elsewhere")


async def test_a_namespace_joins_with_what_rbac_prints(api, admin, tmp_path):
    """The list first, the rights later: what the chart made is not touched, the operator not restarted."""
    [pattern] = [each for each in PATTERNS if each.name == "3-scoped"]
    manifests = pattern.manifests()
    release = [
        *render("runtime", namespace="elsewhere").manifests,
        *render("servers", namespace="elsewhere").manifests,
    ]
    await install(admin, [*manifests, *(m for m in release if m["kind"] in {"SeldonRuntime", "Server"})])
    async with cluster_controllers(admin), operating(api, manifests, pattern.home, tmp_path):
        await until_ready(admin, TEAMS[0])
        names = {"namespaces": "".join(f"{name}\n" for name in (*TEAMS, "elsewhere"))}
        await admin.patch(CONFIG_MAP, "bailie-scope", HOME, {"data": names})
        await install(admin, namespace_manifests("elsewhere", HOME))
        await until_ready(admin, "elsewhere")


async def test_the_operator_of_a_team_cannot_read_the_other_one(api, admin, tmp_path):
    [pattern] = [each for each in PATTERNS if each.name == "1-same-namespace"]
    await install(admin, pattern.manifests())
    token = api.service_account_token(pattern.home, OPERATOR_ACCOUNT)
    kubeconfig = api.kubeconfig_for(token, tmp_path / "operator.kubeconfig")
    async with Client.from_kubeconfig(kubeconfig) as client:
        assert (await client.list(SERVER, "team-a")).items
        with pytest.raises(Forbidden):
            await client.list(SERVER, "team-b")
        with pytest.raises(Forbidden):
            await client.list(SERVER)
