"""Server-side apply: ownership, conflicts, removal, force."""

from __future__ import annotations

import pytest
from tests.support.cluster import APPLY, MERGE, MODELS, model


@pytest.fixture
def apply(cluster, namespace):
    """apply(object, manager, force=…, subresource=…, dry_run=…) -> response"""
    path = MODELS.format(namespace)

    def send(obj, manager="one", *, force=False, subresource="", dry_run=False):
        name = obj["metadata"]["name"] + (f"/{subresource}" if subresource else "")
        query = {"fieldManager": manager, "force": str(force).lower()} | (
            {"dryRun": "All"} if dry_run else {}
        )
        return cluster.http.patch(f"{path}/{name}", params=query, json=obj, headers=APPLY)

    return send


@pytest.fixture
def iris(namespace):
    return f"{MODELS.format(namespace)}/iris"


def owners(obj):
    """{(manager, operation)} of an object."""
    return {(entry["manager"], entry["operation"]) for entry in obj["metadata"]["managedFields"]}


def fields(obj, manager, operation="Apply"):
    """The fieldsV1 of a manager."""
    entries = obj["metadata"]["managedFields"]
    return next(e["fieldsV1"] for e in entries if (e["manager"], e["operation"]) == (manager, operation))


def test_apply_creates(apply):
    answer = apply(model(labels={"a": "1"}))
    assert answer.status_code == 201
    created = answer.json()
    assert created["metadata"]["generation"] == 1
    assert owners(created) == {("one", "Apply")}
    assert fields(created, "one") == {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:storageUri": {}}}


def test_apply_needs_a_field_manager(cluster, iris):
    answer = cluster.http.patch(iris, json=model(), headers=APPLY)
    assert answer.status_code in {400, 422}
    assert "fieldManager" in answer.text


def test_applying_again_changes_nothing(apply):
    first = apply(model(replicas=1)).json()
    again = apply(model(replicas=1))
    assert again.status_code == 200
    assert again.json() == first


def test_two_managers_share_an_object(apply):
    apply(model(replicas=1), "one")
    both = model(labels={"b": "1"})
    del both["spec"]
    merged = apply(both, "two").json()
    assert merged["spec"] == {"storageUri": "gs://bucket/iris", "replicas": 1}
    assert merged["metadata"]["labels"] == {"b": "1"}
    assert owners(merged) == {("one", "Apply"), ("two", "Apply")}


def test_removed_fields_go_away(apply):
    apply(model(labels={"a": "1"}, replicas=1, logger={"percent": 5}))
    after = apply(model()).json()
    assert after["spec"] == {"storageUri": "gs://bucket/iris"}
    assert "labels" not in after["metadata"]


def test_removed_fields_stay_when_somebody_else_has_them(apply):
    apply(model(replicas=1), "one")
    apply(model(replicas=1), "two")
    assert apply(model(), "one").json()["spec"]["replicas"] == 1


def test_conflict_names_manager_and_field(apply):
    apply(model(replicas=1), "one")
    answer = apply(model(replicas=2), "two")
    assert answer.status_code == 409
    status = answer.json()
    assert status["reason"] == "Conflict"
    assert status["message"] == 'Apply failed with 1 conflict: conflict with "one": .spec.replicas'
    assert status["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".spec.replicas"}
    ]


def test_conflict_with_a_plain_update_names_its_version(cluster, apply, iris):
    apply(model(replicas=1), "one")
    query = {"fieldManager": "editor"}
    cluster.http.patch(iris, params=query, json={"spec": {"replicas": 2}}, headers=MERGE)
    message = apply(model(replicas=3), "one").json()["message"]
    assert message == (
        'Apply failed with 1 conflict: conflict with "editor" using mlops.seldon.io/v1alpha1: .spec.replicas'
    )


def test_all_conflicts_are_listed(apply):
    apply(model(replicas=1, modelType="a"), "one")
    message = apply(model(replicas=2, modelType="b"), "two").json()["message"]
    assert (
        message == 'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.modelType\n- .spec.replicas'
    )


def test_force_takes_the_fields(apply):
    apply(model(replicas=1), "one")
    taken = apply(model(replicas=2), "two", force=True).json()
    assert taken["spec"]["replicas"] == 2
    assert "f:replicas" not in fields(taken, "one")["f:spec"]
    assert "f:replicas" in fields(taken, "two")["f:spec"]


def test_lists_without_keys_are_one_field(apply):
    apply(model(requirements=["a", "b"]), "one")
    answer = apply(model(requirements=["a"]), "two")
    assert answer.status_code == 409
    assert answer.json()["details"]["causes"][0]["field"] == ".spec.requirements"


def test_conditions_merge_by_type(apply):
    apply(model())

    def condition(kind, manager):
        body = model() | {"status": {"conditions": [{"type": kind, "status": "True"}]}}
        return apply(body, manager, subresource="status").json()

    condition("Ready", "one")
    after = condition("Scheduled", "two")
    assert {entry["type"] for entry in after["status"]["conditions"]} == {"Ready", "Scheduled"}
    entry = next(e for e in after["metadata"]["managedFields"] if e["manager"] == "two")
    assert entry["subresource"] == "status"


def test_apply_leaves_status_alone(apply):
    apply(model())
    after = apply(model(replicas=2) | {"status": {"replicas": 9}}).json()
    assert "status" not in after


def test_applied_objects_are_validated(apply):
    answer = apply(model(replicas="x"))
    assert answer.status_code in {400, 422, 500}
    assert "spec.replicas" in answer.text


def test_nulls_are_refused_when_they_are_applied(apply):
    """In contrast to a create, which drops them."""
    for _ in range(2):
        answer = apply(model(logger={"percent": None}))
        assert answer.status_code == 422
        assert "spec.logger.percent" in {cause["field"] for cause in answer.json()["details"]["causes"]}
        assert apply(model()).is_success


def test_dry_run_of_apply(cluster, apply, iris):
    assert apply(model(), dry_run=True).status_code == 201
    assert cluster.http.get(iris).status_code == 404


def test_plain_updates_take_ownership(cluster, apply, iris):
    apply(model(replicas=1), "one")
    body = {"spec": {"replicas": 2}}
    after = cluster.http.patch(iris, params={"fieldManager": "editor"}, json=body, headers=MERGE).json()
    assert "f:replicas" not in fields(after, "one")["f:spec"]
    assert fields(after, "editor", "Update") == {"f:spec": {"f:replicas": {}}}


def test_yaml_bodies(cluster, iris):
    text = (
        "apiVersion: mlops.seldon.io/v1alpha1\nkind: Model\nmetadata: {name: iris}\nspec:\n  storageUri: x\n"
    )
    answer = cluster.http.patch(iris, params={"fieldManager": "m"}, content=text.encode(), headers=APPLY)
    assert answer.status_code == 201


def test_keyed_lists_of_built_in_kinds_merge(cluster, namespace):
    path = f"/api/v1/namespaces/{namespace}/services/s"

    def service(*ports):
        spec = {"selector": {"a": "1"}, "ports": list(ports)}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}

    http, grpc = (
        {"name": "http", "port": 80, "protocol": "TCP"},
        {"name": "grpc", "port": 81, "protocol": "TCP"},
    )
    first = cluster.http.patch(path, params={"fieldManager": "one"}, json=service(http), headers=APPLY)
    assert first.status_code == 201, first.text
    after = cluster.http.patch(path, params={"fieldManager": "two"}, json=service(grpc), headers=APPLY).json()
    assert {port["name"] for port in after["spec"]["ports"]} == {"http", "grpc"}
    after = cluster.http.patch(path, params={"fieldManager": "one"}, json=service(grpc), headers=APPLY).json()
    assert [port["name"] for port in after["spec"]["ports"]] == ["grpc"]
