"""Pods with long texts and many mistakes, of which the operator of all namespaces says a few words."""

from __future__ import annotations

import tracemalloc

import pytest
from tests.support.manifests import default_server_config, server

from bailie.manifests.checks import template_problems
from bailie.manifests.fences import Fence, forbidden
from bailie.manifests.server import server_origin, server_workload

LONG = "x" * 20_000
MANY = 1_000
KINDS = {f"kind-{number}": {} for number in range(MANY)}
MOUNTS = [{"name": "no", "mountPath": f"/{number}"} for number in range(MANY)]
HARMFUL = {"securityContext": {"privileged": True, "allowPrivilegeEscalation": True, "runAsUser": 0}}
PODS = {
    "a volume of many types": {"volumes": [{"name": LONG, **KINDS}]},
    "many containers": {
        "containers": [{"name": f"{LONG[:100]}{number}", "image": "i", **HARMFUL} for number in range(MANY)]
    },
    "a container with many mounts": {"containers": [{"name": LONG, "image": "i", "volumeMounts": MOUNTS}]},
}


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_a_long_name_is_not_repeated_in_the_words_about_each_mistake(pod):
    config = default_server_config()
    workload = server_workload(server(podSpec=pod), config)
    tracemalloc.start()
    try:
        problems = template_problems(workload)
        told = forbidden(workload, Fence(), server_origin(config))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert problems or told
    assert most < 5_000_000
    assert len(told) < 6_000
    assert not told or "controller.podPermissions.allow=" in told
