"""Deletion: finalizers, preconditions, owners, namespaces."""

from __future__ import annotations

import pytest
from tests.support.cluster import CONFIG_MAPS, MERGE, MODELS, config_map, model
from tests.support.waiting import until_blocking as eventually


@pytest.fixture
def models(namespace):
    return MODELS.format(namespace)


@pytest.fixture
def config_maps(namespace):
    return CONFIG_MAPS.format(namespace)


def gone(cluster, path):
    return eventually(lambda: cluster.http.get(path).status_code == 404, what=f"{path} gone")


def test_delete_answers_success(cluster, models):
    created = cluster.http.post(models, json=model()).json()
    answer = cluster.http.delete(f"{models}/iris")
    assert answer.status_code == 200
    status = answer.json()
    assert (status["kind"], status["status"]) == ("Status", "Success")
    assert status["details"]["uid"] == created["metadata"]["uid"]
    assert cluster.http.get(f"{models}/iris").status_code == 404


def test_finalizers_hold_an_object(cluster, models):
    sent = model()
    sent["metadata"]["finalizers"] = ["bailie.io/test"]
    created = cluster.http.post(models, json=sent).json()
    held = cluster.http.delete(f"{models}/iris").json()
    assert held["metadata"]["deletionTimestamp"]
    assert held["metadata"]["deletionGracePeriodSeconds"] == 0
    assert held["metadata"]["generation"] == created["metadata"]["generation"] + 1
    assert cluster.http.get(f"{models}/iris").status_code == 200
    again = cluster.http.delete(f"{models}/iris").json()
    assert again["metadata"]["deletionTimestamp"] == held["metadata"]["deletionTimestamp"]
    cluster.http.patch(f"{models}/iris", json={"metadata": {"finalizers": None}}, headers=MERGE)
    assert cluster.http.get(f"{models}/iris").status_code == 404


def test_no_finalizer_can_be_added_on_the_way_out(cluster, models):
    sent = model()
    sent["metadata"]["finalizers"] = ["bailie.io/test"]
    cluster.http.post(models, json=sent)
    cluster.http.delete(f"{models}/iris")
    body = {"metadata": {"finalizers": ["bailie.io/test", "bailie.io/more"]}}
    answer = cluster.http.patch(f"{models}/iris", json=body, headers=MERGE)
    assert answer.status_code == 422
    cluster.http.patch(f"{models}/iris", json={"metadata": {"finalizers": None}}, headers=MERGE)


def test_the_deletion_mark_cannot_be_taken_back(cluster, models):
    sent = model()
    sent["metadata"]["finalizers"] = ["bailie.io/test"]
    cluster.http.post(models, json=sent)
    cluster.http.delete(f"{models}/iris")
    body = {"metadata": {"deletionTimestamp": None}, "spec": {"replicas": 1}}
    after = cluster.http.patch(f"{models}/iris", json=body, headers=MERGE).json()
    assert after["metadata"]["deletionTimestamp"]
    cluster.http.patch(f"{models}/iris", json={"metadata": {"finalizers": None}}, headers=MERGE)


def test_preconditions(cluster, models):
    created = cluster.http.post(models, json=model()).json()
    for wrong in ({"uid": "other"}, {"resourceVersion": "1"}):
        answer = cluster.http.request("DELETE", f"{models}/iris", json={"preconditions": wrong})
        assert answer.status_code == 409
        assert answer.json()["reason"] == "Conflict"
    right = {"uid": created["metadata"]["uid"], "resourceVersion": created["metadata"]["resourceVersion"]}
    assert cluster.http.request("DELETE", f"{models}/iris", json={"preconditions": right}).status_code == 200


def test_delete_collection(cluster, models):
    for name, tier in (("a", "gold"), ("b", "gold"), ("c", "silver")):
        cluster.http.post(models, json=model(name, labels={"tier": tier}))
    assert cluster.http.delete(models, params={"labelSelector": "tier=gold"}).status_code == 200
    listed = cluster.http.get(models).json()
    assert [item["metadata"]["name"] for item in listed["items"]] == ["c"]


# --- owners -------------------------------------------------------------------------------------------------


def owner_of(created, **more):
    meta = created["metadata"]
    identity = {
        "apiVersion": created["apiVersion"],
        "kind": created["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
    }
    return identity | more


@pytest.fixture
def family(cluster, models, config_maps):
    """A Model, a ConfigMap that it owns, and one that the first ConfigMap owns."""
    parent = cluster.http.post(models, json=model()).json()
    owner = owner_of(parent, controller=True, blockOwnerDeletion=True)
    child = cluster.http.post(config_maps, json=config_map("child", ownerReferences=[owner])).json()
    child |= {"apiVersion": "v1", "kind": "ConfigMap"}
    cluster.http.post(config_maps, json=config_map("grandchild", ownerReferences=[owner_of(child)]))
    return f"{models}/iris", f"{config_maps}/child", f"{config_maps}/grandchild"


@pytest.mark.usefixtures("controllers")
def test_background_deletion(cluster, family):
    parent, child, grandchild = family
    cluster.http.request("DELETE", parent, json={"propagationPolicy": "Background"})
    assert cluster.http.get(parent).status_code == 404
    gone(cluster, child)
    gone(cluster, grandchild)


@pytest.mark.usefixtures("controllers")
def test_background_is_the_default(cluster, family):
    parent, child, _ = family
    cluster.http.delete(parent)
    assert cluster.http.get(parent).status_code == 404
    gone(cluster, child)


@pytest.mark.usefixtures("controllers")
def test_foreground_deletion_waits_for_the_dependents(cluster, family):
    parent, child, _ = family
    held = {"metadata": {"finalizers": ["bailie.io/test"]}}
    cluster.http.patch(child, json=held, headers=MERGE)
    marked = cluster.http.request("DELETE", parent, json={"propagationPolicy": "Foreground"}).json()
    assert "foregroundDeletion" in marked["metadata"]["finalizers"]
    eventually(
        lambda: cluster.http.get(child).json()["metadata"].get("deletionTimestamp"), what="the child marked"
    )
    assert cluster.http.get(parent).status_code == 200
    cluster.http.patch(child, json={"metadata": {"finalizers": None}}, headers=MERGE)
    gone(cluster, child)
    gone(cluster, parent)


@pytest.mark.usefixtures("controllers")
def test_orphans_stay_without_their_owner(cluster, family):
    parent, child, grandchild = family
    cluster.http.request("DELETE", parent, json={"propagationPolicy": "Orphan"})
    gone(cluster, parent)
    orphan = cluster.http.get(child).json()
    assert not orphan["metadata"].get("ownerReferences")
    assert cluster.http.get(grandchild).status_code == 200


@pytest.mark.usefixtures("controllers")
def test_two_owners_keep_a_dependent(cluster, models, config_maps):
    first, second = (cluster.http.post(models, json=model(name)).json() for name in ("a", "b"))
    owners = [owner_of(first), owner_of(second)]
    cluster.http.post(config_maps, json=config_map("child", ownerReferences=owners))
    cluster.http.delete(f"{models}/a")
    left = eventually(
        lambda: (
            [
                o["name"]
                for o in cluster.http.get(f"{config_maps}/child").json()["metadata"]["ownerReferences"]
            ]
            == ["b"]
        ),
        what="one owner left",
    )
    assert left
    cluster.http.delete(f"{models}/b")
    gone(cluster, f"{config_maps}/child")


@pytest.mark.usefixtures("controllers")
def test_a_dependent_of_nobody_goes(cluster, models, config_maps):
    parent = cluster.http.post(models, json=model()).json()
    cluster.http.delete(f"{models}/iris")
    cluster.http.post(config_maps, json=config_map("late", ownerReferences=[owner_of(parent)]))
    gone(cluster, f"{config_maps}/late")


# --- namespaces ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("controllers")
def test_deleting_a_namespace_deletes_what_is_in_it(cluster, namespace, models, config_maps):
    cluster.http.post(models, json=model())
    cluster.http.post(config_maps, json=config_map())
    answer = cluster.http.delete(f"/api/v1/namespaces/{namespace}")
    assert answer.status_code == 200
    gone(cluster, f"/api/v1/namespaces/{namespace}")
    assert cluster.http.get(models).json()["items"] == []
    assert cluster.http.get(config_maps).json()["items"] == []


def test_a_namespace_on_its_way_out_takes_nothing_new(cluster, namespace, models):
    sent = model()
    sent["metadata"]["finalizers"] = ["bailie.io/test"]
    cluster.http.post(models, json=sent)
    cluster.http.delete(f"/api/v1/namespaces/{namespace}")
    found = cluster.http.get(f"/api/v1/namespaces/{namespace}").json()
    assert found["status"]["phase"] == "Terminating"
    answer = cluster.http.post(models, json=model("late"))
    assert answer.status_code == 403
    assert "because it is being terminated" in answer.json()["message"]
    assert answer.json()["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    eventually(
        lambda: cluster.http.get(f"{models}/iris").json()["metadata"].get("deletionTimestamp"), what="marked"
    )
    cluster.http.patch(f"{models}/iris", json={"metadata": {"finalizers": None}}, headers=MERGE)
    gone(cluster, f"/api/v1/namespaces/{namespace}")
