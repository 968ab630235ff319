from __future__ import annotations

import pytest
from tests.support.manifests import manifest_of
from tests.support.waiting import until, until_true
from tests.support.workloads import MemoryWorkloads

from bailie.api.kinds import POD, SELDON_RUNTIME, SERVER, SERVER_CONFIG, SERVICE
from bailie.kube.errors import Forbidden, Invalid
from bailie.manifests.objects import NAME_LABEL
from bailie.manifests.server import SERVER_COMPONENT
from bailie.operator.conditions import own_objects
from bailie.operator.servers import ServerReconciler

SPEC = {"serverConfig": "mlserver"}


@pytest.fixture
async def server(installation):
    """A ready Server, with its operator running."""
    async with installation.operator():
        await installation.make("Server", "mlserver", {**SPEC, "replicas": 2})
        await installation.until(SERVER, "mlserver", "True")
        yield await installation.admin.get(SERVER, "mlserver", installation.a)


async def test_a_server_becomes_ready(installation, server):
    status = server["status"]
    assert (status["replicas"], status["selector"]) == (2, "seldon-server-name=mlserver")
    types = [c["type"] for c in status["conditions"]]
    wanted = ["ConfigCurrent", "KnownContainers", "Ready", "SchedulerPresent", "StatefulSetOrDeploymentReady"]
    assert types == wanted
    assert installation.workloads.running[installation.a, "mlserver"].replicas == 2
    await until_true(lambda: installation.events("ServerReady"))


async def test_scaling(installation, server):
    await installation.admin.patch(SERVER, "mlserver", installation.a, {"spec": {"replicas": 3}})
    await until(lambda: installation.workloads.running[installation.a, "mlserver"].replicas == 3)

    async def counted():
        return (await installation.admin.get(SERVER, "mlserver", installation.a))["status"]["replicas"] == 3

    await until_true(counted)


async def test_invalid_scaling_is_said_and_what_runs_stays(installation, server):
    await installation.admin.patch(SERVER, "mlserver", installation.a, {"spec": {"maxReplicas": 1}})
    ready = await installation.until(SERVER, "mlserver", "False", "InvalidScaling")
    assert ready["message"] == "spec.replicas: replicas 2 is more than maxReplicas 1"
    assert installation.workloads.running[installation.a, "mlserver"].replicas == 2


async def test_the_schedulers_part_of_the_status_stays(installation, server):
    body = {"status": {"loadedModels": 7}}
    await installation.admin.patch(SERVER, "mlserver", installation.a, body, subresource="status")
    await installation.admin.patch(SERVER, "mlserver", installation.a, {"spec": {"replicas": 1}})

    async def scaled():
        status = (await installation.admin.get(SERVER, "mlserver", installation.a))["status"]
        return status if status["replicas"] == 1 else None

    assert (await until_true(scaled))["loadedModels"] == 7


async def test_the_schedulers_word_about_the_number_of_replicas_is_a_condition(installation, server):
    async def says(told, status):
        body = {"status": {"scaling": told}}
        await installation.admin.patch(SERVER, "mlserver", installation.a, body, subresource="status")

        async def said():
            found = await installation.admin.get(SERVER, "mlserver", installation.a)
            conditions = {each["type"]: each for each in found["status"]["conditions"]}
            condition = conditions.get("Scaling", {})
            return condition if condition.get("status") == status else None

        return await until_true(said)

    told = {"active": True, "reason": "Steady", "message": "2 replicas: the models need them"}
    assert (await says(told, "True"))["message"] == told["message"]
    owned = {"active": False, "reason": "ReplicasOwned", "message": "keda sets spec.replicas"}
    assert (await says(owned, "False"))["reason"] == "ReplicasOwned"
    assert (await says(told, "True"))["reason"] == "Steady"
    assert (await says(None, "False"))["reason"] == "NotAsked"


async def test_a_change_of_a_pod_is_looked_at(installation, server):
    installation.workloads.ready["mlserver"] = 1
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "mlserver-0",
            "namespace": installation.a,
            "labels": {NAME_LABEL: SERVER_COMPONENT},
            "ownerReferences": [_owner(server)],
        },
        "spec": {"containers": [{"name": "x", "image": "x"}]},
    }
    await installation.admin.create(pod)
    ready = await installation.until(SERVER, "mlserver", "False", "ReplicasNotReady")
    assert ready["message"] == "1 of 2 replicas are ready"
    await until_true(lambda: installation.events("ServerNotReady"))
    installation.workloads.ready.clear()
    await installation.admin.delete(POD, "mlserver-0", installation.a, grace_seconds=0)
    await installation.until(SERVER, "mlserver", "True")


async def test_a_deleted_service_is_looked_at(installation, server):
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "mlserver", "namespace": installation.a, "ownerReferences": [_owner(server)]},
        "spec": {"clusterIP": "None", "ports": [{"port": 9000}]},
    }
    await installation.admin.create(service)
    before = len(installation.workloads.ensured)
    await installation.admin.delete(SERVICE, "mlserver", installation.a)
    await until(lambda: len(installation.workloads.ensured) > before)


async def test_a_missing_config_is_said(installation):
    async with installation.operator():
        await installation.make("Server", "mine", {"serverConfig": "mine"})
        ready = await installation.until(SERVER, "mine", "False", "ServerConfigNotFound")
        assert '"mine"' in ready["message"]
        default = await installation.admin.get(SERVER_CONFIG, "mlserver", installation.home)
        await installation.make("ServerConfig", "mine", default["spec"], installation.home)
        await installation.until(SERVER, "mine", "True")


async def test_pods_that_cannot_be_made_are_said_and_tried_again(installation):
    installation.workloads.refusals["mine"] = Forbidden("pods is forbidden", status=403)
    async with installation.operator():
        await installation.make("Server", "mine", SPEC)
        ready = await installation.until(SERVER, "mine", "False", "WorkloadFailed")
        assert "pods is forbidden" in ready["message"]
        installation.workloads.refusals.clear()
        await installation.until(SERVER, "mine", "True")


async def test_a_config_change_is_not_followed_where_that_is_disabled(installation):
    async with installation.operator():
        await installation.make("Server", "fixed", {**SPEC, "disableAutoUpdate": True})
        await installation.make("Server", "mine", SPEC)
        await installation.until(SERVER, "fixed", "True")
        await installation.until(SERVER, "mine", "True")
        pod = {"spec": {"podSpec": {"hostname": "changed"}}}
        await installation.admin.patch(SERVER_CONFIG, "mlserver", installation.home, pod)
        await until(lambda: _hostname(installation, "mine") == "changed")
        before = installation.workloads.ensured.count((installation.a, "fixed"))
        touched = {"metadata": {"labels": {"touched": "yes"}}}
        await installation.admin.patch(SERVER, "fixed", installation.a, touched)
        await until(lambda: installation.workloads.ensured.count((installation.a, "fixed")) > before)
        assert _hostname(installation, "fixed") is None


def _hostname(installation, name):
    return installation.workloads.running[installation.a, name].template["spec"].get("hostname")


async def test_labels_of_the_config_reach_the_pods_and_a_change_is_followed(installation, server):
    marks = {"metadata": {"labels": {"team": "a"}, "annotations": {"prometheus.io/scrape": "true"}}}
    await installation.admin.patch(SERVER_CONFIG, "mlserver", installation.home, marks)

    def metadata():
        return installation.workloads.running[installation.a, "mlserver"].template["metadata"]

    await until(lambda: metadata()["labels"].get("team") == "a")
    assert metadata()["annotations"] == {"prometheus.io/scrape": "true"}


async def test_a_config_of_seldon_core_is_named_and_makes_no_pods(installation):
    containers = [
        {"name": "rclone", "image": "seldonio/seldon-rclone:2.9.1"},
        {"name": "agent", "image": "seldonio/seldon-agent:2.9.1"},
        {"name": "mlserver", "image": "seldonio/mlserver:1.7.1"},
    ]
    async with installation.operator():
        await installation.make("ServerConfig", "theirs", {"podSpec": {"containers": containers}})
        await installation.make("Server", "mine", {"serverConfig": "theirs"})
        told = (await installation.until(SERVER, "mine", "False", "Refused"))["message"]
    assert """"seldonio/seldon-agent:2.9.1" is Seldon Core's agent""" in told
    assert """"seldonio/seldon-rclone:2.9.1" is Seldon Core's rclone""" in told
    assert "seldonio/mlserver" not in told
    assert installation.workloads.running == {}


async def test_a_namespace_without_a_scheduler_is_said_until_it_has_one(installation, server):
    def present(status, reason):
        return installation.until(SERVER, "mlserver", status, reason, condition="SchedulerPresent")

    told = await present("False", "NoRuntime")
    assert f"namespace {installation.a} has no SeldonRuntime" in told["message"]
    await installation.make("SeldonRuntime", "seldon", {"seldonConfig": "default"})
    await present("True", "Runtime")
    await installation.admin.delete(SELDON_RUNTIME, "seldon", installation.a)
    await present("False", "NoRuntime")
    alias = {"type": "ExternalName", "externalName": f"seldon-scheduler.{installation.b}.svc"}
    metadata = {"name": "seldon-scheduler", "namespace": installation.a}
    await until_true(lambda: gone(installation, "seldon-scheduler"))
    await installation.admin.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": alias}
    )
    await present("True", "ServedElsewhere")


async def gone(installation, name):
    services = (await installation.admin.list(SERVICE, installation.a)).items
    return name not in {each["metadata"]["name"] for each in services}


async def test_capabilities_and_warnings(installation):
    async with installation.operator():
        spec = {**SPEC, "capabilities": ["sklearn", "mine"], "imageOverrides": {}}
        await installation.make("Server", "mine", spec)
        await installation.until(SERVER, "mine", "True")
        await until_true(lambda: installation.events("NoEffect"))
    pod = installation.workloads.running[installation.a, "mine"].template["spec"]
    agent = next(c for c in pod["containers"] if c["name"] == "agent")
    assert {"name": "SELDON_SERVER_CAPABILITIES", "value": "sklearn,mine"} in agent["env"]


def _owner(server):
    metadata = server["metadata"]
    return {
        "apiVersion": server["apiVersion"],
        "kind": "Server",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


NONSENSE = {
    "a container without a name": {"containers": [{}]},
    "a list for a container": {"containers": [[]]},
    "a text for containers": {"containers": "x"},
    "null for a volume": {"volumes": [None]},
    "a list for a name": {"containers": [{"name": ["x"]}]},
    "a text for ports": {"containers": [{"name": "agent", "ports": "x"}]},
    "a list for an environment": {"containers": [{"name": "agent", "env": [[]]}]},
    "a number for a probe": {"containers": [{"name": "agent", "readinessProbe": 5}]},
}


@pytest.mark.parametrize("kind", ["Server", "ServerConfig"])
async def test_any_pod_gets_a_condition_and_no_other_server_waits_for_it(installation, kind):
    """The API takes them: a definition leaves podSpec open."""
    reason = "InvalidSpec" if kind == "Server" else "ServerConfigInvalid"
    async with installation.operator():
        for number, pod in enumerate(NONSENSE.values()):
            name = f"bad-{number}"
            if kind == "ServerConfig":
                await installation.make("ServerConfig", name, {"podSpec": pod})
                await installation.make("Server", name, {"serverConfig": name})
            else:
                await installation.make("Server", name, {**SPEC, "podSpec": pod})
        for number in range(len(NONSENSE)):
            told = await installation.until(SERVER, f"bad-{number}", "False", reason)
            assert "spec.podSpec." in told["message"]
        await installation.make("Server", "good", SPEC)
        await installation.until(SERVER, "good", "True")
    assert {name for _, name in installation.workloads.running} == {"good"}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("Service", "its names and addresses lead where it says"),
        ("ConfigMap", "the pods read it in place of the operator's"),
        ("PodDisruptionBudget", "drains follow its rule"),
        ("EndpointSlice", "was made by somebody else and is left alone; to have"),
    ],
)
def test_an_object_of_others_is_told_with_the_remedy(kind, words):
    other = {"kind": kind, "metadata": {"name": "mlserver", "namespace": "a"}}
    (told,) = own_objects([other], None)
    assert (told.type, told.status, told.reason) == ("OwnObjects", "False", "MadeByOthers")
    assert words in told.message
    assert told.message.endswith(f"kubectl delete {kind.lower()} mlserver -n a")
    assert [each.status for each in own_objects([], told)] == ["True"]
    assert own_objects([], None) == []


async def test_the_condition_of_an_object_of_others_ends_with_it(installation):
    other = {"kind": "ConfigMap", "metadata": {"name": "conf", "namespace": installation.a}}
    installation.workloads.others = {"mlserver": [other]}
    async with installation.operator():
        await installation.make("Server", "mlserver", {"serverConfig": "mlserver"})
        await installation.until(SERVER, "mlserver", "False", "MadeByOthers", condition="OwnObjects")
        await installation.until(SERVER, "mlserver", "True")
        installation.workloads.others.clear()
        await installation.admin.patch(SERVER, "mlserver", installation.a, {"spec": {"replicas": 2}})
        await installation.until(SERVER, "mlserver", "True", "Own", condition="OwnObjects")


class Failing(MemoryWorkloads):
    """Workloads of which one meets a mistake of our own."""

    async def ensure(self, workload):
        if workload.name == "bad":
            raise ZeroDivisionError("a mistake of our own")
        return await super().ensure(workload)


async def test_a_mistake_of_our_own_gets_a_condition_and_no_other_server_waits_for_it(installation):
    installation.workloads = Failing()
    async with installation.operator():
        await installation.make("Server", "bad", SPEC)
        await installation.make("Server", "good", SPEC)
        told = await installation.until(SERVER, "bad", "False", "Unreadable")
        assert "Bailie failed at this Server (ZeroDivisionError)" in told["message"]
        assert "of our own" not in told["message"]
        await installation.until(SERVER, "good", "True")


class Standing:
    """The objects that one reconciliation finds, and a reporter that may not write a status."""

    def get(self, _, key):
        return manifest_of("Server", key[1], SPEC, namespace=key[0])

    def config(self, *_):
        return manifest_of("ServerConfig", "mlserver", {"podSpec": {}})

    def is_known(self, _):
        return True

    def refused_by(self, *_):
        return ""

    def warn(self, *_):
        pass

    def forget(self, _):
        pass

    async def report(self, *_):
        raise Forbidden("no right to write servers/status")


@pytest.mark.parametrize("failure", [ZeroDivisionError, Invalid])
async def test_a_status_that_cannot_be_written_takes_no_failure_out_of_the_log(failure):
    class FailingReconciler(ServerReconciler):
        async def converge(self, *_):
            raise failure("this is what to mend")

    part = Standing()
    reconciler = FailingReconciler(part, MemoryWorkloads(), part, central_schedulers=part, fence=None)
    with pytest.raises(failure, match="this is what to mend"):
        await reconciler.reconcile(("a", "bad"))


async def test_patches_of_seldon_cores_rclone_are_the_agents_and_the_rest_of_them_is_named(installation):
    patch = {
        "name": "rclone",
        "image": "seldon-rclone:1",
        "volumeMounts": [{"name": "pvc", "mountPath": "/var/models"}],
    }
    volume = {"name": "pvc", "persistentVolumeClaim": {"claimName": "team-models"}}
    async with installation.operator():
        spec = {**SPEC, "podSpec": {"containers": [patch], "volumes": [volume]}}
        await installation.make("Server", "mlserver-pvc", spec)
        await installation.until(SERVER, "mlserver-pvc", "True")
        pod = installation.workloads.running[installation.a, "mlserver-pvc"].template["spec"]
        assert [each["name"] for each in pod["containers"]] == ["agent", "mlserver"]
        assert patch["volumeMounts"][0] in pod["containers"][0]["volumeMounts"]
        [event] = await until_true(lambda: installation.events("NoEffect"))
        assert event["message"].startswith('spec.podSpec.containers["rclone"].image: has no effect')


async def test_nothing_is_kept_of_servers_that_are_deleted_while_their_workload_is_made(installation):
    """Whoever makes and deletes Servers without end would fill the memory of the operator of all."""
    names, admin, namespace = [f"server-{number}" for number in range(6)], installation.admin, installation.a
    installation.workloads = Vanishing()
    async with installation.operator() as operator:

        async def delete(workload):
            if workload.name in names:
                await admin.delete(SERVER, workload.name, namespace)
                await until(lambda: operator.cache.get(SERVER, (namespace, workload.name)) is None)

        installation.workloads.meanwhile = delete
        for name in names:
            await installation.make("Server", name, {**SPEC, "disableAutoUpdate": True})
        await until(lambda: {(namespace, name) for name in names} <= set(installation.workloads.ensured))
        queue, reconciler = operator._controllers[SERVER].queue, operator._reconcilers[SERVER]
        await until(lambda: not (queue._working or queue._dirty or queue._failures))
        reporter = reconciler._reporter
        assert (reconciler._pins._kept, reporter._written, reporter._announced, reporter._warned) == (
            {},
            {},
            {},
            {},
        )


class Vanishing(MemoryWorkloads):
    """Workloads of which each takes a while to make, in which a test does something."""

    async def ensure(self, workload):
        found = await super().ensure(workload)
        await self.meanwhile(workload)
        return found
