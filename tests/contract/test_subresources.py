"""Scale, status of kinds, discovery and what else has a path of its own."""

from __future__ import annotations

import pytest
from tests.support.cluster import MERGE, MODELS, model


@pytest.fixture
def iris(cluster, namespace):
    path = MODELS.format(namespace)
    assert cluster.http.post(path, json=model(replicas=2)).status_code == 201
    return f"{path}/iris"


def test_scale_shows_replicas(cluster, iris):
    scale = cluster.http.get(f"{iris}/scale").json()
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["metadata"]["name"] == "iris"
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"]["replicas"] == 0
    body = {"status": {"replicas": 1, "selector": "a=b"}}
    cluster.http.patch(f"{iris}/status", json=body, headers=MERGE)
    scale = cluster.http.get(f"{iris}/scale").json()
    assert scale["status"] == {"replicas": 1, "selector": "a=b"}


def test_scale_can_be_replaced_and_patched(cluster, iris):
    scale = cluster.http.get(f"{iris}/scale").json()
    scale["spec"]["replicas"] = 5
    assert cluster.http.put(f"{iris}/scale", json=scale).json()["spec"] == {"replicas": 5}
    found = cluster.http.get(iris).json()
    assert found["spec"]["replicas"] == 5
    assert found["metadata"]["generation"] == 2
    patched = cluster.http.patch(f"{iris}/scale", json={"spec": {"replicas": 0}}, headers=MERGE)
    assert patched.json()["spec"].get("replicas", 0) == 0
    assert cluster.http.get(iris).json()["spec"]["replicas"] == 0


def test_stale_scale_conflicts(cluster, iris):
    scale = cluster.http.get(f"{iris}/scale").json()
    cluster.http.patch(iris, json={"spec": {"modelType": "x"}}, headers=MERGE)
    scale["spec"]["replicas"] = 5
    assert cluster.http.put(f"{iris}/scale", json=scale).status_code == 409


@pytest.mark.parametrize("subresource", ["nothing", "log"])
def test_unknown_subresources(cluster, iris, subresource):
    assert cluster.http.get(f"{iris}/{subresource}").status_code == 404


def test_unknown_resources(cluster, namespace):
    for path in (
        f"/apis/mlops.seldon.io/v1alpha1/namespaces/{namespace}/nothings",
        "/apis/nothing.io/v1/things",
    ):
        assert cluster.http.get(path).status_code == 404


def test_methods_that_a_path_does_not_have(cluster, iris):
    assert cluster.http.post(f"{iris}/status", json=model()).status_code == 405


def test_discovery(cluster):
    assert "v1" in cluster.http.get("/api").json()["versions"]
    groups = {group["name"] for group in cluster.http.get("/apis").json()["groups"]}
    assert {"mlops.seldon.io", "coordination.k8s.io", "rbac.authorization.k8s.io"} <= groups
    listed = cluster.http.get("/apis/mlops.seldon.io/v1alpha1").json()
    entries = {entry["name"]: entry for entry in listed["resources"]}
    assert entries["models"]["kind"] == "Model"
    assert entries["models"]["namespaced"] is True
    assert {"models/status", "models/scale"} <= entries.keys()


def test_aggregated_discovery(cluster):
    form = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    answer = cluster.http.get("/apis", headers={"accept": f"{form},application/json"})
    if answer.json()["kind"] == "APIGroupList" and not cluster.embedded:
        pytest.skip("the cluster is older than aggregated discovery v2")
    item = next(i for i in answer.json()["items"] if i["metadata"]["name"] == "mlops.seldon.io")
    models = next(r for r in item["versions"][0]["resources"] if r["resource"] == "models")
    assert models["scope"] == "Namespaced"
    assert {s["subresource"] for s in models["subresources"]} == {"status", "scale"}


def test_openapi(cluster):
    paths = cluster.http.get("/openapi/v3").json()["paths"]
    url = paths["apis/mlops.seldon.io/v1alpha1"]["serverRelativeURL"]
    schemas = cluster.http.get(url).json()["components"]["schemas"]
    found = [
        schema
        for schema in schemas.values()
        if {"group": "mlops.seldon.io", "version": "v1alpha1", "kind": "Model"}
        in schema.get("x-kubernetes-group-version-kind", [])
    ]
    assert "storageUri" in found[0]["properties"]["spec"]["properties"]


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/healthz"])
def test_health(cluster, path):
    answer = cluster.http.get(path)
    assert (answer.status_code, answer.text) == (200, "ok")


def test_version(cluster):
    version = cluster.http.get("/version").json()
    assert int(version["minor"].rstrip("+")) >= 27
