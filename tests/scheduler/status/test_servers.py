"""The number of replicas of a Server, from a scheduler into the API: whose it is, and whose it stays."""

from __future__ import annotations

import pytest
from tests.support.manifests import manifest_of
from tests.support.placement import server, snapshot
from tests.support.waiting import until

from bailie.control.pass_result import PassResult
from bailie.control.scaled_servers import ServerScalingFacts
from bailie.control.server_rules import SCALER
from bailie.kube.client import Client
from bailie.kube.errors import Forbidden, Invalid
from bailie.manifests import rbac
from bailie.scheduler.status.servers import ServerWriter

MI = 1 << 20
BOUNDS = {"minReplicas": 1, "maxReplicas": 3}


def server_of(namespace):
    return namespace.api.request("GET", namespace.url("servers", "mlserver"))


def replicas(namespace):
    return server_of(namespace)["spec"].get("replicas")


def told(namespace):
    return (namespace.status("mlserver", "servers").get("scaling")) or {}


def scale(namespace, count, *, manager):
    """Writes the number as an autoscaler does, by the scale subresource."""
    namespace.api.request(
        "PATCH",
        namespace.url("servers", "mlserver") + f"/scale?fieldManager={manager}",
        json={"spec": {"replicas": count}},
        headers={"content-type": "application/merge-patch+json"},
    )


def bounded(namespace):
    """A Server that scales, and two models of which one replica has no room for both."""
    body = namespace._body("Server", "mlserver", {"serverConfig": "mlserver", **BOUNDS})
    namespace.api.request("POST", namespace.url("servers"), json=body)
    for name in ("iris", "wine"):
        namespace.model(name, memory="700Mi")


async def test_a_server_grows_for_a_model_without_a_place_and_the_field_has_the_schedulers_name(namespace):
    bounded(namespace)
    async with namespace.scheduler(), namespace.replica().running():
        await until(lambda: replicas(namespace) == 2, seconds=30)
        [entry] = [
            each
            for each in server_of(namespace)["metadata"]["managedFields"]
            if each.get("subresource") == "scale"
        ]
        assert entry["manager"] == SCALER
        async with namespace.replica(1).running():
            await namespace.ready("iris")
            await namespace.ready("wine")
        await until(lambda: told(namespace).get("active"), seconds=30)
        assert replicas(namespace) == 2


async def test_an_autoscalers_number_stays_and_a_persons_manifest_gives_it_back(namespace):
    bounded(namespace)
    async with namespace.scheduler():
        scale(namespace, 1, manager="keda")
        async with namespace.replica().running():
            await until(lambda: told(namespace).get("reason") == "ReplicasOwned", seconds=30)
            assert "keda sets spec.replicas" in told(namespace)["message"]
            assert replicas(namespace) == 1
            namespace.api.request(
                "PATCH",
                namespace.url("servers", "mlserver"),
                json={"spec": {"replicas": 3}},
                headers={"content-type": "application/merge-patch+json"},
            )
            await until(lambda: told(namespace).get("active"), seconds=30)
            assert replicas(namespace) == 3, "the number that was asked for is there for five minutes"


async def test_a_scheduler_without_the_right_says_so(namespace, tmp_path):
    rules = [each.manifest() for each in rbac.SCHEDULER_RULES if each.resources != ("servers/scale",)]
    group, subject = "rbac.authorization.k8s.io", {"kind": "ServiceAccount", "name": "old"}
    place = f"/apis/{group}/v1/namespaces/{namespace.name}"
    role = {"metadata": {"name": "old"}, "rules": rules}
    namespace.api.request("POST", f"{place}/roles", json=role)
    binding = {
        "metadata": {"name": "old"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "old"},
        "subjects": [{**subject, "namespace": namespace.name}],
    }
    namespace.api.request("POST", f"{place}/rolebindings", json=binding)
    token = namespace.api.service_account_token(namespace.name, "old")
    bounded(namespace)
    await namespace.client.aclose()
    namespace.client = Client.from_kubeconfig(namespace.api.kubeconfig_for(token, tmp_path / "old"))
    async with namespace.scheduler(), namespace.replica().running():
        await until(lambda: told(namespace).get("reason") == "Forbidden", seconds=30)
        assert "may not patch servers/scale" in told(namespace)["message"]
        assert told(namespace)["active"] is False


class Refusing:
    """An API whose admission policy refuses each number; statuses are written."""

    def __init__(self, error):
        self.error = error
        self.scaled, self.statuses = 0, []

    async def scale(self, manifest, replicas, *, field_manager):
        self.scaled += 1
        raise self.error

    async def patch(self, kind, name, namespace, body, *, subresource):
        self.statuses.append(body["status"])


@pytest.mark.parametrize("error", [Forbidden, Invalid])
async def test_a_policy_that_refuses_the_number_keeps_no_status_from_being_written(error):
    client = Refusing(error('admission webhook "quota" denied the request: at most two'))
    writer = ServerWriter(client, "a")
    facts = ServerScalingFacts(
        active=True,
        replicas=3,
        stated=1,
        reason="ModelsWait",
        text="3 replicas",
        generation=1,
        uid="uid-of-mlserver",
    )
    seen = snapshot([], [server("mlserver")])
    writer.take(PassResult(snapshot=seen, server_scaling={"mlserver": facts}))
    for _ in range(3):
        again = await writer.write(manifest_of("Server", "mlserver", {}, generation=1))
    assert client.scaled == 1
    scaling = client.statuses[0]["scaling"]
    assert (scaling["active"], scaling["reason"]) == (False, "Forbidden")
    assert scaling["message"].endswith(
        'the API refuses it: admission webhook "quota" denied the request: at most two'
    )
    assert again.requeue_after is not None


async def test_a_number_is_not_for_a_server_that_came_later_under_the_name():
    client = Refusing(Forbidden("nobody may"))
    writer = ServerWriter(client, "a")
    facts = ServerScalingFacts(
        active=True, replicas=3, stated=1, reason="ModelsWait", text="3 replicas", generation=1, uid="former"
    )
    writer.take(PassResult(snapshot=snapshot([], [server("mlserver")]), server_scaling={"mlserver": facts}))
    await writer.write(manifest_of("Server", "mlserver", {}, generation=1))
    assert client.scaled == 0
