"""PATCH: merge, JSON, strategic merge."""

from __future__ import annotations

import pytest
from tests.support.cluster import CONFIG_MAPS, JSON_PATCH, MERGE, MODELS, STRATEGIC, config_map, model


@pytest.fixture
def iris(cluster, namespace):
    path = f"{MODELS.format(namespace)}/iris"
    body = model(labels={"a": "1"}, replicas=1, requirements=["sklearn", "numpy"], logger={"percent": 5})
    assert cluster.http.post(path.removesuffix("/iris"), json=body).status_code == 201
    return path


def test_merge_patch(cluster, iris):
    body = {
        "metadata": {"labels": {"a": None, "b": "2"}},
        "spec": {"replicas": 3, "requirements": ["xgboost"], "logger": None},
    }
    patched = cluster.http.patch(iris, json=body, headers=MERGE).json()
    assert patched["metadata"]["labels"] == {"b": "2"}
    assert patched["spec"] == {"storageUri": "gs://bucket/iris", "replicas": 3, "requirements": ["xgboost"]}


def test_merge_patch_is_validated(cluster, iris):
    answer = cluster.http.patch(iris, json={"spec": {"replicas": "x"}}, headers=MERGE)
    assert answer.status_code == 422
    answer = cluster.http.patch(iris, json={"spec": {"storageUri": None}}, headers=MERGE)
    assert answer.status_code == 422
    assert answer.json()["details"]["causes"][0]["field"] == "spec.storageUri"


def test_patch_with_a_stale_revision_conflicts(cluster, iris):
    body = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 2}}
    assert cluster.http.patch(iris, json=body, headers=MERGE).status_code == 409


@pytest.mark.parametrize(
    ("operations", "spec"),
    [
        ([{"op": "replace", "path": "/spec/replicas", "value": 3}], {"replicas": 3}),
        (
            [{"op": "add", "path": "/spec/requirements/-", "value": "x"}],
            {"requirements": ["sklearn", "numpy", "x"]},
        ),
        (
            [{"op": "add", "path": "/spec/requirements/0", "value": "x"}],
            {"requirements": ["x", "sklearn", "numpy"]},
        ),
        ([{"op": "remove", "path": "/spec/requirements/0"}], {"requirements": ["numpy"]}),
        (
            [{"op": "move", "from": "/spec/requirements/0", "path": "/spec/requirements/1"}],
            {"requirements": ["numpy", "sklearn"]},
        ),
        ([{"op": "copy", "from": "/spec/replicas", "path": "/spec/minReplicas"}], {"minReplicas": 1}),
        (
            [
                {"op": "test", "path": "/spec/replicas", "value": 1},
                {"op": "add", "path": "/spec/modelType", "value": "m"},
            ],
            {"modelType": "m"},
        ),
    ],
)
def test_json_patch(cluster, iris, operations, spec):
    answer = cluster.http.patch(iris, json=operations, headers=JSON_PATCH)
    assert answer.status_code == 200, answer.text
    assert answer.json()["spec"].items() >= spec.items()


def test_json_patch_with_escaped_keys(cluster, iris):
    operations = [{"op": "add", "path": "/metadata/annotations", "value": {}}]
    operations += [{"op": "add", "path": "/metadata/annotations/x.y~1z", "value": "1"}]
    patched = cluster.http.patch(iris, json=operations, headers=JSON_PATCH).json()
    assert patched["metadata"]["annotations"] == {"x.y/z": "1"}


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "test", "path": "/spec/replicas", "value": 9}],
        [{"op": "remove", "path": "/spec/nothing"}],
        [{"op": "replace", "path": "/spec/no/where", "value": 1}],
        [{"op": "remove", "path": "/spec/requirements/7"}],
    ],
)
def test_json_patches_that_do_not_fit_change_nothing(cluster, iris, operations):
    before = cluster.http.get(iris).json()
    answer = cluster.http.patch(iris, json=operations, headers=JSON_PATCH)
    assert answer.status_code == 422
    assert answer.json()["reason"] == "Invalid"
    assert cluster.http.get(iris).json() == before


def test_malformed_patches(cluster, iris):
    assert cluster.http.patch(iris, json={"op": "add"}, headers=JSON_PATCH).status_code == 400
    assert cluster.http.patch(iris, content=b"{", headers=MERGE).status_code == 400


def test_custom_resources_have_no_strategic_merge(cluster, iris):
    answer = cluster.http.patch(iris, json={"spec": {"replicas": 2}}, headers=STRATEGIC)
    assert answer.status_code == 415
    assert answer.json()["reason"] == "UnsupportedMediaType"


def test_unknown_patch_types(cluster, iris):
    answer = cluster.http.patch(iris, json={}, headers={"content-type": "application/json"})
    assert answer.status_code == 415


def test_strategic_merge_of_maps(cluster, namespace):
    path = CONFIG_MAPS.format(namespace)
    cluster.http.post(path, json=config_map(labels={"a": "1"}))
    body = {"metadata": {"labels": {"b": "2"}}, "data": {"a": None, "c": "3"}}
    patched = cluster.http.patch(f"{path}/settings", json=body, headers=STRATEGIC).json()
    assert patched["metadata"]["labels"] == {"a": "1", "b": "2"}
    assert patched["data"] == {"c": "3"}


def test_strategic_merge_of_keyed_lists(cluster, namespace):
    path = f"/api/v1/namespaces/{namespace}/services"
    ports = [{"name": "http", "port": 80}, {"name": "grpc", "port": 81}]
    body = {"metadata": {"name": "s"}, "spec": {"selector": {"a": "1"}, "ports": ports}}
    assert cluster.http.post(path, json=body).status_code == 201
    change = {"spec": {"ports": [{"port": 81, "targetPort": 9000}, {"port": 80, "$patch": "delete"}]}}
    patched = cluster.http.patch(f"{path}/s", json=change, headers=STRATEGIC).json()
    (port,) = patched["spec"]["ports"]
    assert (port["name"], port["port"], port["targetPort"]) == ("grpc", 81, 9000)
