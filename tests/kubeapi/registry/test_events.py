"""Events are one kind under two API versions."""

from __future__ import annotations

from kubeapi.registry.events import to_core, to_new

CORE = {
    "apiVersion": "v1",
    "kind": "Event",
    "metadata": {"name": "e"},
    "involvedObject": {"kind": "Model", "name": "iris"},
    "reason": "Loaded",
    "message": "on 1 replica",
    "reportingComponent": "scheduler",
    "count": 2,
}


def test_conversion_loses_nothing():
    new = to_new(CORE)
    assert (new["note"], new["regarding"], new["deprecatedCount"]) == (
        "on 1 replica",
        CORE["involvedObject"],
        2,
    )
    assert to_core(new) == CORE


def test_both_paths_show_the_same_objects(api, namespace):
    new = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
    core = f"/api/v1/namespaces/{namespace}/events"
    with api.http() as http:
        body = to_new(CORE) | {"metadata": {"name": "e"}, "eventTime": "2024-01-01T00:00:00.000000Z"}
        created = http.post(new, json=body)
        assert created.status_code == 201
        assert created.json()["note"] == "on 1 replica"
        seen = http.get(f"{core}/e").json()
        assert (seen["apiVersion"], seen["message"]) == ("v1", "on 1 replica")
        listed = http.get(new).json()
        assert listed["apiVersion"] == "events.k8s.io/v1"
        assert listed["items"][0]["regarding"]["name"] == "iris"
        merge = {"content-type": "application/merge-patch+json"}
        patched = http.patch(f"{new}/e", json={"note": "again"}, headers=merge).json()
        assert patched["note"] == "again"
        assert http.get(f"{core}/e").json()["message"] == "again"
