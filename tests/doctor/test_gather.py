"""The doctor against the embedded API with a real operator at work: the sentence of each case."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from tests.support.api import running_api
from tests.support.commands import CommandRunner
from tests.support.manifests import manifest_of
from tests.support.operators import install
from tests.support.waiting import until_true
from tests.support.workloads import MemoryWorkloads

from bailie.api.kinds import LEASE, MODEL, ROLE_BINDING, SELDON_RUNTIME, SERVER
from bailie.cli.app import app
from bailie.doctor.checks import examine, healthy
from bailie.doctor.finding import Level
from bailie.doctor.gather import gather
from bailie.kube.client import Client
from bailie.kube.clock import stamp_micro, utc_now
from bailie.local.readiness import condition
from bailie.manifests.rbac import OPERATOR_ACCOUNT, OPERATOR_STATEFUL_RULES
from bailie.operator.run import Adapter, run
from bailie.operator.settings import OperatorSettings
from bailie.scope.claim import CLAIM_LEASE, OPERATOR_DEPLOYMENT, TERM_ANNOTATION

HOME, OTHER = "home", "other"


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path) as running:
        yield running


@pytest.fixture
async def admin(api):
    await install(api, HOME, ["a", "b"])
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        yield client


@contextlib.asynccontextmanager
async def operator(api, tmp_path, home=HOME):
    token = api.service_account_token(home, OPERATOR_ACCOUNT)
    kubeconfig = api.kubeconfig_for(token, tmp_path / f"{home}.kubeconfig")
    workloads = MemoryWorkloads()
    settings = OperatorSettings(
        namespace=home, pod_name=f"{home}-0", port=0, scope_config_map="bailie-scope", release="one"
    )
    async with Client.from_kubeconfig(kubeconfig) as client, asyncio.TaskGroup() as group:
        task = group.create_task(run(settings, client, Adapter(lambda _: workloads, OPERATOR_STATEFUL_RULES)))
        yield
        task.cancel()


async def put(admin, kind, name, spec, namespace="a"):
    manifest = manifest_of(kind, name, spec, namespace)
    del manifest["metadata"]["uid"]
    await admin.create(manifest)


async def provision(admin, namespace="a"):
    """A runtime and a server, and a scheduler's lease as the leader writes it."""
    await put(admin, "SeldonRuntime", "seldon", {"seldonConfig": "default"}, namespace)
    await put(admin, "Server", "mlserver", {"serverConfig": "mlserver", "replicas": 1}, namespace)
    await put_term(admin, namespace, {"agents": {"mlserver": 1}, "published": 2, "acknowledged": 2})

    async def ready():
        found = [
            await admin.get(kind, name, namespace)
            for kind, name in ((SELDON_RUNTIME, "seldon"), (SERVER, "mlserver"))
        ]
        return all(condition(each, "Ready")["status"] == "True" for each in found)

    await until_true(ready)


async def put_term(admin, namespace, told):
    note = {TERM_ANNOTATION: json.dumps(told)}
    metadata = {"name": "seldon-scheduler", "namespace": namespace, "annotations": note}
    spec = {
        "holderIdentity": "seldon-scheduler-0",
        "leaseDurationSeconds": 4,
        "renewTime": stamp_micro(utc_now()),
    }
    await admin.create({"apiVersion": LEASE.api_version, "kind": "Lease", "metadata": metadata, "spec": spec})


async def until_found(admin, message, namespaces=("a",)):
    """Asks the doctor until it says so; returns that finding."""

    async def look():
        findings = examine(await gather(admin, namespaces))
        return next((each for each in findings if message in each.message), None)

    return await until_true(look)


async def findings_of(client, namespaces=None):
    return {
        each.check: each for each in examine(await gather(client, namespaces)) if each.level is not Level.OK
    }


async def test_a_healthy_installation(api, admin, tmp_path):
    async with operator(api, tmp_path):
        await provision(admin)
        await until_found(admin, "a is served by home/one since")
        await until_found(admin, "the operator has all its rights in a")
        findings = examine(await gather(admin, ["a"]))
        assert [each.message for each in findings if each.level is not Level.OK] == []
        result = await asyncio.to_thread(_doctor, api, "-n", "a", "-v")
        assert result.exit_code == 0, result.output
        assert "every Envoy has the newest routes (revision 2)" in result.stdout


async def test_a_missing_role_binding(api, admin, tmp_path):
    await admin.delete(ROLE_BINDING, "seldon-v2-manager-rolebinding-home", "b")
    async with operator(api, tmp_path):
        finding = await until_found(
            admin,
            "the operator in home has no rights in b: no RoleBinding gives it a Role that is there",
            ["b"],
        )
        assert finding.remedy == "bailie rbac b --operator-namespace home | kubectl apply -f -"
        result = await asyncio.to_thread(_doctor, api, "-A", "-o", "json")
        assert result.exit_code == 1
        assert json.loads(result.stdout)["healthy"] is False


async def test_a_missing_role_binding_while_no_operator_runs(admin):
    await admin.delete(ROLE_BINDING, "seldon-v2-manager-rolebinding-home", "b")
    found = await findings_of(admin, ["b"])
    assert "patch services" in found["rights"].message
    for binding in (await admin.list(ROLE_BINDING, HOME)).items:
        await admin.delete(ROLE_BINDING, binding["metadata"]["name"], HOME)
    findings = examine(await gather(admin, ["a"]))
    assert any("the operator in home may not create configmaps" in each.message for each in findings)
    assert "no operator runs in home" in found["operator"].message


async def test_a_foreign_claim(api, admin, tmp_path):
    await install(api, OTHER, ["b", "c"])
    async with operator(api, tmp_path):
        await until_found(admin, "b is served by home/one since", ["b"])
        async with operator(api, tmp_path, OTHER):
            finding = await until_found(
                admin, "the operator in other has it in its list too, and does not act there", ["b"]
            )
            assert finding.message.startswith("b is served by home/one since 20")
            assert finding.remedy == (
                "take it from one of the lists: bailie scope remove b --operator-namespace other"
            )


async def test_an_external_name_redirect(api, admin, tmp_path):
    spec = {"type": "ExternalName", "externalName": "seldon-scheduler.mesh.svc.cluster.local"}
    metadata = {"name": "seldon-scheduler", "namespace": "a"}
    await admin.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    async with operator(api, tmp_path):
        finding = await until_found(admin, "Service a/seldon-scheduler is an ExternalName")
        assert finding.level is Level.WARNING
        assert "depends on a scheduler outside of it" in finding.message


TOLD = {"agents": {}, "published": 3, "acknowledged": 3}


@pytest.mark.parametrize("way", ["schedulerNamespace", "ExternalName"])
@pytest.mark.parametrize(
    ("others", "finding"),
    [
        ({"a": {**TOLD, "agents": {"mlserver": 1}}}, "1 of 1 agents of Server mlserver are connected"),
        ({"a": TOLD}, "0 of 1 agents of Server mlserver are connected"),
        ({}, "the scheduler in b does not serve a, which asks for it"),
    ],
    ids=["connected", "away", "not served"],
)
async def test_agents_are_looked_for_where_the_scheduler_is(admin, way, others, finding):
    runtime = {"seldonConfig": "default"}
    if way == "ExternalName":
        spec = {"type": "ExternalName", "externalName": "seldon-scheduler.b.svc.cluster.local"}
        metadata = {"name": "seldon-scheduler", "namespace": "a"}
        await admin.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    else:
        runtime["schedulerNamespace"] = "b"
    await put(admin, "SeldonRuntime", "seldon", runtime)
    await put(admin, "Server", "mlserver", {"serverConfig": "mlserver", "replicas": 1})
    await admin.patch(SERVER, "mlserver", "a", {"status": {"replicas": 1}}, subresource="status")
    await put_term(admin, "b", {**TOLD, "others": others})
    findings = examine(await gather(admin, ["a"]))
    assert any(finding in each.message for each in findings), [each.message for each in findings]


async def test_models_in_an_unserved_namespace(api, admin, tmp_path):
    api.namespace("forgotten")
    await put(admin, "Model", "iris", {"storageUri": "gs://x/iris"}, "forgotten")
    async with operator(api, tmp_path):
        await until_found(admin, "is at work")
        found = await findings_of(admin)
        assert found["models"].message == (
            "no operator serves the 1 Model of forgotten (iris): the namespace is in no operator's list"
        )
        assert found["models"].remedy == "bailie scope add forgotten --operator-namespace home"


async def test_with_narrow_rights_it_says_which_checks_could_not_be_done(api, admin, tmp_path):
    async with operator(api, tmp_path):
        await provision(admin)
        await until_found(admin, "a is served by home/one since")
        token = api.token("reader")
        rules = [
            {"apiGroups": ["mlops.seldon.io"], "resources": ["servers", "models"], "verbs": ["get", "list"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get"]},
        ]
        rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/a"
        api.request("POST", f"{rbac}/roles", json={"metadata": {"name": "reader"}, "rules": rules})
        subject = {"kind": "User", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}
        reference = {"kind": "Role", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}
        binding = {"metadata": {"name": "reader"}, "subjects": [subject], "roleRef": reference}
        api.request("POST", f"{rbac}/rolebindings", json=binding)
        kubeconfig = api.kubeconfig_for(token, tmp_path / "reader.kubeconfig")
        async with Client.from_kubeconfig(kubeconfig) as reader:
            findings = examine(await gather(reader, ["a"]))
        assert healthy(findings)
        levels = {each.check: each.level for each in findings}
        assert (levels["claim"], levels["servers"]) == (Level.OK, Level.OK)
        assert {check for check, level in levels.items() if level is Level.UNKNOWN} == {
            "operator",
            "upstream",
            "pipelines",
            "experiments",
            "redirect",
            "rights",
            "runtime",
        }


MERGE = {"content-type": "application/merge-patch+json"}


def labelled(name, container, **spec):
    """A Deployment or StatefulSet of one container."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    return {
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template, **spec},
    }


def upstream_operator(api, namespace, *, replicas=1, ready=1):
    """Has Seldon Core's operator in a namespace, as its Deployment shows it."""
    container = {"name": "manager", "image": "seldonio/seldonv2-controller:2.9.1", "args": ["--leader-elect"]}
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    api.request("POST", path, json=labelled(OPERATOR_DEPLOYMENT, container, replicas=replicas))
    status = {"status": {"replicas": replicas, "readyReplicas": ready}}
    api.request("PATCH", f"{path}/{OPERATOR_DEPLOYMENT}/status", json=status, headers=MERGE)


async def test_an_upstream_cluster(api):
    api.namespace("mesh")
    upstream_operator(api, "mesh")
    async with Client.from_kubeconfig(api.kubeconfig) as admin:
        await put(admin, "SeldonRuntime", "seldon", {"seldonConfig": "default"}, "mesh")
        await put(admin, "Model", "iris", {"storageUri": "gs://x/iris"}, "mesh")
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        for kind, name in (("seldonruntimes", "seldon"), ("models", "iris")):
            place = f"/apis/mlops.seldon.io/v1alpha1/namespaces/mesh/{kind}/{name}/status"
            api.request("PATCH", place, json=ready, headers=MERGE)
        findings = examine(await gather(admin, None))
        assert healthy(findings), [each.message for each in findings]
        assert any("Seldon Core's own operator is at work in mesh" in each.message for each in findings)


SELDON_CORE = {
    "its operator is in the namespace, and not ready": (("mesh", 1), "mesh"),
    "its operator is elsewhere, and not ready": (("platform", 1), "mesh"),
    "its operator is stopped": (("mesh", 0), "mesh"),
    "its operator is gone": (None, "mesh"),
    "its scheduler is elsewhere, and its operator stopped": (("platform", 0), "platform"),
}


@pytest.mark.parametrize(("operator", "scheduler"), SELDON_CORE.values(), ids=SELDON_CORE)
async def test_a_namespace_of_seldon_cores_is_never_to_be_added_to_a_list(api, admin, operator, scheduler):
    """Bailie would be its second owner."""
    for name in ("mesh", "platform"):
        api.namespace(name)
    if operator is not None:
        upstream_operator(api, operator[0], replicas=operator[1], ready=0)
    sets = f"/apis/apps/v1/namespaces/{scheduler}/statefulsets"
    api.request(
        "POST", sets, json=labelled("seldon-scheduler", {"name": "scheduler", "image": "x"}, serviceName="x")
    )
    if scheduler != "mesh":
        leads = {"type": "ExternalName", "externalName": f"seldon-scheduler.{scheduler}.svc.cluster.local"}
        service = {"metadata": {"name": "seldon-scheduler"}, "spec": leads}
        api.request("POST", "/api/v1/namespaces/mesh/services", json=service)
    await put(admin, "SeldonRuntime", "seldon", {"seldonConfig": "default"}, "mesh")
    await put(admin, "Model", "iris", {"storageUri": "gs://x/iris"}, "mesh")
    findings = examine(await gather(admin, None))
    assert not [each.remedy for each in findings if "scope add" in each.remedy]
    told = " ".join(f"{each.message} {each.remedy}" for each in findings)
    if operator is not None and operator[1]:
        assert f"Seldon Core's own operator in {operator[0]} has no ready pod" in told
    else:
        assert f"Seldon Core's scheduler of it is there (StatefulSet {scheduler}/seldon-scheduler)" in told
        assert "move the namespace to Bailie: bailie migrate plan mesh" in told


async def test_an_api_that_is_away(api, tmp_path):
    kubeconfig = api.kubeconfig.read_text()
    path = tmp_path / "away.kubeconfig"
    path.write_text(kubeconfig.replace(api.url, "https://127.0.0.1:9"))
    async with Client.from_kubeconfig(path) as client:
        findings = examine(await gather(client, ["a"]))
    assert [each.check for each in findings] == ["api"]
    assert "does not answer" in findings[0].message


async def test_a_claim_leads_to_its_operator_where_operators_may_not_be_looked_for(admin):
    metadata = {"name": CLAIM_LEASE, "namespace": "a"}
    spec = {"holderIdentity": "home/one", "leaseDurationSeconds": 15, "renewTime": stamp_micro(utc_now())}
    await admin.create({"apiVersion": LEASE.api_version, "kind": "Lease", "metadata": metadata, "spec": spec})
    found = await findings_of(admin, ["a"])
    assert "operator" in found


def _doctor(api, *arguments):
    return CommandRunner().invoke(app, ["doctor", "--kubeconfig", str(api.kubeconfig), *arguments])


CONDITIONS = {
    "that is False": ({"type": "RemotesUsable", "status": "False", "message": "no Secret x"}, True),
    "that is False, a warning": (
        {"type": "SchedulerPresent", "status": "False", "severity": "Warning", "message": "none"},
        True,
    ),
    "that is False, for information": (
        {"type": "OwnServices", "status": "False", "severity": "Info", "message": "hand-made"},
        False,
    ),
    "that is True": ({"type": "EnvoyReady", "status": "True", "message": "1 of 1"}, False),
    "that waits": ({"type": "RolledOut", "status": "Unknown", "message": "loading"}, False),
    "a remark": ({"type": "MemoryMismatch", "status": "True", "message": "declares 1Gi"}, True),
    "without effect": ({"type": "SpecWarnings", "status": "True", "message": "spec.preloaded"}, False),
    "of which Ready speaks": ({"type": "EnvoyReady", "status": "False", "message": "0 of 1"}, False),
    "without a message": ({"type": "Odd", "status": "False", "reason": "Why"}, True),
}


async def test_conditions_that_ask_for_an_action(admin):
    """Whatever kind has them, and whoever wrote them."""
    ready = {"type": "Ready", "status": "True", "message": "EnvoyReady: 0 of 1"}
    kinds = {"SeldonRuntime": SELDON_RUNTIME, "Server": SERVER, "Model": MODEL}
    spec = {"seldonConfig": "x", "serverConfig": "x", "storageUri": "/m"}
    wanted = {}
    for number, (said, asks) in enumerate(CONDITIONS.values()):
        name, text = f"x{number}", said.get("message") or said["reason"]
        wanted[name] = (f"{said['type']}: {text}",) if asks else ()
        for kind, field in zip(kinds, spec, strict=True):
            await put(admin, kind, name, {field: spec[field]})
            body = {"status": {"conditions": [ready, said]}}
            await admin.patch(kinds[kind], name, "a", body, subresource="status")
    [namespace] = (await gather(admin, ["a"])).namespaces
    for things in (namespace.runtimes, namespace.servers, namespace.models):
        assert {thing.name: thing.concerns for thing in things} == wanted
