"""Pod status from container states."""

from __future__ import annotations

import pytest

from bailie.workloads.node.status import ContainerState, PodFacts, Running, Terminated, Waiting, pod_status

NOW = "2026-01-01T00:00:10Z"
CRASH = Terminated(exit_code=1, message="boom", started_at="t1", finished_at="t2")


def status(*containers, pod=None, **facts):
    return pod_status(
        pod or {}, PodFacts(ip="127.70.0.1", start_time="t0", now=NOW, containers=containers, **facts)
    )


def container(name="c", **state):
    return ContainerState(name=name, image="i", **state)


@pytest.mark.parametrize(
    ("states", "phase", "ready"),
    [
        ([container()], "Pending", "False"),
        ([container(current=Running(1, "t"))], "Running", "False"),
        ([container(current=Running(1, "t"), ready=True)], "Running", "True"),
        (
            [container(current=Running(1, "t"), ready=True), container("d", current=Waiting("X"))],
            "Pending",
            "False",
        ),
        ([container(current=Waiting("CrashLoopBackOff"), last=CRASH)], "Running", "False"),
    ],
)
def test_phase_and_readiness(states, phase, ready):
    result = status(*states)
    conditions = {each["type"]: each["status"] for each in result["conditions"]}
    assert (result["phase"], conditions["Ready"], conditions["ContainersReady"]) == (phase, ready, ready)


def test_a_crash_is_told_with_its_cause():
    waiting = Waiting("CrashLoopBackOff", "back-off 2s restarting: exited with code 1: boom")
    entry = status(container(current=waiting, last=CRASH, restarts=3))["containerStatuses"][0]
    assert entry["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": waiting.message}}
    assert entry["lastState"]["terminated"] == {
        "exitCode": 1,
        "reason": "Error",
        "message": "boom",
        "startedAt": "t1",
        "finishedAt": "t2",
    }
    assert entry["restartCount"] == 3


def test_times_of_conditions_change_only_with_them():
    running = container(current=Running(1, "t"), ready=True)
    before = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "old"}]}
    by_type = {e["type"]: e for e in status(running, pod={"status": before})["conditions"]}
    assert by_type["Ready"]["lastTransitionTime"] == "old"
    assert by_type["ContainersReady"]["lastTransitionTime"] == NOW


def test_init_containers_hold_the_pod_back():
    result = status(container(), initialised=False, init_containers=(container("i"),))
    by_type = {each["type"]: each["status"] for each in result["conditions"]}
    assert by_type["Initialized"] == "False"
    assert result["initContainerStatuses"][0]["name"] == "i"


@pytest.mark.parametrize(
    ("times", "stated"),
    [
        ({}, set()),
        ({"finished_at": "t2"}, {"finishedAt"}),
        ({"started_at": "t1", "finished_at": "t2"}, {"startedAt", "finishedAt"}),
    ],
)
def test_unknown_times_of_an_end_are_left_out(times, stated):
    """A run that ended while no node was there has no known times."""
    ended = Terminated(exit_code=137, message="gone", **{"started_at": "", "finished_at": "", **times})
    entry = status(container(current=Waiting("CrashLoopBackOff"), last=ended))["containerStatuses"][0]
    assert {"startedAt", "finishedAt"} & set(entry["lastState"]["terminated"]) == stated
