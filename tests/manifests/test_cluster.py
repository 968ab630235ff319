from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.manifests import default_seldon_config, default_server_config, runtime, server

from bailie.manifests.cluster import companions, pod_controller, runs_as
from bailie.manifests.runtime import runtime_workloads
from bailie.manifests.server import server_workload

CLAIM = {"metadata": {"name": "models"}, "spec": {"accessModes": ["ReadWriteOnce"]}}


def _everything(workload):
    controller = pod_controller(workload)
    return [*companions(workload), *([controller] if controller else [])]


def test_a_runtime_on_a_cluster_is_the_golden_one(golden):
    workloads = runtime_workloads(runtime(), default_seldon_config())
    golden.check("cluster-runtime", [each for workload in workloads for each in _everything(workload)])


def test_a_server_on_a_cluster_is_the_golden_one(golden):
    golden.check("cluster-server", _everything(server_workload(server(), default_server_config())))


def _server(**changes):
    return replace(server_workload(server(), default_server_config()), **changes)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "StatefulSet"),
        ({"interchangeable": True}, "Deployment"),
        ({"interchangeable": True, "volume_claim_templates": (CLAIM,)}, "StatefulSet"),
    ],
    ids=["named", "interchangeable", "interchangeable with claims"],
)
def test_what_runs_the_pods(changes, kind):
    workload = _server(**changes)
    assert runs_as(workload).kind == kind
    assert pod_controller(workload)["kind"] == kind


def test_claims_and_what_becomes_of_them():
    policy = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    spec = pod_controller(_server(volume_claim_templates=(CLAIM,), claim_retention=policy))["spec"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == policy
    assert spec["volumeClaimTemplates"][0]["metadata"] == {"name": "models"}


def test_numbers_from_an_ordinal_on():
    assert "ordinals" not in pod_controller(_server())["spec"]
    assert pod_controller(_server(first_ordinal=100))["spec"]["ordinals"] == {"start": 100}


def test_a_pod_spec_that_says_how_it_is_spread_is_left_alone():
    template = _server().template
    own = {**template, "spec": {**template["spec"], "topologySpreadConstraints": []}}
    spec = pod_controller(_server(template=own))["spec"]["template"]["spec"]
    assert spec["topologySpreadConstraints"] == []


def test_nothing_is_protected_where_nothing_runs():
    kinds = {each["kind"] for each in companions(_server(replicas=0))}
    assert kinds == {"Service"}
    assert pod_controller(_server(replicas=0))["spec"]["replicas"] == 0


def test_without_a_template_there_are_objects_only():
    workload = _server(template={}, replicas=0)
    assert pod_controller(workload) is None
    assert [each["kind"] for each in companions(workload)] == ["Service"]


def test_everything_is_owned_labelled_and_in_the_namespace():
    for manifest in _everything(_server()):
        metadata = manifest["metadata"]
        assert metadata["namespace"] == "a"
        assert metadata["labels"]["bailie.io/workload"] == "mlserver"
        assert metadata["ownerReferences"][0]["kind"] == "Server"
