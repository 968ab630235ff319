"""The Kubernetes adapter against a real API, with the rights that an installation gives the operator."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.controllers import cluster_controllers
from tests.support.node import NAMESPACE
from tests.support.waiting import until_true

from bailie.api.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVER,
    SERVICE,
    STATEFUL_SET,
)
from bailie.kube.client import Client, PatchType
from bailie.kube.errors import Forbidden
from bailie.manifests.objects import is_ours, service
from bailie.manifests.rbac import OPERATOR_ACCOUNT, role_manifests
from bailie.manifests.workload import Workload
from bailie.workloads.kubernetes import KubernetesWorkloads
from bailie.workloads.port import Observation, WorkloadRefused

SELECTOR = {"seldon-server-name": "mlserver"}
HEADLESS = service(
    NAMESPACE, "mlserver", {"clusterIP": "None", "selector": SELECTOR, "ports": [{"port": 80}]}
)
SELDON_CORES = {"apiVersion": "mlops.seldon.io/v1", "kind": "Unserved", "name": "x", "uid": "8a1e"}
"""An owner that the API does not know, so that nothing is collected with it."""
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"a": "1"}}


def template(image="mlserver:1", **spec):
    pod = {"containers": [{"name": "mlserver", "image": image}], **spec}
    return {"metadata": {"labels": SELECTOR}, "spec": pod}


WORKLOAD = Workload(
    namespace=NAMESPACE,
    name="mlserver",
    replicas=2,
    selector=SELECTOR,
    template=template(),
    owner={},
    objects=(HEADLESS, CONFIG),
)


@pytest.fixture
async def admin(api):
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        yield client


@pytest.fixture
async def workloads(api, admin, tmp_path):
    """The adapter as the operator of a scoped installation."""
    api.namespace("home")
    for manifest in role_manifests(NAMESPACE, "home"):
        await admin.create(manifest)
    token = api.service_account_token("home", OPERATOR_ACCOUNT)
    kubeconfig = api.kubeconfig_for(token, tmp_path / "operator.kubeconfig")
    async with Client.from_kubeconfig(kubeconfig) as client:
        yield KubernetesWorkloads(client)


async def kinds_of(admin, name="mlserver"):
    found = set()
    for kind in (STATEFUL_SET, DEPLOYMENT, POD_DISRUPTION_BUDGET, SERVICE, CONFIG_MAP):
        listed = await admin.list(kind, NAMESPACE, labels=f"bailie.io/workload={name}")
        found |= {each["kind"] for each in listed.items}
    return found


async def stateful_set(admin):
    return await admin.get(STATEFUL_SET, "mlserver", NAMESPACE)


async def versions(admin):
    found = {}
    for kind in (STATEFUL_SET, POD_DISRUPTION_BUDGET, SERVICE, CONFIG_MAP):
        for each in (await admin.list(kind, NAMESPACE)).items:
            found[each["kind"], each["metadata"]["name"]] = each["metadata"]["resourceVersion"]
    return found


async def test_everything_is_made_and_a_repetition_changes_nothing(admin, workloads):
    await workloads.ensure(WORKLOAD)
    everything = {"StatefulSet", "PodDisruptionBudget", "Service", "ConfigMap"}
    assert await kinds_of(admin) == everything
    before = await versions(admin)
    await workloads.ensure(WORKLOAD)
    await KubernetesWorkloads(workloads._client).ensure(WORKLOAD)
    assert await versions(admin) == before


def requests(workloads, *, reads=False):
    """Returns the list of what is asked from now on."""
    asked = []

    async def note(response):
        if reads or response.request.method != "GET":
            asked.append(response.request.url.path.rsplit("/", 2)[-2:])

    workloads._client._http.event_hooks["response"].append(note)
    return asked


async def test_what_is_gone_is_not_looked_for_again_and_disturbs_nothing_else(admin, workloads):
    other = replace(WORKLOAD, name="other", objects=())
    for each in (WORKLOAD, other):
        await workloads.ensure(each)
    await workloads.remove(NAMESPACE, "other")
    written = requests(workloads)
    await workloads.ensure(WORKLOAD)
    assert written == []
    asked = requests(workloads, reads=True)
    await workloads.remove(NAMESPACE, "other")
    assert asked == []
    await workloads.ensure(other)
    assert await kinds_of(admin, "other") == {"StatefulSet", "PodDisruptionBudget"}
    await workloads.remove(NAMESPACE, "other")
    assert await kinds_of(admin, "other") == set()


async def test_nothing_is_written_while_nothing_changes(admin, workloads):
    written = requests(workloads)
    await workloads.ensure(WORKLOAD)
    written.clear()
    await workloads.ensure(WORKLOAD)
    assert written == []
    await admin.patch(STATEFUL_SET, "mlserver", NAMESPACE, {"status": {"replicas": 2}}, subresource="status")
    await workloads.ensure(WORKLOAD)
    assert written == []
    await admin.patch(CONFIG_MAP, "conf", NAMESPACE, {"data": {"a": "edited"}})
    await workloads.ensure(WORKLOAD)
    assert written == [["configmaps", "conf"]]
    assert (await admin.get(CONFIG_MAP, "conf", NAMESPACE))["data"] == {"a": "1"}
    await admin.delete(SERVICE, "mlserver", NAMESPACE)
    await workloads.ensure(WORKLOAD)
    assert written[1:] == [["services", "mlserver"]]


async def test_what_runs_is_observed(admin, workloads):
    assert await workloads.observe(NAMESPACE, "mlserver") == Observation(replicas=0, ready_replicas=0)
    await workloads.ensure(WORKLOAD)
    assert (await workloads.observe(NAMESPACE, "mlserver")).ready_replicas == 0
    async with cluster_controllers(admin):
        ready = Observation(replicas=2, ready_replicas=2)
        await until_true(lambda: _equals(workloads.observe(NAMESPACE, "mlserver"), ready))


async def _equals(awaitable, value):
    return (await awaitable) == value


async def test_a_pod_that_does_not_start_says_why(admin, workloads):
    await workloads.ensure(WORKLOAD)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "mlserver-0", "namespace": NAMESPACE, "labels": SELECTOR},
        "spec": template()["spec"],
    }
    await admin.create(pod)
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    container = {"name": "mlserver", "ready": False, "state": {"waiting": waiting}}
    body = {"status": {"containerStatuses": [container]}}
    await admin.patch(POD, "mlserver-0", NAMESPACE, body, subresource="status")
    seen = await workloads.observe(NAMESPACE, "mlserver")
    assert seen.message == "pod mlserver-0, container mlserver: ImagePullBackOff: no such image"
    unplaced = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    body = {"status": {"containerStatuses": None, "conditions": [unplaced]}}
    await admin.patch(POD, "mlserver-0", NAMESPACE, body, subresource="status")
    seen = await workloads.observe(NAMESPACE, "mlserver")
    assert seen.message == "pod mlserver-0 is on no machine yet: 0/3 nodes are available"


async def test_pods_that_cannot_be_made_say_why(admin, workloads):
    await workloads.ensure(WORKLOAD)
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    body = {"status": {"replicas": 0, "conditions": [failure]}}
    await admin.patch(STATEFUL_SET, "mlserver", NAMESPACE, body, subresource="status")
    assert (await workloads.observe(NAMESPACE, "mlserver")).message == "exceeded quota"


async def test_pods_that_a_cluster_does_not_make_lead_to_its_reason(admin, workloads):
    """The status of a StatefulSet never says that a quota or an admission rule refuses its pods."""
    await workloads.ensure(WORKLOAD)
    assert (await workloads.observe(NAMESPACE, "mlserver")).message == ""
    generation = (await admin.get(STATEFUL_SET, "mlserver", NAMESPACE))["metadata"]["generation"]
    body = {"status": {"replicas": 0, "observedGeneration": generation}}
    await admin.patch(STATEFUL_SET, "mlserver", NAMESPACE, body, subresource="status")
    message = (await workloads.observe(NAMESPACE, "mlserver")).message
    assert message.startswith(f"{WORKLOAD.replicas} pods not made yet")
    assert "`kubectl describe statefulset mlserver` says why" in message


async def test_a_template_that_the_api_refuses_changes_nothing(admin, workloads):
    await workloads.ensure(WORKLOAD)
    before = await versions(admin)
    container = {"name": "mlserver", "image": "x", "volumeMounts": [{"name": "none", "mountPath": "/x"}]}
    changed = {**CONFIG, "data": {"a": "2"}}
    broken = replace(
        WORKLOAD, template=template(containers=[container]), objects=(HEADLESS, changed), replicas=3
    )
    with pytest.raises(WorkloadRefused, match="volumeMounts"):
        await workloads.ensure(broken)
    assert await versions(admin) == before
    await workloads.ensure(replace(WORKLOAD, objects=(HEADLESS, changed)))
    assert (await admin.get(CONFIG_MAP, "conf", NAMESPACE))["data"] == {"a": "2"}


async def test_fields_that_there_are_not_are_refused_in_the_apis_words(admin, workloads):
    for pod in ({"container": []}, {"containers": [{"name": "c", "image": "c", "memory": "1Gi"}]}):
        with pytest.raises(WorkloadRefused, match="field not declared in schema"):
            await workloads.ensure(replace(WORKLOAD, template=template(**pod)))
    assert await kinds_of(admin) == set()


async def test_claims_that_change_are_refused_with_the_way_out(admin, workloads):
    claim = {"metadata": {"name": "models"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    await workloads.ensure(WORKLOAD)
    with pytest.raises(WorkloadRefused, match="kubectl delete statefulset mlserver --cascade=orphan"):
        await workloads.ensure(replace(WORKLOAD, volume_claim_templates=(claim,)))


async def test_whoever_scales_keeps_the_replicas(admin, workloads):
    await workloads.ensure(WORKLOAD)
    scale = "/apis/apps/v1/namespaces/a/statefulsets/mlserver/scale"
    query = {"fieldManager": "kube-controller-manager"}
    await admin.call(
        "PATCH", scale, params=query, body={"spec": {"replicas": 5}}, content_type=PatchType.MERGE.value
    )
    await workloads.ensure(replace(WORKLOAD, template=template("mlserver:2")))
    found = await stateful_set(admin)
    assert found["spec"]["replicas"] == 5
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "mlserver:2"
    seen = await workloads.observe(NAMESPACE, "mlserver")
    assert (seen.scaled_by, seen.wanted) == ("kube-controller-manager", 5)


async def test_other_edits_of_what_is_stated_are_put_back(admin, workloads):
    await workloads.ensure(WORKLOAD)
    await admin.patch(STATEFUL_SET, "mlserver", NAMESPACE, {"spec": {"replicas": 9, "minReadySeconds": 3}})
    await workloads.ensure(WORKLOAD)
    spec = (await stateful_set(admin))["spec"]
    assert (spec["replicas"], spec["minReadySeconds"]) == (2, 3)


async def test_objects_of_an_earlier_form_go(admin, workloads):
    await workloads.ensure(WORKLOAD)
    await workloads.ensure(replace(WORKLOAD, interchangeable=True, objects=(HEADLESS,)))
    assert await kinds_of(admin) == {"Deployment", "PodDisruptionBudget", "Service"}
    await workloads.ensure(replace(WORKLOAD, template={}, replicas=0, objects=(HEADLESS,)))
    assert await kinds_of(admin) == {"Service"}


async def test_removal_takes_everything(admin, workloads):
    await workloads.ensure(WORKLOAD)
    await workloads.remove(NAMESPACE, "mlserver")
    assert await kinds_of(admin) == set()
    await workloads.remove(NAMESPACE, "mlserver")


async def test_what_somebody_else_made_is_left_alone(admin, workloads):
    spec = {"type": "ExternalName", "externalName": "x.y.svc.cluster.local"}
    await admin.create(service(NAMESPACE, "mlserver", spec))
    await workloads.ensure(WORKLOAD)
    assert (await admin.get(SERVICE, "mlserver", NAMESPACE))["spec"]["externalName"] == spec["externalName"]
    await workloads.remove(NAMESPACE, "mlserver")
    assert await admin.get(SERVICE, "mlserver", NAMESPACE)


async def test_a_server_that_the_operator_keeps_is_made_and_goes(admin, workloads):
    """With the operator's own rights, which hold for this one Server."""
    spec = {"serverConfig": "seldon-pipelinegateway"}
    metadata = {"name": "seldon-pipelinegateway", "namespace": NAMESPACE}
    kind = {"apiVersion": SERVER.api_version, "kind": SERVER.kind}
    server = {**kind, "metadata": metadata, "spec": spec}
    alone = replace(WORKLOAD, name="of-a-server", template={}, replicas=0, objects=(server,))
    await workloads.ensure(alone)
    body = {"spec": {"replicas": 3}}
    await admin.patch(SERVER, "seldon-pipelinegateway", NAMESPACE, body)
    await workloads.ensure(alone)
    assert (await admin.get(SERVER, "seldon-pipelinegateway", NAMESPACE))["spec"]["replicas"] == 3
    await workloads.remove(NAMESPACE, "of-a-server")
    assert (await admin.list(SERVER, NAMESPACE)).items == []
    other = {
        **server,
        "metadata": {**metadata, "name": "other", "labels": {"bailie.io/workload": "of-a-server"}},
    }
    await admin.create(other)
    with pytest.raises(Forbidden):
        await KubernetesWorkloads(workloads._client).remove(NAMESPACE, "of-a-server")
    await admin.delete(SERVER, "other", NAMESPACE)
    await admin.create(server)
    await workloads.ensure(replace(alone, objects=({**server, "spec": {**spec, "replicas": 2}},)))
    by_hand = await admin.get(SERVER, "seldon-pipelinegateway", NAMESPACE)
    assert by_hand["spec"].get("replicas", 1) == 1, "one that a user has made is left alone"


COMPANIONS = {
    "Service": (SERVICE, "mlserver", {"spec": {"type": "ExternalName", "externalName": "elsewhere"}}),
    "ConfigMap": (CONFIG_MAP, "conf", {"data": {"a": "theirs"}}),
    "PodDisruptionBudget": (POD_DISRUPTION_BUDGET, "mlserver", {"spec": {"maxUnavailable": 0}}),
}


@pytest.mark.parametrize("kind", COMPANIONS)
async def test_an_object_of_others_in_the_place_of_one_of_its_own_is_left_alone_and_told(
    admin, workloads, kind
):
    of, name, content = COMPANIONS[kind]
    head = {"apiVersion": of.api_version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}}
    theirs = await admin.create({**head, **content})
    for _ in range(2):
        (told,) = await workloads.ensure(WORKLOAD)
        assert (told["kind"], told["metadata"]["name"]) == (kind, name)
    assert await admin.get(of, name, NAMESPACE) == theirs
    assert await stateful_set(admin)
    await admin.delete(of, name, NAMESPACE)
    assert list(await workloads.ensure(WORKLOAD)) == []
    assert is_ours(await admin.get(of, name, NAMESPACE))


async def test_pods_of_somebody_else_are_not_taken_over(admin, workloads):
    await workloads.ensure(WORKLOAD)
    found = await stateful_set(admin)
    await workloads.remove(NAMESPACE, "mlserver")
    metadata = {"name": "mlserver", "namespace": NAMESPACE}
    await admin.create({**found, "metadata": metadata, "status": None})
    with pytest.raises(WorkloadRefused, match="somebody else"):
        await workloads.ensure(WORKLOAD)
    await workloads.remove(NAMESPACE, "mlserver")
    assert await stateful_set(admin)


@pytest.mark.parametrize("form", [{}, {"interchangeable": True}], ids=["same kind", "another kind"])
async def test_what_seldon_cores_operator_made_is_left_to_it(admin, workloads, form):
    """It may be at work still, and two operators on one object undo each other's work for ever."""
    await workloads.ensure(WORKLOAD)
    found = await stateful_set(admin)
    await workloads.remove(NAMESPACE, "mlserver")
    metadata = {"name": "mlserver", "namespace": NAMESPACE, "ownerReferences": [SELDON_CORES]}
    await admin.create({**found, "metadata": metadata, "status": {"replicas": 2}})
    mesh = service(NAMESPACE, "mesh", {"selector": {"a": "b"}, "ports": [{"port": 80}]})
    mesh["metadata"]["ownerReferences"] = [SELDON_CORES]
    await admin.create(mesh)
    before = await versions(admin)
    ours = service(NAMESPACE, "mesh", {"selector": {"c": "d"}, "ports": [{"port": 80}]})
    workload = replace(WORKLOAD, objects=(ours,), **form)
    if form:
        await workloads.ensure(workload)
    else:
        with pytest.raises(WorkloadRefused, match="made by Seldon Core's operator; delete it"):
            await workloads.ensure(workload)
        assert await workloads.observe(NAMESPACE, "mlserver") == Observation(replicas=0, ready_replicas=0)
    await workloads.remove(NAMESPACE, "mlserver")
    assert (await versions(admin)).items() >= before.items()


OWN = {
    "headless": {"clusterIP": "None", "selector": SELECTOR, "ports": [{"port": 80, "targetPort": 80}]},
    "a selector": {"type": "ClusterIP", "selector": SELECTOR, "ports": [{"port": 80, "targetPort": 80}]},
    "a load balancer": {
        "type": "LoadBalancer",
        "selector": SELECTOR,
        "ports": [{"port": 80, "targetPort": 80}],
    },
    "no selector": {"type": "ClusterIP", "ports": [{"port": 80, "targetPort": 80}]},
}
LED_AWAY = {
    "a name outside": {"type": "ExternalName", "externalName": "elsewhere.example"},
    "a name outside, and no address": {
        "type": "ExternalName", "externalName": "elsewhere.example", "clusterIP": None, "clusterIPs": None,
    },
    "a name outside alone": {"externalName": "elsewhere.example"},
    "other pods": {"selector": {"app": "elsewhere"}},
    "other pods too": {"selector": {"seldon-server-name": None, "app": "elsewhere"}},
    "no pods, for endpoints by hand": {"selector": None},
    "another port": {"ports": [{"port": 80, "targetPort": 6666}]},
}  # fmt: skip


@pytest.mark.parametrize("own", OWN.values(), ids=OWN.keys())
async def test_a_service_of_ours_that_leads_elsewhere_is_taken_back(admin, workloads, own):
    """Whoever may write Services in the namespace could have payloads sent out of it."""
    workload = replace(WORKLOAD, objects=(service(NAMESPACE, "mlserver", own),))
    await workloads.ensure(workload)
    before = leads_to(await admin.get(SERVICE, "mlserver", NAMESPACE))
    for how, edit in LED_AWAY.items():
        await admin.patch(SERVICE, "mlserver", NAMESPACE, {"spec": edit})
        await workloads.ensure(workload)
        assert leads_to(await admin.get(SERVICE, "mlserver", NAMESPACE)) == before, how


def leads_to(found):
    spec = found["spec"]
    ports = [(each["port"], each.get("targetPort")) for each in spec["ports"]]
    headless = spec.get("clusterIP") == "None"
    return spec["type"], spec.get("externalName"), spec.get("selector"), ports, headless


async def test_a_service_that_loses_its_selector_is_made_anew(admin, workloads):
    """No apply takes one away that was set in another way."""
    await workloads.ensure(WORKLOAD)
    old = service(NAMESPACE, "mlserver", {"selector": {"a": "b"}, "ports": [{"port": 9004}]})
    old["metadata"]["labels"] = {"bailie.io/workload": "mlserver"}
    await admin.delete(SERVICE, "mlserver", NAMESPACE)
    await admin.create(old)
    bare = service(NAMESPACE, "mlserver", {"ports": [{"port": 9005}]})
    await workloads.ensure(replace(WORKLOAD, objects=(bare,)))
    made = await admin.get(SERVICE, "mlserver", NAMESPACE)
    assert [port["port"] for port in made["spec"]["ports"]] == [9005]
    assert "selector" not in made["spec"]
