"""What a client of `bailie up` is told about objects on which nothing acts."""

from __future__ import annotations

import pytest
from hypothesis import given
from tests.support.anyjson import changed

from bailie.local.notices import Notices
from bailie.local.programs import TITLES
from kubeapi.registry.builtin import builtin_resources
from kubeapi.registry.ports import NodePorts

OWN = "bailie-mlserver:1"
NOTICES = Notices(TITLES, own=(OWN,))
INERT = {
    "HorizontalPodAutoscaler",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "Service",
}


def manifest(kind, spec=None, **labels):
    return {"kind": kind, "metadata": {"name": "x", "labels": labels}, "spec": spec or {}}


def server(**container):
    return manifest("Server", {"podSpec": {"containers": [{"name": "c", **container}]}})


def test_every_kind_that_nothing_acts_on_is_named_and_no_other():
    said = {
        each.kind.kind: NOTICES(each.key, manifest(each.kind.kind)) for each in builtin_resources(NodePorts())
    }
    assert {kind for kind, sentences in said.items() if sentences} == INERT
    for kind in INERT:
        assert f"{kind}" in said[kind][0]
        assert " here" in said[kind][0]


def test_nothing_is_said_of_what_bailie_made():
    ours = {"bailie.io/workload": "mlserver"}
    assert NOTICES("apps/statefulsets", manifest("StatefulSet", **ours)) == []


@pytest.mark.parametrize("key", ["mlops.seldon.io/servers", "mlops.seldon.io/serverconfigs"])
def test_an_image_that_is_not_run_is_named(key):
    assert NOTICES(key, server(image="registry.example.com/acme/mlserver:v2")) == [
        (
            'image "registry.example.com/acme/mlserver:v2" of container "c" is not run here: '
            "MLServer of this machine stands for it"
        )
    ]


@pytest.mark.parametrize(
    "container", [{"image": OWN}, {"image": "mlserver", "command": ["x"]}, {"image": "tritonserver:1"}, {}]
)
def test_images_that_need_no_word(container):
    """Bailie's own, one whose command is run, and one that stands for nothing, which the status says."""
    assert NOTICES("mlops.seldon.io/servers", server(**container)) == []


def test_a_pod_that_cannot_start_is_told():
    """`kubectl run -it` would wait a minute for it, and not say why."""
    spec = {"containers": [{"name": "c", "image": "busybox:1"}]}
    [told] = NOTICES("/pods", manifest("Pod", spec))
    assert 'image "busybox:1" of container "c" stands for no program here, so it does not start' in told
    assert "kubectl run x --image=none --command -- PROGRAM" in told
    for started in ({"command": ["sh"]}, {"image": OWN}, {"image": "mlserver:1"}):
        spec = {"containers": [{"name": "c", "image": "busybox:1", **started}]}
        assert NOTICES("/pods", manifest("Pod", spec)) == []


@given(changed(server(image="mlserver:1")["spec"]))
def test_no_spec_does_harm(spec):
    """A doubled container is named twice."""
    assert len(NOTICES("mlops.seldon.io/servers", manifest("Server", spec))) <= 2


@given(changed({"containers": [{"name": "c", "image": "busybox:1"}]}))
def test_no_pod_does_harm(spec):
    assert len(NOTICES("/pods", manifest("Pod", spec))) <= 2
