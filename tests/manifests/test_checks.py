from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.manifests import default_server_config, server

from bailie.manifests.checks import template_problems
from bailie.manifests.server import server_workload

MOUNT = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
PROBE = {"readinessProbe": {"httpGet": {"port": "http"}}}
HOOK = {"lifecycle": {"preStop": {"httpGet": {"port": "agent-http"}}}}
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


def test_what_bailie_ships_is_good():
    assert template_problems(server_workload(server(), default_server_config())) == []
