"""Lists: selectors, pages, all namespaces, Tables."""

from __future__ import annotations

import pytest
from tests.support.cluster import CONFIG_MAPS, MODELS, TABLE, config_map, model

EVERY_MODEL = "/apis/mlops.seldon.io/v1alpha1/models"


@pytest.fixture
def models(cluster, namespace):
    path = MODELS.format(namespace)
    for name, labels in (("a", {"tier": "gold"}), ("b", {"tier": "silver", "canary": "yes"}), ("c", None)):
        assert cluster.http.post(path, json=model(name, labels=labels)).status_code == 201
    return path


def names(cluster, path, **query):
    answer = cluster.http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return [item["metadata"]["name"] for item in answer.json()["items"]]


def test_a_list_says_its_kind_and_revision(cluster, models):
    listed = cluster.http.get(models).json()
    assert listed["kind"] == "ModelList"
    assert listed["apiVersion"] == "mlops.seldon.io/v1alpha1"
    assert int(listed["metadata"]["resourceVersion"]) > 0
    assert [item["metadata"]["name"] for item in listed["items"]] == ["a", "b", "c"]


def test_an_empty_list_is_a_list(cluster, namespace):
    listed = cluster.http.get(MODELS.format(namespace)).json()
    assert listed["items"] == []


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("tier=gold", ["a"]),
        ("tier==gold", ["a"]),
        ("tier!=gold", ["b", "c"]),
        ("tier", ["a", "b"]),
        ("!tier", ["c"]),
        ("tier in (gold,silver)", ["a", "b"]),
        ("tier notin (gold)", ["b", "c"]),
        ("tier=silver,canary", ["b"]),
        ("tier=bronze", []),
    ],
)
def test_label_selectors(cluster, models, selector, found):
    assert names(cluster, models, labelSelector=selector) == found


def test_field_selectors(cluster, models, namespace):
    assert names(cluster, models, fieldSelector="metadata.name=b") == ["b"]
    assert names(cluster, models, fieldSelector="metadata.name!=b") == ["a", "c"]
    assert names(cluster, EVERY_MODEL, fieldSelector=f"metadata.namespace={namespace}") == ["a", "b", "c"]
    assert names(cluster, models, fieldSelector="metadata.name=b", labelSelector="tier=gold") == []


@pytest.mark.parametrize(
    "query", [{"labelSelector": "a=b=c"}, {"labelSelector": "a in b"}, {"fieldSelector": "x"}]
)
def test_selectors_that_cannot_be_read(cluster, models, query):
    answer = cluster.http.get(models, params=query)
    assert answer.status_code == 400
    assert answer.json()["reason"] == "BadRequest"


def test_fields_that_are_no_selectors(cluster, models):
    answer = cluster.http.get(models, params={"fieldSelector": "spec.replicas=1"})
    assert answer.status_code == 400
    assert "field label not supported: spec.replicas" in answer.json()["message"]


def test_pages(cluster, models):
    first = cluster.http.get(models, params={"limit": 2}).json()
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 1
    token = first["metadata"]["continue"]
    second = cluster.http.get(models, params={"limit": 2, "continue": token}).json()
    assert [item["metadata"]["name"] for item in second["items"]] == ["c"]
    assert not second["metadata"].get("continue")
    assert cluster.http.get(models, params={"limit": 2, "continue": "nonsense"}).status_code == 400


def test_all_pages_are_of_the_revision_of_the_first(cluster, models):
    """A watch from there misses nothing, also where an object changes after its page was read."""
    first = cluster.http.get(models, params={"limit": 2}).json()["metadata"]
    headers = {"content-type": "application/merge-patch+json"}
    cluster.http.patch(f"{models}/a", json={"metadata": {"labels": {"x": "y"}}}, headers=headers)
    last = cluster.http.get(models, params={"limit": 2, "continue": first["continue"]}).json()["metadata"]
    assert last["resourceVersion"] == first["resourceVersion"]


def test_all_namespaces(cluster, new_namespace):
    one, two = new_namespace(), new_namespace()
    for namespace in (one, two):
        cluster.http.post(MODELS.format(namespace), json=model(labels={"test": one}))
    listed = cluster.http.get(EVERY_MODEL, params={"labelSelector": f"test={one}"}).json()
    assert {item["metadata"]["namespace"] for item in listed["items"]} == {one, two}


def test_tables_have_the_declared_columns(cluster, models):
    table = cluster.http.get(models, headers=TABLE).json()
    assert table["kind"] == "Table"
    assert table["apiVersion"] == "meta.k8s.io/v1"
    columns = [column["name"] for column in table["columnDefinitions"]]
    assert columns[:2] == ["Name", "Ready"]
    assert "Age" in columns
    row = table["rows"][0]
    assert row["cells"][0] == "a"
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["name"] == "a"


@pytest.mark.parametrize(
    ("include", "kind"), [("Object", "Model"), ("None", None), ("Metadata", "PartialObjectMetadata")]
)
def test_tables_carry_what_is_asked(cluster, models, include, kind):
    table = cluster.http.get(f"{models}/a", headers=TABLE, params={"includeObject": include}).json()
    (row,) = table["rows"]
    assert (row.get("object") or {}).get("kind") == kind


def test_metadata_only(cluster, models):
    form = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    listed = cluster.http.get(models, headers={"accept": form}).json()
    assert listed["kind"] == "PartialObjectMetadataList"
    assert [item["metadata"]["name"] for item in listed["items"]] == ["a", "b", "c"]
    assert all("spec" not in item for item in listed["items"])


def test_selecting_built_in_kinds(cluster, namespace):
    path = CONFIG_MAPS.format(namespace)
    cluster.http.post(path, json=config_map("mine", labels={"test": namespace}))
    assert names(cluster, path, labelSelector=f"test={namespace}") == ["mine"]
