"""kubectl, unmodified: what people type to look at things."""

from __future__ import annotations

import json

import pytest
from tests.support.cluster import MERGE, MODELS, model
from tests.support.waiting import until_blocking as eventually

READY = [
    {"type": "Ready", "status": "True", "reason": "ModelReady", "message": "serving"},
    {"type": "ModelReady", "status": "True"},
]


@pytest.fixture
def models(cluster, namespace):
    path = MODELS.format(namespace)
    for name, labels in (("iris", {"tier": "gold"}), ("wine", {"tier": "silver"})):
        assert cluster.http.post(path, json=model(name, labels=labels, replicas=2)).status_code == 201
    status = {"status": {"conditions": READY, "replicas": 2, "availableReplicas": 1}}
    assert cluster.http.patch(f"{path}/iris/status", json=status, headers=MERGE).status_code == 200
    return path


def columns(text):
    """The printed table as one dictionary per line, by the positions of the headings."""
    head, *lines = text.splitlines()
    starts = [0] + [i for i in range(2, len(head)) if head[i - 2 : i] == "  " and head[i] != " "]
    spans = list(zip(starts, [*starts[1:], None], strict=True))
    return [{head[a:b].strip(): line[a:b].strip() for a, b in spans} for line in lines]


def test_get_prints_the_declared_columns(kubectl, models):
    iris, wine = columns(kubectl("get", "models"))
    assert iris["NAME"] == "iris"
    assert iris["READY"] == "True"
    assert iris["DESIRED REPLICAS"] == "2"
    assert iris["AVAILABLE REPLICAS"] == "1"
    assert iris["AGE"].endswith("s")
    assert wine["READY"] == ""


def test_get_wide_prints_more(kubectl, models):
    plain, wide = (columns(kubectl("get", "model", "iris", *more))[0] for more in ((), ("-o", "wide")))
    assert wide.keys() > plain.keys()
    assert wide["REASON"] == "ModelReady"
    assert wide["MESSAGE"] == "serving"


def test_get_of_all_namespaces(kubectl, models):
    rows = columns(kubectl("get", "models", "-A"))
    assert {"iris", "wine"} <= {row["NAME"] for row in rows if row["NAMESPACE"] == kubectl.namespace}


@pytest.mark.parametrize(
    "name", ["model", "models", "mlm", "models.mlops.seldon.io", "models.v1alpha1.mlops.seldon.io"]
)
def test_every_name_of_a_resource(one_kubectl, models, name):
    assert one_kubectl("get", name, "-o", "name").split() == [
        "model.mlops.seldon.io/iris",
        "model.mlops.seldon.io/wine",
    ]


def test_output_formats(kubectl, models):
    found = json.loads(kubectl("get", "model", "iris", "-o", "json"))
    assert found["spec"]["replicas"] == 2
    assert "managedFields" not in found["metadata"]
    assert "storageUri: gs://bucket/iris" in kubectl("get", "model", "iris", "-o", "yaml")
    assert kubectl("get", "models", "-o", "jsonpath={.items[*].metadata.name}") == "iris wine"
    ready = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    assert kubectl("get", "model", "iris", "-o", ready) == "True"
    assert kubectl("get", "models", "--no-headers", "-o", "custom-columns=N:.metadata.name").split() == [
        "iris",
        "wine",
    ]
    listed = json.loads(kubectl("get", "models", "-o", "json"))
    assert listed["kind"] == "List"


def test_selectors(kubectl, models):
    def names(*arguments):
        return kubectl("get", "models", "-o", "jsonpath={.items[*].metadata.name}", *arguments).split()

    assert names("-l", "tier=gold") == ["iris"]
    assert names("-l", "tier in (gold,silver)") == ["iris", "wine"]
    assert names("-l", "tier notin (gold)") == ["wine"]
    assert names("--field-selector", "metadata.name=wine") == ["wine"]
    assert kubectl.run("get", "models", "-l", "tier=bronze").err.startswith("No resources found in")


def test_sorting_and_label_columns(one_kubectl, models):
    rows = columns(one_kubectl("get", "models", "-L", "tier", "--sort-by", ".metadata.labels.tier"))
    assert [row["TIER"] for row in rows] == ["gold", "silver"]
    assert "tier=gold" in one_kubectl("get", "models", "--show-labels")


def test_missing_objects_and_kinds(kubectl, models):
    assert kubectl.fails("get", "model", "nope").strip() == (
        'Error from server (NotFound): models.mlops.seldon.io "nope" not found'
    )
    assert 'the server doesn\'t have a resource type "nothings"' in kubectl.fails("get", "nothings")


def test_watching(kubectl, cluster, models):
    with kubectl.streaming("get", "models", "-w", "--no-headers") as process:
        lines = (process.stdout.readline().split() for _ in iter(int, 1))
        assert [next(lines)[0], next(lines)[0]] == ["iris", "wine"]
        cluster.http.patch(f"{models}/wine", json={"spec": {"replicas": 7}}, headers=MERGE)
        assert next(lines)[:2] == ["wine", "7"]


def test_watching_with_events(one_kubectl, cluster, models):
    with one_kubectl.streaming("get", "models", "-w", "--output-watch-events", "--no-headers") as process:
        lines = (process.stdout.readline().split() for _ in iter(int, 1))
        assert {next(lines)[0], next(lines)[0]} == {"ADDED"}
        cluster.http.delete(f"{models}/wine")
        assert next(lines)[:2] == ["DELETED", "wine"]


def test_describe(kubectl, cluster, models):
    found = cluster.http.get(f"{models}/iris").json()
    about = {
        "apiVersion": found["apiVersion"],
        "kind": "Model",
        "name": "iris",
        "uid": found["metadata"]["uid"],
    }
    event = {
        "metadata": {"name": "iris.1", "namespace": kubectl.namespace},
        "involvedObject": about | {"namespace": kubectl.namespace},
        "reason": "Placed",
        "message": "on mlserver-0",
        "type": "Normal",
        "source": {"component": "bailie-scheduler"},
        "firstTimestamp": found["metadata"]["creationTimestamp"],
        "lastTimestamp": found["metadata"]["creationTimestamp"],
        "count": 1,
    }
    answer = cluster.http.post(f"/api/v1/namespaces/{kubectl.namespace}/events", json=event)
    assert answer.status_code == 201, answer.text
    text = kubectl("describe", "model", "iris")
    assert "Name:         iris" in text
    assert "Storage Uri:  gs://bucket/iris" in text
    assert "Placed" in text
    assert "on mlserver-0" in text
    assert "tier=silver" in kubectl("describe", "models", "-l", "tier=silver")


def test_events(kubectl, cluster, namespace):
    base = {"involvedObject": {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "namespace": namespace}}
    for name, kind in (("a", "Normal"), ("b", "Warning")):
        event = base | {
            "metadata": {"name": name},
            "type": kind,
            "reason": "Tested",
            "message": f"message {name}",
        }
        event |= {"lastTimestamp": "2026-01-01T00:00:00Z", "firstTimestamp": "2026-01-01T00:00:00Z"}
        cluster.http.post(f"/api/v1/namespaces/{namespace}/events", json=event)
    text = kubectl("events")
    assert "message a" in text
    assert "configmap/c" in text.lower()
    assert "message a" not in kubectl("events", "--types=Warning")
    rows = columns(kubectl("get", "events"))
    assert {(row["TYPE"], row["OBJECT"], row["MESSAGE"]) for row in rows} == {
        ("Normal", "configmap/c", "message a"),
        ("Warning", "configmap/c", "message b"),
    }
    assert "message b" in kubectl("events", "--for", "configmap/c")


def test_explain(kubectl):
    text = kubectl("explain", "model.spec")
    assert "GROUP:      mlops.seldon.io" in text
    assert "storageUri\t<string> -required-" in text
    assert "FIELD: storageUri <string>" in kubectl("explain", "mlm.spec.storageUri")
    assert "creationTimestamp" in kubectl("explain", "model.metadata")
    assert "containers" in kubectl("explain", "pod", "--recursive")
    assert "FIELD: loadBalancerClass <string>" in kubectl("explain", "service.spec.loadBalancerClass")
    fields = kubectl("explain", "pod.spec", "--recursive")
    assert all(f"  {name}\t" in fields for name in ("affinity", "hostAliases", "overhead", "schedulingGates"))
    assert 'field "nope" does not exist' in kubectl.fails("explain", "model.spec.nope")


def test_api_resources_and_versions(kubectl):
    rows = {row["NAME"]: row for row in columns(kubectl("api-resources"))}
    assert rows["models"]["SHORTNAMES"] == "mlm"
    assert rows["models"]["APIVERSION"] == "mlops.seldon.io/v1alpha1"
    assert rows["models"]["NAMESPACED"] == "true"
    assert rows["pods"]["KIND"] == "Pod"
    assert "models" in kubectl(
        "api-resources", "--api-group=mlops.seldon.io", "--verbs=list,watch", "-o", "name"
    )
    assert "mlops.seldon.io/v1alpha1" in kubectl("api-versions").split()


def test_built_in_kinds_have_their_columns(kubectl):
    kubectl("create", "configmap", "c", "--from-literal=a=1")
    kubectl("create", "secret", "generic", "s", "--from-literal=a=1")
    kubectl("create", "service", "clusterip", "svc", "--tcp=80:8080")
    assert columns(kubectl("get", "configmap", "c"))[0]["DATA"] == "1"
    assert columns(kubectl("get", "secret", "s"))[0]["TYPE"] == "Opaque"
    assert columns(kubectl("get", "service", "svc"))[0]["PORT(S)"] == "80/TCP"
    assert columns(kubectl("get", "namespace", kubectl.namespace))[0]["STATUS"] == "Active"
    assert columns(kubectl("get", "serviceaccounts"))[0]["NAME"] == "default"
    assert "CREATED AT" in kubectl("get", "crd", "models.mlops.seldon.io")
    assert "configmap/c" in kubectl("get", "configmaps,secrets")


def test_cluster_level_commands(kubectl):
    assert "is running at" in kubectl("cluster-info")
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert "Server Version" in kubectl("version")


def test_bad_selectors(one_kubectl, models):
    assert "field label not supported" in one_kubectl.fails(
        "get", "models", "--field-selector", "spec.replicas=1"
    )
    assert one_kubectl.run("get", "models", "-l", "a=b=c").code != 0


def test_waiting_for_a_condition(kubectl, cluster, models):
    assert "condition met" in kubectl("wait", "--for=condition=Ready", "model/iris", "--timeout=30s")
    assert "timed out" in kubectl.fails("wait", "--for=condition=Ready", "model/wine", "--timeout=1s")
    with kubectl.streaming("wait", "--for=condition=Ready", "model/wine", "--timeout=30s") as process:
        cluster.http.patch(f"{models}/wine/status", json={"status": {"conditions": READY}}, headers=MERGE)
        assert process.wait(60) == 0
    value = "--for=jsonpath={.status.availableReplicas}=1"
    assert "condition met" in kubectl("wait", value, "model/iris", "--timeout=30s")


def test_waiting_for_deletion(kubectl, cluster, models):
    with kubectl.streaming("wait", "--for=delete", "model/iris", "--timeout=30s") as process:
        cluster.http.delete(f"{models}/iris")
        assert process.wait(60) == 0
    eventually(lambda: kubectl.run("get", "model", "iris").code != 0)
