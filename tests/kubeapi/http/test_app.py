"""The verbs over HTTP, end to end."""

from __future__ import annotations

import json

import pytest

MODELS = "/apis/mlops.seldon.io/v1alpha1/namespaces/{}/models"


def model(name, **spec):
    return {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Model",
        "metadata": {"name": name},
        "spec": {"storageUri": "/models/iris", **spec},
    }


@pytest.fixture
def http(api):
    with api.http() as client:
        yield client


def test_create_get_list_delete(http, namespace):
    path = MODELS.format(namespace)
    created = http.post(path, json=model("iris"))
    assert created.status_code == 201
    meta = created.json()["metadata"]
    assert (meta["name"], meta["namespace"], meta["generation"]) == ("iris", namespace, 1)
    assert meta["uid"]
    assert meta["creationTimestamp"].endswith("Z")
    assert http.get(f"{path}/iris").json() == created.json()
    listed = http.get(path).json()
    assert listed["kind"] == "ModelList"
    assert listed["items"] == [created.json()]
    assert http.delete(f"{path}/iris").json()["status"] == "Success"
    gone = http.get(f"{path}/iris")
    assert gone.status_code == 404
    assert gone.json()["message"] == 'models.mlops.seldon.io "iris" not found'


def test_status_and_spec_are_written_apart(http, namespace):
    path = MODELS.format(namespace) + "/iris"
    http.post(MODELS.format(namespace), json=model("iris") | {"status": {"replicas": 9}})
    merge = {"content-type": "application/merge-patch+json"}
    both = json.dumps({"spec": {"replicas": 2}, "status": {"replicas": 3}})
    changed = http.patch(path, content=both, headers=merge).json()
    assert changed["spec"]["replicas"] == 2
    assert "status" not in changed
    assert changed["metadata"]["generation"] == 2
    after = http.patch(f"{path}/status", content=both.replace("2", "7"), headers=merge).json()
    assert after["status"] == {"replicas": 3}
    assert after["spec"]["replicas"] == 2
    assert after["metadata"]["generation"] == 2


def test_stale_update_conflicts(http, namespace):
    path = MODELS.format(namespace) + "/iris"
    old = http.post(MODELS.format(namespace), json=model("iris")).json()
    newer = {**old, "spec": {**old["spec"], "replicas": 2}}
    assert http.put(path, json=newer).status_code == 200
    refused = http.put(path, json=newer)
    assert refused.status_code == 409
    assert refused.json()["reason"] == "Conflict"


def test_watch_streams_changes_from_a_revision(http, namespace):
    path = MODELS.format(namespace)
    start = http.get(path).json()["metadata"]["resourceVersion"]
    http.post(path, json=model("a"))
    http.delete(f"{path}/a")
    query = {"watch": "true", "resourceVersion": start, "timeoutSeconds": "1"}
    lines = [json.loads(line) for line in http.get(path, params=query).text.splitlines()]
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in lines] == [("ADDED", "a"), ("DELETED", "a")]


def test_no_token_no_answer(api):
    with api.http("wrong") as client:
        refused = client.get("/api/v1/pods")
    assert refused.status_code == 401
    assert refused.json()["reason"] == "Unauthorized"


def test_strangers_may_not_list(api):
    with api.http(api.token("eve")) as client:
        refused = client.get("/api/v1/namespaces/default/secrets")
    assert refused.status_code == 403
    assert refused.json()["message"] == (
        'secrets is forbidden: User "eve" cannot list resource "secrets" in API group "" '
        'in the namespace "default"'
    )


@pytest.mark.parametrize("path", ["/nope", "/api/v2", "/apis/x.io/v1/things", "/api/v1/pods/x"])
def test_paths_that_nobody_serves(http, path):
    refused = http.get(path)
    assert refused.status_code == 404
    assert refused.json()["kind"] == "Status"


def test_a_kind_without_a_verb(http):
    refused = http.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/models.mlops.seldon.io")
    assert (refused.status_code, refused.json()["reason"]) == (405, "MethodNotAllowed")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/version"])
def test_health_needs_no_token(api, path):
    with api.http() as client:
        del client.headers["authorization"]
        assert client.get(path).status_code == 200
        assert client.get("/api").status_code == 401


def test_paths_without_rights(api):
    with api.http(api.token("ann")) as ann:
        refused = ann.get("/metrics")
    assert refused.status_code == 403
    assert refused.json()["message"] == 'forbidden: User "ann" cannot get path "/metrics"'


def test_a_body_that_is_too_large(http, namespace):
    body = json.dumps({"metadata": {"name": "big"}, "data": {"k": "x" * 4_000_000}})
    refused = http.post(f"/api/v1/namespaces/{namespace}/configmaps", content=body)
    assert (refused.status_code, refused.json()["reason"]) == (413, "RequestEntityTooLarge")
