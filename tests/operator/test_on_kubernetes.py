"""The operator with the Kubernetes adapter and the rights of a scoped installation."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.controllers import cluster_controllers
from tests.support.waiting import until, until_true

from bailie.api.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EVENT,
    POD,
    POD_DISRUPTION_BUDGET,
    SELDON_CONFIG,
    SELDON_RUNTIME,
    SERVER,
    SERVER_CONFIG,
    SERVICE,
    STATEFUL_SET,
)
from bailie.kube.errors import NotFound
from bailie.manifests.cluster import companions
from bailie.manifests.fences import Fence
from bailie.manifests.objects import is_ours, service
from bailie.operator.central_schedulers import has_own_scheduler
from bailie.workloads.kubernetes import KubernetesWorkloads

RUNTIME = {"seldonConfig": "default"}
SCHEDULER, ENVOY = "seldon-scheduler", "seldon-envoy"
SERVICES = {SCHEDULER: "seldon-scheduler", ENVOY: "seldon-mesh"}
CONDITIONS = {SCHEDULER: "SchedulerReady", ENVOY: "EnvoyReady"}
LEFT_OUT = {"disabled": {"disable": True}, "no replicas": {"replicas": 0}}
MADE = (DEPLOYMENT, STATEFUL_SET, SERVICE, POD_DISRUPTION_BUDGET, ENDPOINT_SLICE, CONFIG_MAP)


@pytest.fixture
async def cluster(installation):
    """The installation on a cluster whose controllers report every workload ready at once."""
    installation.workloads = KubernetesWorkloads(installation.client)
    async with cluster_controllers(installation.admin) as controllers:
        installation.controllers = controllers
        yield installation


async def made_of(cluster, kind, workload, namespace=None):
    """Kind and name of the objects of a kind that are there of a workload."""
    listed = await cluster.admin.list(kind, namespace or cluster.a, labels=f"bailie.io/workload={workload}")
    return {(each["kind"], each["metadata"]["name"]) for each in listed.items}


async def made_for(cluster, workload, namespace=None):
    """Kind and name of what is there of a workload."""
    return {each for kind in MADE for each in await made_of(cluster, kind, workload, namespace)}


async def until_made(cluster, workload, wanted, namespace=None):
    async def holds():
        for kind in MADE:  # the one that is made last first: most looks end there
            expected = {each for each in wanted if each[0] == kind.kind}
            if await made_of(cluster, kind, workload, namespace) != expected:
                return False
        return True

    await until_true(holds, seconds=40)


def whole(component):
    made = {
        ("Deployment", component),
        ("PodDisruptionBudget", component),
        ("Service", SERVICES[component]),
    }
    return made | {("EndpointSlice" if component == SCHEDULER else "Service", component)}


async def change(cluster, component, **override):
    body = {"spec": {"overrides": [{"name": component, **override}]}}
    await cluster.admin.patch(SELDON_RUNTIME, "seldon", cluster.a, body)


async def test_a_runtime_and_a_server_become_ready(cluster):
    async with cluster.operator():
        await cluster.make("SeldonRuntime", "seldon", RUNTIME)
        await cluster.make("Server", "mlserver", {"serverConfig": "mlserver", "replicas": 2})
        await cluster.until(SELDON_RUNTIME, "seldon", "True")
        await cluster.until(SERVER, "mlserver", "True")
        for component in (SCHEDULER, ENVOY):
            assert await made_for(cluster, component) == whole(component)
        status = (await cluster.admin.get(SERVER, "mlserver", cluster.a))["status"]
        assert (status["replicas"], status["selector"]) == (2, "seldon-server-name=mlserver")


async def test_what_was_made_goes_with_its_owner(cluster):
    async with cluster.operator():
        await cluster.make("SeldonRuntime", "seldon", RUNTIME)
        await cluster.until(SELDON_RUNTIME, "seldon", "True")
        await cluster.admin.delete(SELDON_RUNTIME, "seldon", cluster.a)
        for workload in (SCHEDULER, ENVOY, "seldon-agent"):
            await until_made(cluster, workload, set())


@pytest.mark.parametrize("component", [SCHEDULER, ENVOY])
@pytest.mark.parametrize("how", LEFT_OUT.values(), ids=LEFT_OUT)
async def test_left_out_from_the_beginning_is_never_made(cluster, component, how):
    async with cluster.operator():
        await cluster.make("SeldonRuntime", "seldon", {**RUNTIME, "overrides": [{"name": component, **how}]})
        await cluster.until(SELDON_RUNTIME, "seldon", "True")
        assert await made_for(cluster, component) == set()
        found = await cluster.condition(SELDON_RUNTIME, "seldon", CONDITIONS[component])
        assert found["reason"] == ("Disabled" if "disable" in how else "NoReplicas")


@pytest.mark.parametrize("component", [SCHEDULER, ENVOY])
@pytest.mark.parametrize("how", LEFT_OUT.values(), ids=LEFT_OUT)
async def test_left_out_later_goes_and_comes_back(cluster, component, how):
    async with cluster.operator():
        await cluster.make("SeldonRuntime", "seldon", RUNTIME)
        await until_made(cluster, component, whole(component))
        await change(cluster, component, keepService=True, **how)
        await until_made(cluster, component, {("Service", SERVICES[component])})
        await change(cluster, component, **how)
        await until_made(cluster, component, set())
        await cluster.until(SELDON_RUNTIME, "seldon", "True")
        await change(cluster, component)
        await until_made(cluster, component, whole(component))
        await cluster.until(SELDON_RUNTIME, "seldon", "True")


async def test_ready_counts_only_what_is_there(cluster):
    cluster.controllers.broken.add("bailie:1")
    async with cluster.operator():
        await cluster.make("SeldonRuntime", "seldon", RUNTIME)
        await cluster.until(SELDON_RUNTIME, "seldon", "False", "ReplicasNotReady")
        overrides = [{"name": name, "disable": True} for name in (SCHEDULER, ENVOY)]
        await cluster.admin.patch(SELDON_RUNTIME, "seldon", cluster.a, {"spec": {"overrides": overrides}})
        await cluster.until(SELDON_RUNTIME, "seldon", "True")


def serving(*namespaces):
    return {**RUNTIME, "servesNamespaces": list(namespaces)}


def alias(namespace, target):
    spec = {"type": "ExternalName", "externalName": f"seldon-scheduler.{target}.svc.cluster.local"}
    return service(namespace, SCHEDULER, spec)


@pytest.mark.parametrize("later", [False, True], ids=["from the beginning", "later"])
async def test_a_hand_made_external_name_survives(cluster, later):
    async with cluster.operator():
        await cluster.admin.create(alias(cluster.a, cluster.b))
        await cluster.make("SeldonRuntime", "central", serving(cluster.a), cluster.b)
        disabled = [{"name": SCHEDULER, "disable": True}]
        await cluster.make("SeldonRuntime", "seldon", {**RUNTIME, "overrides": [] if later else disabled})
        if later:
            taken = await cluster.until(SELDON_RUNTIME, "seldon", "False", "ServiceTaken")
            assert f"seldon-scheduler.{cluster.b}.svc" in taken["message"]
            await change(cluster, SCHEDULER, disable=True)
        await cluster.until(SELDON_RUNTIME, "seldon", "True")
        where = {"condition": "SchedulerReady"}
        found = await cluster.until(SELDON_RUNTIME, "seldon", "True", "ServedElsewhere", **where)
        assert "hand-made" in found["message"]
        told = await cluster.condition(SELDON_RUNTIME, "seldon", "OwnServices")
        assert (told["status"], told["reason"], told["severity"]) == ("False", "HandMade", "Info")
        kept = await cluster.admin.get(SERVICE, SCHEDULER, cluster.a)
        assert kept["spec"]["type"] == "ExternalName"
        assert not kept["metadata"].get("labels")
        assert await made_for(cluster, SCHEDULER) == set()
        await until_true(lambda: serves(cluster, cluster.b, cluster.a), seconds=40)
        await cluster.admin.delete(SELDON_RUNTIME, "seldon", cluster.a)
        assert await cluster.admin.get(SERVICE, SCHEDULER, cluster.a)


async def test_a_server_whose_service_somebody_else_made_says_so_until_it_is_gone(cluster):
    await cluster.admin.create(service(cluster.a, "mlserver", {"ports": [{"port": 80}]}))
    async with cluster.operator():
        await cluster.make("Server", "mlserver", {"serverConfig": "mlserver", "replicas": 1})
        where = {"condition": "OwnObjects"}
        told = await cluster.until(SERVER, "mlserver", "False", "MadeByOthers", **where)
        assert told["message"].endswith(f"kubectl delete service mlserver -n {cluster.a}")
        await cluster.until(SERVER, "mlserver", "True")
        assert not is_ours(await cluster.admin.get(SERVICE, "mlserver", cluster.a))
        await cluster.admin.delete(SERVICE, "mlserver", cluster.a)
        await cluster.until(SERVER, "mlserver", "True", "Own", **where)
        assert is_ours(await cluster.admin.get(SERVICE, "mlserver", cluster.a))


async def serves(cluster, central, namespace):
    """Whether the central scheduler is told of the namespace."""
    try:
        found = await cluster.admin.get(CONFIG_MAP, "seldon-scheduler-namespaces", central)
    except NotFound:
        return False
    return namespace in found["data"]["namespaces"].splitlines()


async def test_a_scheduler_of_a_namespace_that_the_operator_does_not_serve(cluster):
    async with cluster.operator():
        await cluster.make("SeldonRuntime", "seldon", {**RUNTIME, "schedulerNamespace": "far-away"})
        nobody = await cluster.until(SELDON_RUNTIME, "seldon", "False", "NoScheduler")
        assert "does not serve namespace far-away" in nobody["message"]


ELSEWHERE = {("Service", SCHEDULER), ("EndpointSlice", SCHEDULER)}
"""What a namespace has of a scheduler that runs in another one: the way to it."""


async def pods_of(cluster, namespace):
    """The pod templates that are there, by name."""
    found = [
        each
        for kind in (DEPLOYMENT, STATEFUL_SET)
        for each in (await cluster.admin.list(kind, namespace)).items
        if each["metadata"]["name"] != SCHEDULER or namespace == cluster.b
    ]
    return {each["metadata"]["name"]: each["spec"]["template"] for each in found}


async def test_a_scheduler_of_another_namespace(cluster):
    async with cluster.operator():
        await cluster.make("SeldonRuntime", "seldon", {**RUNTIME, "schedulerNamespace": cluster.b})
        await cluster.make("Server", "mlserver", {"serverConfig": "mlserver"})
        nobody = await cluster.until(SELDON_RUNTIME, "seldon", "False", "NoScheduler")
        assert cluster.b in nobody["message"]
        await cluster.make("SeldonRuntime", "central", serving("*"), cluster.b)
        await cluster.until(SELDON_RUNTIME, "seldon", "True")
        await until_true(lambda: serves(cluster, cluster.b, cluster.a), seconds=40)
        await cluster.until(SERVER, "mlserver", "True")
        await until_made(cluster, SCHEDULER, ELSEWHERE)
        await cluster.until(SELDON_RUNTIME, "central", "True", namespace=cluster.b)
        before = [await pods_of(cluster, each) for each in (cluster.a, cluster.b)]
        # to one's own, which the other scheduler waits for, and back
        cluster.controllers.broken.add("bailie:1")
        await cluster.admin.patch(SELDON_RUNTIME, "seldon", cluster.a, {"spec": {"schedulerNamespace": None}})
        await until_made(cluster, SCHEDULER, whole(SCHEDULER))
        where = {"condition": "SchedulerReady"}
        await cluster.until(SELDON_RUNTIME, "seldon", "False", "ReplicasNotReady", **where)
        assert await serves(cluster, cluster.b, cluster.a)
        cluster.controllers.broken.clear()
        looked_at = {"metadata": {"annotations": {"looked": "at"}}}
        await cluster.admin.patch(DEPLOYMENT, SCHEDULER, cluster.a, looked_at)
        await until_true(lambda: does_not_serve(cluster, cluster.b, cluster.a), seconds=40)
        await cluster.until(SELDON_RUNTIME, "seldon", "True", "ReplicasReady", **where)
        await cluster.admin.patch(
            SELDON_RUNTIME, "seldon", cluster.a, {"spec": {"schedulerNamespace": cluster.b}}
        )
        await until_made(cluster, SCHEDULER, ELSEWHERE)
        await until_true(lambda: serves(cluster, cluster.b, cluster.a), seconds=40)
        assert [await pods_of(cluster, each) for each in (cluster.a, cluster.b)] == before


class WaitingWorkloads(KubernetesWorkloads):
    """Makes a namespace's scheduler once `ready` is, as on a slow API."""

    def __init__(self, client, namespace):
        super().__init__(client)
        self.namespace, self.ready, self.asked = namespace, None, 0

    async def ensure(self, workload):
        if (workload.namespace, workload.name) == (self.namespace, SCHEDULER):
            self.asked += 1
            if self.ready:
                await until(self.ready)
        return await super().ensure(workload)


async def test_a_hand_over_that_ends_while_the_other_scheduler_is_looked_at_is_noticed(cluster):
    """Not only by the next look at everything, minutes later."""
    workloads = cluster.workloads = WaitingWorkloads(cluster.client, cluster.b)
    async with cluster.operator() as operator:
        await cluster.make("SeldonRuntime", "seldon", {**RUNTIME, "schedulerNamespace": cluster.b})
        await cluster.make("SeldonRuntime", "central", serving(cluster.a), cluster.b)
        await until_true(lambda: serves(cluster, cluster.b, cluster.a), seconds=40)
        cluster.controllers.broken.add("bailie:1")
        await cluster.admin.patch(SELDON_RUNTIME, "seldon", cluster.a, {"spec": {"schedulerNamespace": None}})
        where = {"condition": "SchedulerReady"}
        await cluster.until(SELDON_RUNTIME, "seldon", "False", "ReplicasNotReady", **where)
        looks = asyncio.Event()

        def has_its_own():
            looks.set()
            return has_own_scheduler(operator.cache.runtime_of(cluster.a))

        first = workloads.asked
        await until(lambda: workloads.asked > first + 2)  # it looks again and again, and for no other reason
        workloads.ready = has_its_own
        await looks.wait()
        cluster.controllers.broken.clear()
        looked_at = {"metadata": {"annotations": {"looked": "at"}}}
        await cluster.admin.patch(DEPLOYMENT, SCHEDULER, cluster.a, looked_at)
        await until_true(lambda: does_not_serve(cluster, cluster.b, cluster.a), seconds=40)


async def test_a_scheduler_keeps_a_namespace_that_the_operator_does_not_see_just_now(cluster):
    async with cluster.operator():
        await cluster.make("SeldonRuntime", "seldon", {**RUNTIME, "schedulerNamespace": cluster.b})
        await cluster.make("SeldonRuntime", "central", serving(cluster.a), cluster.b)
        await until_true(lambda: serves(cluster, cluster.b, cluster.a), seconds=40)

        async def told():
            status = (await cluster.admin.get(SELDON_RUNTIME, "central", cluster.b)).get("status", {})
            return status.get("servedNamespaces") == [cluster.a] and status.get("observedGeneration")

        await until_true(told, seconds=40)
    before = await cluster.admin.get(DEPLOYMENT, SCHEDULER, cluster.b)
    async with cluster.operator(watch=(cluster.b,)):
        replicas = {"spec": {"overrides": [{"name": ENVOY, "replicas": 2}]}}
        changed = await cluster.admin.patch(SELDON_RUNTIME, "central", cluster.b, replicas)

        async def seen():
            found = await cluster.admin.get(SELDON_RUNTIME, "central", cluster.b)
            return found["status"].get("observedGeneration") == changed["metadata"]["generation"]

        await until_true(seen, seconds=40)
        after = await cluster.admin.get(DEPLOYMENT, SCHEDULER, cluster.b)
        assert after["metadata"]["generation"] == before["metadata"]["generation"]


class ReadingStatuses(KubernetesWorkloads):
    """Notes what the status says when a central scheduler is told of its namespaces."""

    def __init__(self, client, admin):
        super().__init__(client)
        self.admin, self.seen = admin, []

    async def ensure(self, workload):
        if workload.name == SCHEDULER:
            lists = [each["data"] for each in companions(workload) if each["kind"] == "ConfigMap"]
            for runtime in (await self.admin.list(SELDON_RUNTIME, workload.namespace)).items if lists else ():
                self.seen.append((lists, runtime.get("status", {}).get("servedNamespaces")))
        return await super().ensure(workload)


async def test_the_status_has_a_served_namespace_before_its_scheduler_is_told(cluster):
    """The next operator reads it there, also where this one ended between the two writes."""
    cluster.workloads = ReadingStatuses(cluster.client, cluster.admin)
    async with cluster.operator():
        await cluster.make("SeldonRuntime", "seldon", {**RUNTIME, "schedulerNamespace": cluster.b})
        await cluster.make("SeldonRuntime", "central", serving(cluster.a), cluster.b)
        await until_true(lambda: serves(cluster, cluster.b, cluster.a), seconds=40)
    told = [status for lists, status in cluster.workloads.seen if cluster.a in str(lists)]
    assert told
    assert all(status == [cluster.a] for status in told)


@pytest.mark.parametrize("way", ["schedulerNamespace", "ExternalName"])
async def test_a_scheduler_that_has_not_been_asked_is_left_alone(cluster, way):
    """Whoever writes in one namespace changes nothing in another, and loses nothing of what ran here."""
    async with cluster.operator():
        await cluster.make("SeldonRuntime", "central", serving("somebody-else"), cluster.b)
        await cluster.until(SELDON_RUNTIME, "central", "True", namespace=cluster.b)
        await cluster.make("SeldonRuntime", "seldon", RUNTIME)
        await cluster.make("Server", "mlserver", {"serverConfig": "mlserver"})
        await cluster.until(SELDON_RUNTIME, "seldon", "True")
        await cluster.until(SERVER, "mlserver", "True")
        before = await everything(cluster, cluster.b)
        agents = await cluster.admin.get(STATEFUL_SET, "mlserver", cluster.a)
        for _ in range(3):  # a change of mind is no way in either
            refused = await ask_for(cluster, way, cluster.b)
            assert f"to add {cluster.a} to its spec.servesNamespaces" in refused["message"]
            await ask_for(cluster, way, "")
        refused = await ask_for(cluster, way, cluster.b)
        assert await everything(cluster, cluster.b) == before
        now = await cluster.admin.get(STATEFUL_SET, "mlserver", cluster.a)
        assert now["spec"] == agents["spec"]
        if way == "schedulerNamespace":  # what runs stays: the own scheduler
            await cluster.until(SERVER, "mlserver", "False", "SchedulerNamespaceRefused")
            assert await made_for(cluster, SCHEDULER) == whole(SCHEDULER)
        # the other side lets it, and takes it back
        await cluster.admin.patch(SELDON_RUNTIME, "central", cluster.b, {"spec": serving(cluster.a)})
        await until_true(lambda: serves(cluster, cluster.b, cluster.a), seconds=40)
        await cluster.until(SELDON_RUNTIME, "seldon", "True", "ServedElsewhere", condition="SchedulerReady")
        await cluster.admin.patch(SELDON_RUNTIME, "central", cluster.b, {"spec": {"servesNamespaces": []}})
        await until_true(lambda: does_not_serve(cluster, cluster.b, cluster.a), seconds=40)
        await cluster.until(SELDON_RUNTIME, "seldon", "False", "SchedulerNamespaceRefused")


async def does_not_serve(cluster, central, namespace):
    return not await serves(cluster, central, namespace)


async def everything(cluster, namespace):
    """What the operator made and said in a namespace, with its versions."""
    kinds = (DEPLOYMENT, STATEFUL_SET, SERVICE, SELDON_RUNTIME, EVENT)
    return [(await cluster.admin.list(kind, namespace)).items for kind in kinds]


async def ask_for(cluster, way, other):
    """Asks for the scheduler of another namespace, or for one's own again, and waits for what is said."""
    if way == "schedulerNamespace":
        patch = {"spec": {"schedulerNamespace": other or None}}
        await cluster.admin.patch(SELDON_RUNTIME, "seldon", cluster.a, patch)
    elif other:
        await change(cluster, SCHEDULER, disable=True)
        await until_made(cluster, SCHEDULER, set())
        await cluster.admin.create(alias(cluster.a, other))
    else:
        await cluster.admin.delete(SERVICE, SCHEDULER, cluster.a)
        await change(cluster, SCHEDULER)
        await until_made(cluster, SCHEDULER, whole(SCHEDULER))
    if other:
        return await cluster.until(SELDON_RUNTIME, "seldon", "False", "SchedulerNamespaceRefused")
    return await cluster.until(SELDON_RUNTIME, "seldon", "True")


async def test_a_refusal_outlives_a_restart_that_does_not_see_the_other_side(cluster):
    """Nothing is rewired to a scheduler only because the operator cannot see just now that it is refused."""
    async with cluster.operator():
        await cluster.make("SeldonRuntime", "central", RUNTIME, cluster.b)
        await cluster.make("Server", "mlserver", {"serverConfig": "mlserver"})
        await cluster.make("SeldonRuntime", "seldon", RUNTIME)
        await cluster.until(SERVER, "mlserver", "True")
        await cluster.until(SELDON_RUNTIME, "seldon", "True")
        await ask_for(cluster, "schedulerNamespace", cluster.b)
    async with cluster.operator(watch=(cluster.a,)):
        touched = await cluster.admin.patch(SERVER, "mlserver", cluster.a, {"spec": {"replicas": 2}})

        async def seen():
            found = await cluster.admin.get(SERVER, "mlserver", cluster.a)
            return found["status"]["observedGeneration"] == touched["metadata"]["generation"]

        await until_true(seen, seconds=40)
        assert await made_for(cluster, SCHEDULER) == whole(SCHEDULER)


BEYOND = {
    "hostPID": True,
    "serviceAccountName": "somebody",
    "containers": [{"name": "mlserver", "securityContext": {"runAsUser": 0}}],
}


async def test_a_pod_that_reaches_beyond_its_namespace_is_refused_and_what_runs_stays(cluster):
    async with cluster.operator():
        await cluster.make("Server", "mlserver", {"serverConfig": "mlserver"})
        await cluster.until(SERVER, "mlserver", "True")
        before = await cluster.admin.get(STATEFUL_SET, "mlserver", cluster.a)
        await cluster.admin.patch(SERVER, "mlserver", cluster.a, {"spec": {"podSpec": BEYOND}})
        refused = await cluster.until(SERVER, "mlserver", "False", "Refused")
        assert "podSpec.hostPID (written in spec.podSpec) asks for the processes" in refused["message"]
        assert "controller.podPermissions.allow={host,root}" in refused["message"]
        assert await cluster.admin.get(STATEFUL_SET, "mlserver", cluster.a) == before
        config = await cluster.admin.get(SERVER_CONFIG, "mlserver", cluster.home)
        await cluster.make("ServerConfig", "own", {"podSpec": {**config["spec"]["podSpec"], "hostPID": True}})
        await cluster.make("Server", "new", {"serverConfig": "own"})
        refused = await cluster.until(SERVER, "new", "False", "Refused")
        assert (
            f'podSpec.hostPID (written in ServerConfig "own" of namespace {cluster.a})' in refused["message"]
        )
        with pytest.raises(NotFound):
            await cluster.admin.get(STATEFUL_SET, "new", cluster.a)
    allowed = Fence(frozenset({"host", "root"}), frozenset({"somebody"}))
    async with cluster.operator(fence=allowed):
        for name in ("mlserver", "new"):
            await cluster.until(SERVER, name, "True")


async def test_the_scheduler_and_envoy_stay_within_their_fences_too(cluster):
    async with cluster.operator():
        await cluster.make("SeldonRuntime", "seldon", RUNTIME)
        await cluster.until(SELDON_RUNTIME, "seldon", "True")
        before = await cluster.admin.get(DEPLOYMENT, SCHEDULER, cluster.a)
        await change(cluster, SCHEDULER, podSpec={"hostNetwork": True})
        refused = await cluster.until(SELDON_RUNTIME, "seldon", "False", "Refused")
        assert "podSpec.hostNetwork (written in spec.overrides of seldon-scheduler)" in refused["message"]
        assert await cluster.admin.get(DEPLOYMENT, SCHEDULER, cluster.a) == before


async def test_a_config_that_breaks_the_pods_is_refused_and_put_right(cluster):
    async with cluster.operator():
        await cluster.make("Server", "mlserver", {"serverConfig": "mlserver"})
        await cluster.until(SERVER, "mlserver", "True")
        before = await cluster.admin.get(STATEFUL_SET, "mlserver", cluster.a)
        config = await cluster.admin.get(SERVER_CONFIG, "mlserver", cluster.home)
        pod = config["spec"]["podSpec"]
        broken = {**pod, "volumes": []}
        await cluster.admin.patch(SERVER_CONFIG, "mlserver", cluster.home, {"spec": {"podSpec": broken}})
        refused = await cluster.until(SERVER, "mlserver", "False", "Refused")
        assert "there is no volume" in refused["message"]
        assert await cluster.admin.get(STATEFUL_SET, "mlserver", cluster.a) == before
        pods = await cluster.condition(SERVER, "mlserver", "StatefulSetOrDeploymentReady")
        assert pods["status"] == "True"
        await cluster.admin.patch(SERVER_CONFIG, "mlserver", cluster.home, {"spec": {"podSpec": pod}})
        await cluster.until(SERVER, "mlserver", "True")


async def test_what_only_the_api_can_refuse_is_refused_too(cluster):
    async with cluster.operator():
        await cluster.make("SeldonRuntime", "seldon", RUNTIME)
        await cluster.until(SELDON_RUNTIME, "seldon", "True")
        before = await cluster.admin.get(DEPLOYMENT, ENVOY, cluster.a)
        await change(cluster, ENVOY, podSpec={"restartPolicy": "Never"})
        refused = await cluster.until(SELDON_RUNTIME, "seldon", "False", "Refused")
        assert "restartPolicy" in refused["message"]
        assert await cluster.admin.get(DEPLOYMENT, ENVOY, cluster.a) == before
        found = await cluster.condition(SELDON_RUNTIME, "seldon", "SchedulerReady")
        assert found["status"] == "True"


async def test_pods_that_do_not_start_are_told_and_the_old_ones_stay(cluster):
    async with cluster.operator():
        await cluster.make("SeldonRuntime", "seldon", RUNTIME)
        await cluster.make("Server", "mlserver", {"serverConfig": "mlserver"})
        await cluster.until(SELDON_RUNTIME, "seldon", "True")
        await cluster.until(SERVER, "mlserver", "True")
        cluster.controllers.broken.add("nowhere:1")
        for labels in ({"app.kubernetes.io/name": ENVOY}, {"seldon-server-name": "mlserver"}):
            await broken_pod(cluster, labels)
        image = {"containers": [{"name": "envoy", "image": "nowhere:1"}]}
        await change(cluster, ENVOY, podSpec=image)
        image = {"containers": [{"name": "mlserver", "image": "nowhere:1"}]}
        await cluster.admin.patch(SERVER, "mlserver", cluster.a, {"spec": {"podSpec": image}})
        told = await cluster.until(SERVER, "mlserver", "False", "ReplicasNotReady")
        assert "ImagePullBackOff: no such image" in told["message"]

        async def envoys():
            found = await cluster.condition(SELDON_RUNTIME, "seldon", "EnvoyReady")
            return found if "an update is under way" in found["message"] else None

        told = await until_true(envoys, seconds=40)
        assert told["status"] == "True"
        assert "ImagePullBackOff: no such image" in told["message"]


async def broken_pod(cluster, labels):
    """Stands for one that a controller made of a template whose image is nowhere."""
    name = f"broken-{len(labels)}-{next(iter(labels.values()))}"
    metadata = {"name": name, "namespace": cluster.a, "labels": labels}
    spec = {"containers": [{"name": "c", "image": "nowhere:1"}]}
    await cluster.admin.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    status = {"containerStatuses": [{"name": "c", "ready": False, "state": waiting}]}
    await cluster.admin.patch(POD, name, cluster.a, {"status": status}, subresource="status")


async def test_a_config_that_vanishes_is_said_and_what_runs_stays(cluster):
    async with cluster.operator():
        await cluster.make("Server", "mlserver", {"serverConfig": "mlserver"})
        await cluster.until(SERVER, "mlserver", "True")
        before = await cluster.admin.get(STATEFUL_SET, "mlserver", cluster.a)
        await cluster.admin.delete(SERVER_CONFIG, "mlserver", cluster.home)
        await cluster.until(SERVER, "mlserver", "False", "ServerConfigNotFound")
        assert await cluster.admin.get(STATEFUL_SET, "mlserver", cluster.a) == before


async def relabel(cluster, value):
    """A change of the SeldonConfig that its users' pods would show."""
    config = await cluster.admin.get(SELDON_CONFIG, "default", cluster.home)
    components = config["spec"]["components"]
    components[0]["labels"] = {"changed": value}
    body = {"spec": {"components": components}}
    await cluster.admin.patch(SELDON_CONFIG, "default", cluster.home, body)


async def label(cluster, namespace=None):
    found = await cluster.admin.get(DEPLOYMENT, SCHEDULER, namespace or cluster.a)
    return found["spec"]["template"]["metadata"]["labels"].get("changed", "")


async def test_a_change_reaches_its_users_and_waits_where_it_is_to(cluster):
    held = {"condition": "ConfigCurrent", "namespace": cluster.b}

    async def followed(value):
        await until_true(lambda: _is(label(cluster), value), seconds=40)

    async with cluster.operator():
        await cluster.make("SeldonRuntime", "seldon", RUNTIME)
        await cluster.make("SeldonRuntime", "held", {**RUNTIME, "disableAutoUpdate": True}, cluster.b)
        await cluster.until(SELDON_RUNTIME, "seldon", "True")
        await cluster.until(SELDON_RUNTIME, "held", "True", "UpToDate", **held)
        await relabel(cluster, "one")
        await followed("one")
        told = await cluster.until(SELDON_RUNTIME, "held", "False", "UpdatePending", **held)
        assert 'SeldonConfig "default" has changed' in told["message"]
        assert await label(cluster, cluster.b) == ""
    async with cluster.operator():  # one that starts knows it, too
        await relabel(cluster, "two")
        await followed("two")
        await cluster.until(SELDON_RUNTIME, "held", "False", "UpdatePending", **held)
        assert await label(cluster, cluster.b) == ""
        await cluster.until(SELDON_RUNTIME, "held", "True", namespace=cluster.b)
        body = {"spec": {"disableAutoUpdate": False}}
        await cluster.admin.patch(SELDON_RUNTIME, "held", cluster.b, body)
        await until_true(lambda: _is(label(cluster, cluster.b), "two"), seconds=40)
        await cluster.until(SELDON_RUNTIME, "held", "True", "UpToDate", **held)


async def _is(awaitable, value):
    return await awaitable == value


async def test_an_autoscaler_of_the_server_is_followed_and_one_of_the_pods_is_left_alone(cluster):
    async with cluster.operator():
        await cluster.make("Server", "mlserver", {"serverConfig": "mlserver"})
        await cluster.until(SERVER, "mlserver", "True")
        await scale(cluster, "mlops.seldon.io/v1alpha1", "servers", 3)

        async def pods(count):
            found = await cluster.admin.get(STATEFUL_SET, "mlserver", cluster.a)
            return found["spec"]["replicas"] == count

        await until_true(lambda: pods(3), seconds=40)
        await scale(cluster, "apps/v1", "statefulsets", 5)

        async def told():
            found = await cluster.condition(SERVER, "mlserver", "StatefulSetOrDeploymentReady")
            return "kube-controller-manager sets the number of pods" in found.get("message", "")

        await until_true(told, seconds=40)
        assert await pods(5)


async def scale(cluster, group, plural, replicas):
    path = f"/apis/{group}/namespaces/{cluster.a}/{plural}/mlserver/scale"
    await cluster.admin.call(
        "PATCH",
        path,
        params={"fieldManager": "kube-controller-manager"},
        body={"spec": {"replicas": replicas}},
        content_type="application/merge-patch+json",
    )
