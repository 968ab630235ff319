from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.manifests import default_server_config, server

from bailie.manifests.checks import template_problems
from bailie.manifests.server import server_workload

MOUNT = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
PROBE = {"readinessProbe": {"httpGet": {"port": "http"}}}
HOOK = {"lifecycle": {"preStop": {"httpGet": {"port": "metrics"}}}}
CASES = {
    "good": ([{"name": "c", "image": "i"}], {}, []),
    "none": ([], {}, ["podSpec.containers"]),
    "a misspelt container": ([{"name": "mlsrever"}], {}, ['podSpec.containers["mlsrever"].image']),
    "a name that is none": ([{"name": "C!", "image": "i"}], {}, ['podSpec.containers["C!"].name']),
    "no such volume": ([{"name": "c", "image": "i", **MOUNT}], {}, ['podSpec.containers["c"].volumeMounts']),
    "a volume": ([{"name": "c", "image": "i", **MOUNT}], {"volumes": [{"name": "v", "emptyDir": {}}]}, []),
    "no such port": ([{"name": "c", "image": "i", **PROBE}], {}, ['podSpec.containers["c"].readinessProbe']),
    "no such port of a hook": (
        [{"name": "c", "image": "i", **HOOK}], {}, ['podSpec.containers["c"].lifecycle.preStop']
    ),
    "a port": ([{"name": "c", "image": "i", "ports": [{"name": "http"}], **PROBE}], {}, []),
    "a number": ([{"name": "c", "image": "i", "livenessProbe": {"tcpSocket": {"port": 80}}}], {}, []),
    "twice": (
        [{"name": "c", "image": "i"}], {"initContainers": [{"name": "c", "image": "i"}]},
        ['podSpec.containers["c"]'],
    ),
}  # fmt: skip


def _workload(pod, **changes):
    made = server_workload(server(), default_server_config())
    return replace(made, template={"metadata": {}, "spec": pod}, **changes)


@pytest.mark.parametrize(("containers", "more", "paths"), CASES.values(), ids=CASES)
def test_templates(containers, more, paths):
    problems = template_problems(_workload({"containers": containers, **more}))
    assert [problem.path for problem in problems] == paths


def test_a_claim_is_a_volume_and_nothing_is_asked_of_no_pods():
    pod = {"containers": [{"name": "c", "image": "i", **MOUNT}]}
    claim = {"metadata": {"name": "v"}, "spec": {}}
    assert template_problems(_workload(pod, volume_claim_templates=(claim,))) == []
    assert template_problems(replace(_workload(pod), template={})) == []


@pytest.mark.parametrize(
    ("image", "component"),
    [
        ("seldonio/seldon-agent:2.9.1", "agent"),
        ("docker.io/seldonio/seldon-rclone:2.10.2", "rclone"),
        ("mirror.example.com:5000/x/seldon-scheduler@sha256:" + "a" * 64, "scheduler"),
        ("seldon-envoy", "envoy"),
        ("seldonio/seldonv2-controller", "controller"),
        ("seldonio/seldon-dataflow-engine:2.8.0", "dataflow-engine"),
        ("seldonio/mlserver:1.7.1", ""),
        ("acme/seldon-agent-of-ours:1", ""),
        ("acme/my-seldon-agent:1", ""),
        ("acme/seldon-mlserver:1", ""),
        ("seldon-agent/mlserver:1", ""),
        ("nvcr.io/nvidia/tritonserver:23.03-py3", ""),
    ],
)
@pytest.mark.parametrize("group", ["containers", "initContainers"])
def test_components_of_seldon_core_are_named_and_its_servers_are_not(image, component, group):
    pod = {"containers": [{"name": "c", "image": "i"}], group: [{"name": "c", "image": image}]}
    found = [each for each in template_problems(_workload(pod)) if each.reason == "SeldonCoreImage"]
    assert [each.path for each in found] == ([f'podSpec.{group}["c"].image'] if component else [])
    assert all(f'"{image}" is Seldon Core\'s {component}, which' in each.message for each in found)


def test_what_bailie_ships_is_good():
    assert template_problems(server_workload(server(), default_server_config())) == []
