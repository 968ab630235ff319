from __future__ import annotations

import copy

import pytest

from bailie.manifests.podspec import merge_pod_spec


def _pod(**container):
    return {"containers": [{"name": "c", **container}]}


CASES = {
    "nothing": (_pod(image="a"), None, _pod(image="a")),
    "scalar": (_pod(image="a"), _pod(image="b"), _pod(image="b")),
    "field added": (_pod(image="a"), {"hostNetwork": True}, {**_pod(image="a"), "hostNetwork": True}),
    "container added": (
        _pod(image="a"),
        {"containers": [{"name": "d"}]},
        {"containers": [{"name": "c", "image": "a"}, {"name": "d"}]},
    ),
    "map joined": (
        _pod(resources={"requests": {"cpu": "1", "memory": "1Gi"}}),
        _pod(resources={"requests": {"memory": "2Gi"}, "limits": {"cpu": "2"}}),
        _pod(resources={"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "2"}}),
    ),
    "env by name, as a whole": (
        _pod(env=[{"name": "A", "valueFrom": {"fieldRef": {}}}, {"name": "B", "value": "1"}]),
        _pod(env=[{"name": "A", "value": "x"}, {"name": "C", "value": "y"}]),
        _pod(env=[{"name": "A", "value": "x"}, {"name": "B", "value": "1"}, {"name": "C", "value": "y"}]),
    ),
    "mounts by path": (
        _pod(volumeMounts=[{"name": "v", "mountPath": "/a"}]),
        _pod(volumeMounts=[{"name": "w", "mountPath": "/a"}]),
        _pod(volumeMounts=[{"name": "w", "mountPath": "/a"}]),
    ),
    "volume as a whole": (
        {"volumes": [{"name": "v", "emptyDir": {}}]},
        {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]},
        {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]},
    ),
    "arguments appended": (_pod(args=["agent"]), _pod(args=["--x"]), _pod(args=["agent", "--x"])),
    "command replaced": (_pod(command=["a", "b"]), _pod(command=["c"]), _pod(command=["c"])),
    "tolerations appended": (
        {"tolerations": [{"key": "a"}]},
        {"tolerations": [{"key": "b"}]},
        {"tolerations": [{"key": "a"}, {"key": "b"}]},
    ),
    "one handler per probe": (
        _pod(livenessProbe={"httpGet": {"path": "/"}, "periodSeconds": 5}),
        _pod(livenessProbe={"tcpSocket": {"port": 1}}),
        _pod(livenessProbe={"tcpSocket": {"port": 1}, "periodSeconds": 5}),
    ),
    "same handler joined": (
        _pod(livenessProbe={"httpGet": {"path": "/", "port": 1}}),
        _pod(livenessProbe={"httpGet": {"path": "/x"}}),
        _pod(livenessProbe={"httpGet": {"path": "/x", "port": 1}}),
    ),
}


@pytest.mark.parametrize(("base", "override", "expected"), CASES.values(), ids=CASES)
def test_merges(base, override, expected):
    before = copy.deepcopy((base, override))
    assert merge_pod_spec(base, override) == expected
    assert (base, override) == before


def test_the_result_shares_nothing():
    base = _pod(env=[{"name": "A", "value": "1"}])
    merged = merge_pod_spec(base, {"nodeSelector": {"a": "b"}})
    merged["containers"][0]["env"][0]["value"] = "2"
    assert base["containers"][0]["env"][0]["value"] == "1"
