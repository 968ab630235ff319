"""The status of a StatefulSet or Deployment, as a table of its pods."""

from __future__ import annotations

import pytest

from bailie.workloads.controller_status import controller_status_of
from bailie.workloads.replicas import HASH_LABEL


def pod(template, *, ready=True):
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": {"labels": {HASH_LABEL: template}}, "status": {"conditions": conditions}}


def controller(kind, **status):
    metadata = {"name": "w", "generation": 3}
    return {"kind": kind, "metadata": metadata, "spec": {"replicas": 2}, "status": status}


OLD, NEW, UNREADY = pod("old"), pod("new"), pod("new", ready=False)
CASES = {
    "none yet": ([], 0, 0, False),
    "one of two": ([NEW], 1, 1, False),
    "one is old": ([NEW, OLD], 1, 2, False),
    "one is not ready": ([NEW, UNREADY], 2, 1, False),
    "done": ([NEW, NEW], 2, 2, True),
    "one too many": ([NEW, NEW, NEW], 3, 3, False),
}


@pytest.mark.parametrize(("pods", "updated", "ready", "done"), CASES.values(), ids=CASES)
def test_pods_are_counted_and_the_revision_follows_the_last_of_them(pods, updated, ready, done):
    status = controller_status_of(controller("StatefulSet", currentRevision="w-old"), pods, "new")
    assert (status["observedGeneration"], status["replicas"]) == (3, len(pods))
    assert (status["updatedReplicas"], status["readyReplicas"]) == (updated, ready)
    assert (status["updateRevision"], status["currentRevision"]) == ("w-new", "w-new" if done else "w-old")


@pytest.mark.parametrize(("pods", "updated", "ready", "done"), CASES.values(), ids=CASES)
def test_a_deployment_has_conditions(pods, updated, ready, done):
    status = controller_status_of(controller("Deployment"), pods, "new")
    available, progressing = status["conditions"]
    assert (available["type"], available["status"]) == ("Available", "True" if ready >= 2 else "False")
    assert status["unavailableReplicas"] == max(0, 2 - ready)
    assert (progressing["reason"] == "NewReplicaSetAvailable") == done


@pytest.mark.parametrize("kind", ["StatefulSet", "Deployment"])
def test_a_refusal_of_pods_is_a_condition_and_goes_with_its_cause(kind):
    told = controller_status_of(controller(kind), [NEW], "new", "no room")["conditions"]
    assert {each["type"]: each["message"] for each in told}["ReplicaFailure"] == "no room"
    later = controller_status_of(controller(kind, conditions=told), [NEW], "new")["conditions"]
    assert "ReplicaFailure" not in {each["type"] for each in later}
