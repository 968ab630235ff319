"""A check of isolation on the embedded API with real schedulers: its findings, and that it leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import pytest
from tests.scheduler.conftest import Namespace
from tests.support.api import running_api
from tests.support.dataplane import backend
from tests.support.waiting import until, until_true

from bailie.doctor.isolation.check import check_isolation
from bailie.doctor.isolation.probe import PROBE, scheduling
from bailie.doctor.isolation.samples import IsolationPlan, IsolationRefused
from bailie.inference.client import RestClient
from bailie.kube.client import Client
from bailie.kube.errors import Forbidden

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.fixture
async def namespaces(api, tmp_path):
    """Two namespaces, each with a Model that its status calls ready."""
    found = []
    for letter in "ab":
        namespace = Namespace(api, tmp_path)
        namespace.name = f"{letter}{next(_NUMBERS)}"
        api.namespace(namespace.name)
        found.append(namespace)
    yield found
    for namespace in found:
        await namespace.client.aclose()


@contextlib.asynccontextmanager
async def served(namespace):
    """The namespace has a scheduler, and a replica with one Model."""
    namespace.server()
    namespace.model("iris")
    async with namespace.scheduler(), namespace.replica().running():
        await namespace.ready("iris")
        yield


@contextlib.asynccontextmanager
async def scheduled(namespace):
    """The namespace has a scheduler that leads, and no Model."""
    async with namespace.scheduler():
        await until_true(lambda: has_leader(namespace))
        yield


async def has_leader(namespace):
    return bool((await scheduling(namespace.client, namespace.name)).pod)


@contextlib.asynccontextmanager
async def planes(answers):
    """What opens data planes that answer by namespace with a status; those without one are not there."""
    async with contextlib.AsyncExitStack() as stack:
        ports = {}
        for namespace, status in answers.items():
            server = await stack.enter_async_context(backend())
            server.status, ports[namespace] = status, server.replica.http_port

        async def open_plane(namespace):
            return RestClient(f"http://127.0.0.1:{ports[namespace]}") if namespace in ports else None

        yield open_plane


def probes(*namespaces):
    return [each.name for each in namespaces if PROBE in each.names("models")]


async def check(namespaces, *, said=None, answers=None, client=None, **plan):
    names = tuple(each.name for each in namespaces)
    plan = IsolationPlan(namespaces=names, **{"seconds": 1.0, "load_per_second": 20.0, **plan})
    told = [] if said is None else said
    client = client or namespaces[0].client
    async with planes(answers or {}) as open_plane:
        return await check_isolation(client, plan, open_plane=open_plane, say=told.append)


async def test_namespaces_with_schedulers_of_their_own_notice_nothing(namespaces):
    a, b = namespaces
    said = []
    async with served(a), scheduled(b):
        found = await check(namespaces, said=said, answers={a.name: 200, b.name: 200}, load_per_second=40.0)
    assert [row.phase for row in found.rows] == ["at rest"] * 2 + [f"load on {a.name}"] * 2
    assert all(row.samples.changes for row in found.rows)
    assert {row.scheduling.home for row in found.rows} == {a.name, b.name}
    assert [row.samples.sent > 0 for row in found.rows] == [True, False] * 2
    assert "40 requests a second to its Model iris and 8 changes a second" in said[-1]
    (conclusion,) = [each for each in found.conclusions if "load on" in each]
    assert 1 <= int(conclusion.partition("(")[2].split()[0]) <= 44, conclusion
    assert probes(a, b) == []


async def test_a_namespace_without_a_scheduler_is_told_and_its_probe_is_deleted(namespaces):
    a, b = namespaces
    async with scheduled(a):
        found = await check(namespaces, load_per_second=0)
    assert any(each.startswith(f"{b.name}: no scheduler answered") for each in found.conclusions)
    assert probes(a, b) == []


async def test_requests_that_fail_are_an_effect_only_where_they_did_not_fail_at_rest(namespaces):
    a, b = namespaces
    async with scheduled(a), served(b):
        found = await check(namespaces, answers={b.name: 503})
    assert all(row.samples.failures for row in found.rows if row.namespace == b.name)
    assert not any("failed" in effect for row in found.rows for effect in row.effects)


async def test_a_model_of_the_probes_name_is_left_alone(namespaces):
    a, b = namespaces
    b.model(PROBE)
    with pytest.raises(IsolationRefused) as refused:
        await check(namespaces)
    assert b.name in refused.value.message
    assert f"kubectl delete model {PROBE}" in refused.value.hint
    assert probes(a, b) == [b.name]


async def test_a_check_that_is_ended_leaves_nothing(namespaces):
    a, b = namespaces
    async with asyncio.TaskGroup() as group:
        task = group.create_task(check(namespaces, seconds=60.0))
        await until(lambda: probes(a, b) == [a.name, b.name])
        task.cancel()
    assert task.cancelled()
    assert probes(a, b) == []


async def test_an_account_without_the_right_in_one_namespace_leaves_nothing_in_the_others(
    api, namespaces, tmp_path
):
    a, b = namespaces
    for namespace, verbs in ((a, ["*"]), (b, ["get", "list"])):
        grant(api, namespace.name, verbs)
    kubeconfig = api.kubeconfig_for(api.service_account_token(a.name, "measurer"), tmp_path / "kubeconfig")
    async with Client.from_kubeconfig(kubeconfig) as client:
        with pytest.raises(Forbidden):
            await check(namespaces, client=client)
    assert probes(a, b) == []


def grant(api, namespace, verbs):
    """Gives the account `measurer` of the first namespace rights on Models, and lets it read Leases."""
    group = "rbac.authorization.k8s.io"
    rules = [
        {"apiGroups": ["mlops.seldon.io"], "resources": ["models"], "verbs": verbs},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get"]},
    ]
    subject = {"apiGroup": group, "kind": "Group", "name": "system:serviceaccounts"}
    objects = {
        "roles": {"kind": "Role", "rules": rules},
        "rolebindings": {
            "kind": "RoleBinding",
            "subjects": [subject],
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "measurer"},
        },
    }
    for plural, body in objects.items():
        body |= {"apiVersion": f"{group}/v1", "metadata": {"name": "measurer"}}
        api.request("POST", f"/apis/{group}/v1/namespaces/{namespace}/{plural}", json=body)


async def test_a_scheduler_that_is_not_there_is_not_ended(namespaces):
    said = []
    with pytest.raises(IsolationRefused, match="no scheduler leads"):
        await check(namespaces, said=said, end_scheduler_of=namespaces[1].name)
    assert said == []


async def test_a_scheduler_is_named_before_its_pod_is_ended(namespaces):
    """The leader holds its Lease and has no pod here, so the end of the check is a sentence."""
    a, b = namespaces
    said = []
    async with scheduled(a), scheduled(b):
        with pytest.raises(IsolationRefused, match="is gone already"):
            await check(namespaces, said=said, end_scheduler_of=b.name, load_per_second=0)
    assert said[-1] == f"ending pod {b.name}/seldon-scheduler-0, the scheduler of {b.name}"
    assert probes(a, b) == []
