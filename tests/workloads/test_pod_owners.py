"""Which pods a workload keeps, adopts and releases, as a table of one pod."""

from __future__ import annotations

import pytest

from bailie.manifests.workload import Workload
from bailie.workloads.pod_owners import pods_claimed, with_owner, without_owner

OWN = {"kind": "StatefulSet", "name": "w", "uid": "own", "controller": True}
OTHER = {**OWN, "uid": "other"}
USER = {"kind": "ConfigMap", "name": "c", "uid": "user"}
WORKLOAD = Workload(
    namespace="a", name="w", replicas=1, selector={"app": "w"}, template={"spec": {}}, owner=OWN
)


def pod(*owners, name="w-0", app="w", going=False):
    metadata = {"name": name, "labels": {"app": app}, "ownerReferences": list(owners)}
    return {"metadata": metadata | ({"deletionTimestamp": "t"} if going else {})}


@pytest.mark.parametrize(
    ("pod", "part"),
    [
        pytest.param(pod(OWN), "kept", id="its own"),
        pytest.param(pod(OWN, going=True, app="x"), "kept", id="its own, on the way out"),
        pytest.param(pod(OWN, app="x"), "released", id="a label was taken off"),
        pytest.param(pod(), "adopted", id="an orphan"),
        pytest.param(pod(USER), "adopted", id="an orphan with an owner that controls nothing"),
        pytest.param(pod(name="w-100"), "adopted", id="an orphan of another number"),
        pytest.param(pod(OTHER), "", id="of another controller"),
        pytest.param(pod(going=True), "", id="an orphan on the way out"),
        pytest.param(pod(app="x"), "", id="an orphan with other labels"),
        pytest.param(pod(name="w-x"), "", id="an orphan whose name has no number"),
        pytest.param(pod(name="w-other-0"), "", id="an orphan of a longer name"),
    ],
)
def test_the_owner_of_a_pod(pod, part):
    found = pods_claimed(WORKLOAD, [pod])
    parts = {"kept": found.kept, "adopted": found.adopted, "released": found.released}
    assert {name for name, pods in parts.items() if pods} == ({part} if part else set())


def test_references_that_are_written():
    assert with_owner(pod(USER), OWN) == [USER, OWN]
    assert without_owner(pod(USER, OWN), "own") == [USER]
