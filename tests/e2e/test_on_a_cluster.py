"""Each pattern installed by Helm until a model answers, on the cluster of BAILIE_TEST_KUBECONFIG or here.

What the scoped pattern promises: rights that end at its list, a namespace added live, a lost RoleBinding that
is noticed, components that go when they are disabled, and models that do without an operator.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import helm_python
import httpx
import pytest
from tests.support.commands import CommandRunner
from tests.support.grounds import SMALL, ground

from bailie.api.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    LEASE,
    MODEL,
    POD,
    ROLE_BINDING,
    SELDON_RUNTIME,
    SERVER,
    SERVICE,
)
from bailie.api.seldon_config import SCHEDULER
from bailie.cli.app import app
from bailie.manifests.defaults import token_secret
from bailie.manifests.objects import service
from bailie.manifests.rbac import OPERATOR_ACCOUNT, SCOPE_STATUS, central_manifests, namespace_manifests
from bailie.scope.claim import STATUS_KEY

pytestmark = [pytest.mark.e2e, pytest.mark.kubernetes, pytest.mark.timeout(1200)]

OPERATOR_PODS = f"app.kubernetes.io/name={OPERATOR_ACCOUNT}"


class Installation:
    """The charts in a few namespaces of a ground."""

    def __init__(self, place, models):
        self.place, self.admin, self.models = place, place.admin, models
        self.home = ""

    async def setup(self, home, action="install", **controller):
        self.home = home
        return await self.place.helm(action, "setup", {**SMALL, "controller": controller}, namespace=home)

    async def runtime(self, namespace, **values):
        """Installs a runtime alone."""
        values = {"envoy": {"serviceType": "NodePort"}, **values}
        await self.place.helm("install", "runtime", values, namespace=namespace)

    async def serve(self, namespace, **runtime):
        """Installs runtime and server, and waits for a model."""
        uri, pod = await self.place.artifact(namespace, "iris", self.models.folder / "iris")
        await self.runtime(namespace, **runtime)
        servers = {"triton": {"enabled": False}, "mlserver": {"podSpec": pod}}
        await self.place.helm("install", "servers", servers, namespace=namespace)
        await self.admin.create(self.model("iris", namespace, uri))
        await self.place.until_ready(SELDON_RUNTIME, "seldon", namespace)
        await self.place.until_ready(SERVER, "mlserver", namespace)
        await self.until_served("iris", namespace)
        return uri

    def model(self, name, namespace, uri):
        manifest = self.models.manifest(name, namespace)
        manifest["spec"]["storageUri"] = uri
        return manifest

    async def until_served(self, name, namespace):
        """Waits until the model is ready and the data plane answers as the model does."""
        await self.place.until_ready(MODEL, name, namespace)
        expected, answers = self.models.expected["iris"], []

        async def right():
            try:
                answer = await self.place.infer(namespace, name, expected.request())
            except httpx.TransportError as error:
                answers.append(repr(error))
                return False
            answers.append(answer.text)
            outputs = answer.json()["outputs"][0]["data"] if answer.status_code == 200 else []
            return outputs == pytest.approx(list(expected.outputs))

        await self.place.until(right, lambda: f"{namespace}/{name}: {answers[-1]}")

    async def standing(self, namespace):
        """What the operator says of a namespace."""
        found = await self.admin.get(CONFIG_MAP, SCOPE_STATUS, self.home)
        return json.loads(found["data"][STATUS_KEY])["namespaces"].get(namespace, {}).get("state")

    async def until_standing(self, namespace, *states):
        async def stands():
            return await self.standing(namespace) in states

        began = time.monotonic()
        await self.place.until(stands, lambda: f"{namespace} is not {' or '.join(states)}")
        return time.monotonic() - began

    async def operator_pods(self):
        pods = (await self.admin.list(POD, self.home, labels=OPERATOR_PODS)).items
        return {(pod["metadata"]["name"], pod["metadata"]["uid"], _restarts(pod)) for pod in pods}

    async def override(self, namespace, **override):
        body = {"spec": {"overrides": [{"name": "seldon-envoy", "serviceType": "NodePort", **override}]}}
        await self.admin.patch(SELDON_RUNTIME, "seldon", namespace, body)

    def may(self, verb, resource, namespace, group=""):
        """Asks in the operator's place."""
        user = f"system:serviceaccount:{self.home}:{OPERATOR_ACCOUNT}"
        attributes = {"namespace": namespace, "verb": verb, "resource": resource, "group": group}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        answer = self.place.cluster.http.post(
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            json={**review, "spec": {"resourceAttributes": attributes}},
            headers={"impersonate-user": user, "impersonate-group": "system:authenticated"},
        )
        assert answer.status_code == 201, answer.text
        return answer.json()["status"]["allowed"]


@pytest.fixture
async def installation(tmp_path, models):
    async with ground(tmp_path) as place:
        yield Installation(place, models)


async def test_a_scoped_operator(installation):
    home, a, b, outside = [await installation.place.namespace(stem) for stem in ("home", "a", "b", "out")]
    manifest = await installation.setup(home, clusterwide=True, watchNamespaces=[a])
    uri = await installation.serve(a)

    assert "kind: ClusterRole" not in manifest
    group = "mlops.seldon.io"
    assert installation.may("list", "servers", a, group)
    assert not installation.may("list", "servers", outside, group)
    assert not installation.may("list", "servers", "", group)
    assert not any(installation.may("get", "secrets", each) for each in (home, a, outside, ""))

    before = await installation.operator_pods()
    await installation.place.add_to_scope(home, b)
    for each in [*namespace_manifests(b, home), token_secret(b, "t" * 43)]:
        await installation.admin.create(each)
    assert await installation.until_standing(b, "served") <= 5
    await installation.serve(b)
    assert await installation.operator_pods() == before

    await _disable_and_enable(installation, b)
    await _withdraw_and_give_back(installation, a, b)
    await _without_operator(installation, home, a, uri)

    other = await installation.place.namespace("other")
    with pytest.raises(helm_python.HelmReleaseError, match=f'belongs to the operator in "{home}"'):
        await installation.place.helm(
            "install", "setup", {"controller": {"watchNamespaces": [a]}}, namespace=other
        )


async def test_a_central_scheduler_and_a_cluster_wide_operator_of_labelled_namespaces(installation):
    home, mesh, team = [await installation.place.namespace(stem) for stem in ("home", "mesh", "team")]
    for labelled in (mesh, team):
        _label(installation, labelled, {"served-by": home})
    await installation.setup(home, clusterwide=True, namespaceSelector=f"served-by={home}")
    await installation.serve(mesh, servesNamespaces=[team])
    await installation.serve(team, schedulerNamespace=mesh)
    assert await installation.standing(home) is None
    assert not await installation.place.exists(DEPLOYMENT, "seldon-scheduler", team)
    await _moves(installation, team)
    await _moves_back(installation, team, mesh)
    await installation.place.helm("uninstall", "setup", {}, namespace=home)


def _label(installation, namespace, labels):
    answer = installation.place.cluster.http.patch(
        f"/api/v1/namespaces/{namespace}",
        json={"metadata": {"labels": labels}},
        headers={"content-type": "application/merge-patch+json"},
    )
    assert answer.status_code == 200, answer.text


async def test_external_names_made_by_hand_lead_to_a_central_scheduler(installation):
    """Where people come from: the scheduler is disabled, and its name stands for another namespace's."""
    home, team = [await installation.place.namespace(stem) for stem in ("home", "team")]
    target = f"{SCHEDULER}.{home}.svc.cluster.local"
    alias = service(team, SCHEDULER, {"type": "ExternalName", "externalName": target})
    for manifest in (alias, *central_manifests(team, home)):
        await installation.admin.create(manifest)
    await installation.setup(home, watchNamespaces=[home, team])
    await installation.runtime(home, servesNamespaces=[team])
    await installation.serve(team, scheduler={"disable": True})
    found = await installation.admin.get(SELDON_RUNTIME, "seldon", team)
    told = {each["type"]: each["reason"] for each in found["status"]["conditions"]}
    assert (told["SchedulerReady"], told["OwnServices"]) == ("ServedElsewhere", "HandMade")
    kept = await installation.admin.get(SERVICE, SCHEDULER, team)
    assert kept["spec"]["externalName"] == target
    await _moves(installation, team)
    await _migrate(installation, "finish", team, "--yes")
    binding = "seldon-central-scheduler-rolebinding"
    assert not await installation.place.exists(ROLE_BINDING, binding, team)


async def _moves(installation, namespace):
    """Moves the namespace from its central scheduler, under requests."""
    async with _asked(installation, namespace) as answers:
        await _migrate(installation, "apply", namespace, "--yes")
        await _migrate(installation, "verify", namespace)
    assert set(answers) == {200}
    holder = (await installation.admin.get(LEASE, SCHEDULER, namespace))["spec"]["holderIdentity"]
    assert "/" not in holder


async def _moves_back(installation, namespace, central):
    """Moves the namespace back to its central scheduler, under requests."""
    async with _asked(installation, namespace) as answers:
        await _migrate(installation, "rollback", namespace, "--yes")
    assert set(answers) == {200}
    holder = (await installation.admin.get(LEASE, SCHEDULER, namespace))["spec"]["holderIdentity"]
    assert holder == f"{central}/{SCHEDULER}"


async def _migrate(installation, verb, namespace, *options):
    words = ["migrate", verb, namespace, *options, "--kubeconfig", str(installation.place.kubeconfig)]
    result = await asyncio.to_thread(CommandRunner().invoke, app, words)
    assert result.exit_code == 0, result.output


@contextlib.asynccontextmanager
async def _asked(installation, namespace):
    """Asks the model again and again while entered; gives the codes of the answers."""
    request, codes = installation.models.expected["iris"].request(), []

    async def ask():
        while True:
            codes.append((await installation.place.infer(namespace, "iris", request)).status_code)
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(ask())
        yield codes
        task.cancel()


async def test_an_operator_in_its_own_namespace_and_the_leader_as_the_only_endpoint(installation):
    namespace = await installation.place.namespace("alone")
    await installation.setup(namespace)
    uri = await installation.serve(namespace)
    await _upgraded_without_a_leader(installation, namespace, uri)

    async def stands():
        return await _leader(installation, namespace)

    await installation.place.until(stands, lambda: "the leader is not the endpoint")
    first = await stands()
    await installation.admin.delete(POD, first, namespace)

    async def moved():
        leads = await _leader(installation, namespace)
        return leads if leads != first else ""

    await installation.place.until(moved, lambda: f"{first} is still the endpoint")
    await installation.admin.create(installation.model("later", namespace, uri))
    await installation.until_served("later", namespace)


async def _upgraded_without_a_leader(installation, namespace, uri):
    """Upgrades to two schedulers and deletes the leader at once: requests go on, and soon one leads."""
    holder = (await installation.admin.get(LEASE, SCHEDULER, namespace))["spec"]["holderIdentity"]
    values = {"envoy": {"serviceType": "NodePort"}, "scheduler": {"replicas": 2}}
    async with _asked(installation, namespace) as codes:
        await installation.place.helm("upgrade", "runtime", values, namespace=namespace)
        await installation.admin.delete(POD, holder, namespace)
        await installation.admin.create(installation.model("meanwhile", namespace, uri))
        async with asyncio.timeout(installation.place.seconds / 2):
            await installation.until_served("meanwhile", namespace)
    assert set(codes) == {200}


async def _leader(installation, namespace):
    """The one endpoint of the schedulers' Service, once it is the holder of their Lease; empty before."""
    found = await installation.admin.get(ENDPOINT_SLICE, SCHEDULER, namespace)
    holder = (await installation.admin.get(LEASE, SCHEDULER, namespace))["spec"]["holderIdentity"]
    endpoints = found.get("endpoints") or []
    assert len(endpoints) <= 1
    leads = [each["targetRef"]["name"] for each in endpoints]
    return holder if leads == [holder] else ""


async def _disable_and_enable(installation, namespace):
    """Disabled means gone, with its Service; enabled again, requests are answered."""
    place = installation.place
    await installation.override(namespace, disable=True)

    async def gone():
        there = [
            await place.exists(kind, name, namespace)
            for kind, name in ((DEPLOYMENT, "seldon-envoy"), (SERVICE, "seldon-mesh"))
        ]
        return not any(there)

    await place.until(gone, lambda: "the disabled Envoy is still there")
    await place.until_ready(SELDON_RUNTIME, "seldon", namespace)
    await installation.override(namespace, disable=False)

    async def back():
        return await place.exists(SERVICE, "seldon-mesh", namespace)

    await place.until(back, lambda: "the Envoy did not come back")
    await place.until_ready(SELDON_RUNTIME, "seldon", namespace)
    await installation.until_served("iris", namespace)


async def _withdraw_and_give_back(installation, healthy, namespace):
    """A RoleBinding that goes is noticed; the namespace and the others go on serving."""
    name = "seldon-v2-manager-rolebinding"
    binding = await installation.admin.get(ROLE_BINDING, name, namespace)
    await installation.admin.delete(ROLE_BINDING, name, namespace)
    await installation.until_standing(namespace, "waiting", "limited")
    assert await installation.standing(healthy) == "served"
    for each in (healthy, namespace):
        await installation.until_served("iris", each)
    kept = {key: binding["metadata"][key] for key in ("name", "namespace")}
    await installation.admin.create({**binding, "metadata": kept})
    assert await installation.until_standing(namespace, "served") <= 15


async def _without_operator(installation, home, namespace, uri):
    """Models come, serve and go while no operator runs."""
    admin, place = installation.admin, installation.place
    await admin.patch(DEPLOYMENT, OPERATOR_ACCOUNT, home, {"spec": {"replicas": 0}})

    async def ended():
        return not await installation.operator_pods()

    await place.until(ended, lambda: "the operator goes on")
    await admin.create(installation.model("later", namespace, uri))
    await installation.until_served("later", namespace)
    await admin.delete(MODEL, "later", namespace)

    async def deleted():
        return not await place.exists(MODEL, "later", namespace)

    await place.until(deleted, lambda: "the Model stays")
    await admin.patch(DEPLOYMENT, OPERATOR_ACCOUNT, home, {"spec": {"replicas": 1}})

    async def runs():
        return await installation.operator_pods()

    await place.until(runs, lambda: "the operator did not come back")


def _restarts(pod):
    return sum(each["restartCount"] for each in pod.get("status", {}).get("containerStatuses", []))
