"""Watches: what they show, where they resume, how they end."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
from tests.support.api import running_api
from tests.support.cluster import MERGE, MODELS, TABLE, Cluster, model


@pytest.fixture
def models(namespace):
    return MODELS.format(namespace)


@contextmanager
def watching(client, path, *, headers=None, **query):
    """Iterator of (type, object); the watch ends after 10 s at the latest."""
    query = {"watch": "true", "timeoutSeconds": 10} | query
    with client.stream("GET", path, params=query, headers=headers or {}) as response:
        assert response.status_code == 200, response.read()
        yield (
            (event["type"], event["object"])
            for event in (json.loads(line) for line in response.iter_lines() if line)
        )


def take(events, count):
    return [(kind, obj["metadata"]["name"]) for kind, obj in (next(events) for _ in range(count))]


def revision(cluster, path):
    return cluster.http.get(path).json()["metadata"]["resourceVersion"]


def test_changes_since_a_list(cluster, models):
    cluster.http.post(models, json=model("before"))
    with watching(cluster.http, models, resourceVersion=revision(cluster, models)) as events:
        cluster.http.post(models, json=model("a"))
        cluster.http.patch(f"{models}/a", json={"spec": {"replicas": 2}}, headers=MERGE)
        cluster.http.delete(f"{models}/a")
        assert take(events, 3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


def test_every_event_carries_a_newer_revision(cluster, models):
    start = revision(cluster, models)
    with watching(cluster.http, models, resourceVersion=start) as events:
        cluster.http.post(models, json=model("a"))
        cluster.http.delete(f"{models}/a")
        added, deleted = (int(next(events)[1]["metadata"]["resourceVersion"]) for _ in range(2))
    assert int(start) < added < deleted


def test_without_a_revision_the_present_objects_come_first(cluster, models):
    cluster.http.post(models, json=model("a"))
    with watching(cluster.http, models) as events:
        assert take(events, 1) == [("ADDED", "a")]
        cluster.http.post(models, json=model("b"))
        assert take(events, 1) == [("ADDED", "b")]


def test_resuming_misses_and_repeats_nothing(cluster, models):
    start = revision(cluster, models)
    with watching(cluster.http, models, resourceVersion=start) as events:
        cluster.http.post(models, json=model("a"))
        _, seen = next(events)
    cluster.http.post(models, json=model("b"))
    cluster.http.delete(f"{models}/b")
    with watching(cluster.http, models, resourceVersion=seen["metadata"]["resourceVersion"]) as events:
        assert take(events, 2) == [("ADDED", "b"), ("DELETED", "b")]


def test_a_selector_shows_objects_coming_and_going(cluster, models):
    start = revision(cluster, models)
    with watching(cluster.http, models, resourceVersion=start, labelSelector="tier=gold") as events:
        cluster.http.post(models, json=model("other"))
        cluster.http.post(models, json=model("a"))
        for tier in ("gold", "gold", "silver"):
            body = {"metadata": {"labels": {"tier": tier}}, "spec": {"replicas": 1 if tier == "gold" else 2}}
            cluster.http.patch(f"{models}/a", json=body, headers=MERGE)
            if tier == "gold":
                cluster.http.patch(f"{models}/a", json={"spec": {"replicas": 3}}, headers=MERGE)
        kinds = [kind for kind, _ in take(events, 3)]
        assert kinds[0] == "ADDED"
        assert set(kinds[1:-1]) == {"MODIFIED"}
        while kinds[-1] == "MODIFIED":
            kinds.append(take(events, 1)[0][0])
        assert kinds[-1] == "DELETED"


def test_one_object_by_field_selector(cluster, models):
    start = revision(cluster, models)
    with watching(cluster.http, models, resourceVersion=start, fieldSelector="metadata.name=b") as events:
        cluster.http.post(models, json=model("a"))
        cluster.http.post(models, json=model("b"))
        assert take(events, 1) == [("ADDED", "b")]


def test_all_namespaces(cluster, new_namespace):
    one, two = new_namespace(), new_namespace()
    every = "/apis/mlops.seldon.io/v1alpha1/models"
    with watching(
        cluster.http, every, resourceVersion=revision(cluster, every), labelSelector=f"t={one}"
    ) as events:
        for namespace in (one, two):
            cluster.http.post(MODELS.format(namespace), json=model(labels={"t": one}))
        assert {next(events)[1]["metadata"]["namespace"] for _ in range(2)} == {one, two}


def test_a_watch_ends_at_its_timeout(cluster, models):
    with watching(
        cluster.http, models, timeoutSeconds=1, resourceVersion=revision(cluster, models)
    ) as events:
        assert [kind for kind, _ in events if kind != "BOOKMARK"] == []


def test_streamed_lists_end_with_a_bookmark(cluster, models):
    cluster.http.post(models, json=model("a"))
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "watch": "true",
        "timeoutSeconds": "5",
    }
    with cluster.http.stream("GET", models, params=query) as response:
        if response.status_code == 422 and not cluster.embedded:
            pytest.skip("the cluster does not stream lists (feature WatchList)")
        lines = response.iter_lines()
        first, second = json.loads(next(lines)), json.loads(next(lines))
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "a")
    assert second["type"] == "BOOKMARK"
    assert second["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert second["object"]["metadata"]["resourceVersion"]


def test_tables_in_watches(cluster, models):
    cluster.http.post(models, json=model("a"))
    with watching(cluster.http, models, headers=TABLE) as events:
        kind, table = next(events)
    assert kind == "ADDED"
    assert table["kind"] == "Table"
    assert table["rows"][0]["cells"][0] == "a"
    assert table["columnDefinitions"][0]["name"] == "Name"


def test_revisions_that_are_no_longer_kept(embedded_only, tmp_path):
    with running_api(tmp_path, kept_changes=3) as api:
        cluster = Cluster(api.kubeconfig, embedded=True)
        models = MODELS.format("default")
        start = revision(cluster, models)
        for name in "abcdefghijkl":
            cluster.http.post(models, json=model(name))
        query = {"watch": "true", "resourceVersion": start, "timeoutSeconds": 2}
        answer = cluster.http.get(models, params=query)
        status = (
            answer.json() if answer.status_code == 410 else json.loads(answer.text.splitlines()[0])["object"]
        )
        cluster.close()
    assert status["code"] == 410
    assert status["reason"] in {"Expired", "Gone"}


def test_a_revision_must_be_a_number(cluster, models):
    answer = cluster.http.get(
        models, params={"watch": "true", "resourceVersion": "yesterday", "timeoutSeconds": 1}
    )
    assert answer.status_code in {400, 500}  # clusters say 500 for custom resources
