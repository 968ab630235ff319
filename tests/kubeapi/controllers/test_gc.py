"""Owner references: background, foreground and orphan deletion."""

from __future__ import annotations

import pytest
from tests.support.waiting import until_blocking as until

CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"


@pytest.fixture
def http(api):
    with api.http() as client:
        yield client


@pytest.fixture
def family(http, namespace):
    """An owner with one dependent; gives the collection's path."""
    path = CONFIG_MAPS.format(namespace)
    owner = http.post(path, json={"metadata": {"name": "owner"}}).json()["metadata"]
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": owner["uid"],
        "blockOwnerDeletion": True,
    }
    child = {"metadata": {"name": "child", "ownerReferences": [reference]}}
    assert http.post(path, json=child).status_code == 201
    return path


def names(http, path):
    return {item["metadata"]["name"] for item in http.get(path).json()["items"]}


def test_background_deletes_dependents_afterwards(http, family):
    http.delete(f"{family}/owner")
    until(lambda: names(http, family) == set())


def test_foreground_keeps_the_owner_until_dependents_are_gone(http, family):
    merge = {"content-type": "application/merge-patch+json"}
    held = {"metadata": {"finalizers": ["test.io/hold"]}}
    http.patch(f"{family}/child", json=held, headers=merge)
    answer = http.delete(f"{family}/owner", params={"propagationPolicy": "Foreground"}).json()
    assert answer["metadata"]["finalizers"] == ["foregroundDeletion"]
    until(lambda: "deletionTimestamp" in http.get(f"{family}/child").json()["metadata"])
    assert names(http, family) == {"owner", "child"}
    http.patch(f"{family}/child", json={"metadata": {"finalizers": None}}, headers=merge)
    until(lambda: names(http, family) == set())


def test_orphan_leaves_dependents_without_the_reference(http, family):
    http.delete(f"{family}/owner", params={"propagationPolicy": "Orphan"})
    until(lambda: names(http, family) == {"child"})
    assert "ownerReferences" not in http.get(f"{family}/child").json()["metadata"]


def test_a_dependent_of_a_missing_owner_goes(http, namespace):
    path = CONFIG_MAPS.format(namespace)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "never", "uid": "no-such-uid"}
    http.post(path, json={"metadata": {"name": "lost", "ownerReferences": [reference]}})
    until(lambda: names(http, path) == set())


def test_owners_of_kinds_served_elsewhere_are_taken_to_exist(http, namespace):
    path = CONFIG_MAPS.format(namespace)
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "elsewhere"}
    http.post(path, json={"metadata": {"name": "kept", "ownerReferences": [reference]}})
    http.post(path, json={"metadata": {"name": "owner"}})
    http.delete(f"{path}/owner")
    assert names(http, path) == {"kept"}
