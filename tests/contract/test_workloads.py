"""Workloads and what goes with them, as plain objects: defaults, checks, scale, who owns the replicas.

On a cluster the controllers act on them too, so nothing here asks for a pod.
"""

from __future__ import annotations

import pytest
from tests.support.cluster import APPLY, MERGE

STATEFUL_SETS = "/apis/apps/v1/namespaces/{}/statefulsets"
REPLICA_SETS = "/apis/apps/v1/namespaces/{}/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
BUDGETS = "/apis/policy/v1/namespaces/{}/poddisruptionbudgets"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies"
CLAIMS = "/api/v1/namespaces/{}/persistentvolumeclaims"
LABELS = {"app": "x"}


def template(**changes):
    container = {"name": "c", "image": "registry.k8s.io/pause:3.10"}
    return {"metadata": {"labels": LABELS}, "spec": {"containers": [container], **changes}}


def stateful_set(replicas=0, **spec):
    wanted = {"replicas": replicas} if replicas is not None else {}
    spec = {"serviceName": "x", "selector": {"matchLabels": LABELS}, "template": template(), **wanted, **spec}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "x"}, "spec": spec}


def deployment(**spec):
    spec = {"replicas": 0, "selector": {"matchLabels": LABELS}, "template": template(), **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec}


def replica_set(**spec):
    return {**deployment(**spec), "kind": "ReplicaSet"}


@pytest.fixture
def apply(cluster, namespace):
    """apply(path, object, manager, dry_run=…) -> response"""

    def send(path, obj, manager="one", *, dry_run=False, force=False):
        query = {"fieldManager": manager, "force": str(force).lower()}
        query |= {"dryRun": "All"} if dry_run else {}
        url = f"{path.format(namespace)}/{obj['metadata']['name']}"
        return cluster.http.patch(url, params=query, json=obj, headers=APPLY)

    return send


def fields_of(answer):
    return {cause["field"] for cause in answer.json()["details"]["causes"]}


def owners_of_replicas(obj):
    return {
        (entry["manager"], entry.get("subresource", ""))
        for entry in obj["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    }


def test_a_stateful_set_gets_its_defaults(apply):
    answer = apply(STATEFUL_SETS, stateful_set())
    assert answer.status_code == 201, answer.text
    spec = answer.json()["spec"]
    assert (spec["podManagementPolicy"], spec["updateStrategy"]["type"]) == ("OrderedReady", "RollingUpdate")
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert spec["template"]["spec"]["restartPolicy"] == "Always"


@pytest.mark.parametrize(
    ("path", "made"), [(STATEFUL_SETS, stateful_set), (DEPLOYMENTS, deployment)], ids=["stateful", "not"]
)
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"template": {"metadata": {"labels": {"app": "y"}}, "spec": template()["spec"]}},
         "spec.template.metadata.labels"),
        ({"template": template(containers=[{"name": "c"}])}, "spec.template.spec.containers[0].image"),
        (
            {"template": template(
                containers=[{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]
            )},
            "spec.template.spec.containers[0].volumeMounts[0].name",
        ),
        ({"template": template(restartPolicy="Never")}, "spec.template.spec.restartPolicy"),
    ],
    ids=["labels", "image", "mount", "restart"],
)  # fmt: skip
def test_a_template_that_no_pod_can_be_made_of_is_refused(apply, cluster, path, made, changes, field):
    answer = apply(path, made(**changes), dry_run=True)
    if answer.is_success and path == STATEFUL_SETS and _minor_version(cluster) < 34:
        pytest.skip("the cluster looks at the pods of a StatefulSet when it makes them")
    assert answer.status_code == 422, answer.text
    assert field in fields_of(answer)


def _minor_version(cluster):
    return int(cluster.http.get("/version").json()["minor"].rstrip("+"))


def test_a_trial_changes_nothing(apply, cluster, namespace):
    assert apply(STATEFUL_SETS, stateful_set(), dry_run=True).status_code == 201
    assert cluster.http.get(f"{STATEFUL_SETS.format(namespace)}/x").status_code == 404


def test_what_makes_a_stateful_set_one_does_not_change(apply):
    assert apply(STATEFUL_SETS, stateful_set()).is_success
    changed = apply(STATEFUL_SETS, stateful_set(template=template(terminationGracePeriodSeconds=5)))
    assert changed.status_code == 200
    assert changed.json()["metadata"]["generation"] == 2
    refused = apply(STATEFUL_SETS, stateful_set(serviceName="y"))
    assert refused.status_code == 422
    assert "updates to statefulset spec" in refused.json()["message"]


def test_a_deployment_keeps_its_selector(apply):
    assert apply(DEPLOYMENTS, deployment()).status_code == 201
    refused = apply(DEPLOYMENTS, deployment(selector={"matchLabels": {"app": "x", "b": "c"}}))
    assert refused.status_code == 422


@pytest.mark.parametrize(("path", "made"), [(STATEFUL_SETS, stateful_set), (DEPLOYMENTS, deployment)])
def test_scale(apply, cluster, namespace, path, made):
    apply(path, made())
    url = f"{path.format(namespace)}/x/scale"
    assert cluster.http.get(url).json()["spec"].get("replicas", 0) == 0
    assert cluster.http.get(url).json()["status"]["selector"] == "app=x"


def test_who_scales_owns_the_replicas(apply, cluster, namespace):
    created = apply(STATEFUL_SETS, stateful_set()).json()
    assert owners_of_replicas(created) == {("one", "")}
    url = f"{STATEFUL_SETS.format(namespace)}/x"
    body = {"spec": {"replicas": 1}}
    scaled = cluster.http.patch(f"{url}/scale", params={"fieldManager": "two"}, json=body, headers=MERGE)
    assert scaled.is_success, scaled.text
    assert owners_of_replicas(cluster.http.get(url).json()) == {("two", "scale")}
    again = apply(STATEFUL_SETS, stateful_set(replicas=None))
    assert again.json()["spec"]["replicas"] == 1
    assert apply(STATEFUL_SETS, stateful_set(replicas=0)).status_code == 409


def test_endpoints_are_for_whoever_knows_them(apply, cluster, namespace):
    made = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "x", "labels": {"kubernetes.io/service-name": "x"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 80}],
    }
    answer = apply(SLICES, made)
    assert answer.status_code == 201, answer.text
    assert not answer.json().get("endpoints")
    url = f"{SLICES.format(namespace)}/x"
    endpoint = {"addresses": ["10.1.2.3"], "conditions": {"ready": True}}
    written = cluster.http.patch(url, json={"endpoints": [endpoint]}, headers=MERGE)
    assert written.is_success, written.text
    again = apply(SLICES, made).json()
    assert again["endpoints"][0]["addresses"] == ["10.1.2.3"]
    assert again["ports"][0] == {"name": "http", "port": 80, "protocol": "TCP"}
    assert apply(SLICES, {**made, "addressType": "IPv6"}).status_code == 422


def test_budgets_and_claims_are_kept(apply):
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "x"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": LABELS}},
    }
    assert apply(BUDGETS, budget).json()["spec"]["maxUnavailable"] == 1
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "x"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    assert apply(CLAIMS, claim).json()["status"]["phase"] == "Pending"


def test_network_policies_are_kept(apply, one_kubectl):
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "x"},
        "spec": {
            "podSelector": {"matchLabels": LABELS},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [{"podSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}],
                    "ports": [{"port": 9000, "protocol": "TCP"}],
                }
            ],
        },
    }
    assert apply(POLICIES, policy).json()["spec"] == policy["spec"]
    assert "POD-SELECTOR" in one_kubectl("get", "netpol")


def test_kubectl_shows_them(apply, one_kubectl):
    apply(STATEFUL_SETS, stateful_set())
    apply(DEPLOYMENTS, deployment())
    shown = one_kubectl("get", "statefulsets,deployments")
    assert "statefulset.apps/x" in shown
    assert "READY" in shown
    assert "UP-TO-DATE" in shown


@pytest.mark.parametrize("command", ["history", "undo"])
def test_that_no_history_is_kept_is_said(embedded_only, apply, one_kubectl, command):
    apply(STATEFUL_SETS, stateful_set())
    apply(DEPLOYMENTS, deployment())
    refused = one_kubectl.run("rollout", command, "statefulset/x")
    assert refused.code != 0
    assert "no revisions of StatefulSets are kept here" in refused.err
    said = one_kubectl.run("rollout", command, "deployment/x")  # by kubectl itself: there is no ReplicaSet
    assert "no rollout history found" in (said.out + said.err).lower()


def test_a_replica_set(cluster, namespace, apply):
    made = cluster.http.post(REPLICA_SETS.format(namespace), json=replica_set()).json()
    assert made["status"] == {"replicas": 0}
    assert "revisionHistoryLimit" not in made["spec"]
    other = replica_set(
        selector={"matchLabels": {"app": "y"}}, template=template() | {"metadata": {"labels": {"app": "y"}}}
    )
    answer = apply(REPLICA_SETS, other, force=True)
    assert answer.status_code == 422
    assert "spec.selector" in fields_of(answer)
    path = f"{REPLICA_SETS.format(namespace)}/x"
    scaled = cluster.http.patch(f"{path}/scale", json={"spec": {"replicas": 0}}, headers=MERGE)
    assert scaled.json()["spec"].get("replicas", 0) == 0
    cluster.http.delete(path)
