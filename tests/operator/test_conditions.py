from __future__ import annotations

import pytest
from tests.support.manifests import manifest_of, parsed, runtime

from bailie.api.problems import Problem
from bailie.api.seldon_runtime import SeldonRuntime
from bailie.operator.conditions import (
    known_containers,
    left_out_condition,
    refused,
    served_here,
    workload_condition,
)
from bailie.workloads.port import Observation

SEEN = {
    "all ready": (2, (2, 2, ""), "True", "ReplicasReady", "2 of 2 replicas are ready"),
    "none wanted": (0, (0, 0, ""), "True", "NoReplicas", "no replicas are wanted"),
    "some ready": (2, (2, 1, ""), "False", "ReplicasNotReady", "1 of 2 replicas are ready"),
    "with a cause": (
        1,
        (1, 0, "pod x: gone"),
        "False",
        "ReplicasNotReady",
        "0 of 1 replicas are ready: pod x: gone",
    ),
    "none there": (1, (0, 0, ""), "False", "ReplicasNotReady", "0 of 1 replicas are ready"),
    "one too many": (1, (2, 2, ""), "False", "ScalingDown", "1 of 2 replicas are being removed"),
    "going to none": (0, (1, 1, ""), "False", "ScalingDown", "1 of 1 replicas are being removed"),
}
LEFT_OUT = {
    "run": ({}, "seldon-scheduler", None),
    "disabled": ({"overrides": [{"name": "seldon-envoy", "disable": True}]}, "seldon-envoy", "Disabled"),
    "elsewhere": ({"schedulerNamespace": "central"}, "seldon-scheduler", "ServedElsewhere"),
    "elsewhere has no Envoy for us": ({"schedulerNamespace": "central"}, "seldon-envoy", None),
}
SCALING = Problem("spec.replicas", "InvalidScaling", "too many")
UNKNOWN = Problem("spec.x", "Unknown", "there is no such field")


@pytest.mark.parametrize(("wanted", "seen", "status", "reason", "message"), SEEN.values(), ids=SEEN)
def test_workloads(wanted, seen, status, reason, message):
    replicas, ready, complaint = seen
    observation = Observation(replicas=replicas, ready_replicas=ready, message=complaint)
    condition = workload_condition("X", wanted, observation)
    assert (condition.type, condition.status, condition.reason) == ("X", status, reason)
    assert condition.message == message


@pytest.mark.parametrize(("spec", "component", "reason"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_components_that_are_left_out_hold(spec, component, reason):
    condition = left_out_condition(runtime(**spec), component)
    assert (condition and condition.reason) == reason
    assert condition is None or condition.status == "True"


def test_a_refusal_says_all_and_leaves_warnings_out():
    warning = Problem("spec.y", "NoEffect", "has no effect")
    condition = refused([SCALING, warning, UNKNOWN])
    assert condition.reason == "InvalidSpec"
    assert condition.message == "spec.replicas: too many; spec.x: there is no such field"
    assert refused([SCALING, warning]).reason == "InvalidScaling"


def test_a_container_of_another_name_is_named_with_those_that_there_are():
    running = ("agent", "mlserver", "acme-mlserver", "sidecar")
    found = known_containers('ServerConfig "mlserver"', ("agent", "mlserver"), running)
    assert (found.type, found.status, found.severity) == ("KnownContainers", "False", "Info")
    assert 'has no container "acme-mlserver", "sidecar": it has agent, mlserver.' in found.message
    assert known_containers("x", ("agent",), ("agent",)).status == "True"


MESH = {"namespace": "old"}
TOLD = {"mesh": "seldon-mesh.old.svc:80", "names": 0, "listed": []}
FALLBACKS = {
    "no mesh": (None, None, "True", "NoFallback", "names none"),
    "no mesh any more": (None, TOLD, "True", "NoFallback", "names none"),
    "nothing told": (MESH, None, "Unknown", "NotTold", "has not said yet"),
    "told of another mesh": (MESH, TOLD | {"mesh": "x.y.svc:80"}, "Unknown", "NotTold", "has not said yet"),
    "no names": (MESH, TOLD, "True", "AllNames", "seldon-mesh.old.svc:80 is asked for none"),
    "one name": (MESH, TOLD | {"names": 1, "listed": ["iris"]}, "False", "OnFallback", "for 1 name until"),
    "many names": (MESH, TOLD | {"names": 9, "listed": ["a", "b"]}, "False", "OnFallback", "a, b and 7 more"),
}


@pytest.mark.parametrize(("mesh", "told", "status", "reason", "text"), FALLBACKS.values(), ids=FALLBACKS)
def test_whether_the_namespace_answers_for_its_names(mesh, told, status, reason, text):
    manifest = manifest_of("SeldonRuntime", "seldon", {"seldonConfig": "default", "fallbackMesh": mesh})
    condition = served_here(parsed(SeldonRuntime, manifest | {"status": {"fallback": told}}))
    assert (condition.type, condition.status, condition.reason) == ("ServedHere", status, reason)
    assert text in condition.message
