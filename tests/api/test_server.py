from __future__ import annotations

import pytest

from bailie.api.server import Server
from bailie.api.server_config import ServerConfig

POD = {"containers": [{"name": "mlserver", "image": "x", "anything": {"goes": 1}}]}


def test_every_field_is_read(manifest):
    spec = {
        "serverConfig": "mlserver",
        "extraCapabilities": ["a"],
        "capabilities": ["b"],
        "podSpec": POD,
        "statefulSetPersistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Delete"},
        "replicas": 2,
        "minReplicas": 1,
        "maxReplicas": 3,
        "deploymentStrategy": {"type": "Recreate"},
        "disableAutoUpdate": True,
    }
    server, problems = Server.parse(manifest("Server", spec))
    warned = [("spec.extraCapabilities", "NoEffect"), ("spec.deploymentStrategy", "NoEffect")]
    assert [(p.path, p.reason) for p in problems] == warned
    assert server.spec.model_dump(by_alias=True, exclude_none=True, mode="json") == spec


def test_further_capabilities_have_no_effect_beside_a_whole_list(manifest):
    lists = {"capabilities": ["a"], "extraCapabilities": ["b"]}
    _, problems = Server.parse(manifest("Server", {"serverConfig": "mlserver", **lists}))
    assert [(p.path, p.reason) for p in problems] == [("spec.extraCapabilities", "NoEffect")]
    for alone in lists:
        assert Server.parse(manifest("Server", {"serverConfig": "x", alone: lists[alone]}))[1] == []


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("s" * 52, True),
        ("s" * 53, False),  # no cluster makes its pods: their label for the revision is too long
        ("a-1", True),
        ("1-a", False),  # no name of a Service
        ("a.b", False),
        ("a-", False),
    ],
)
def test_a_name_is_one_of_which_pods_and_a_service_can_be_made(manifest, name, right):
    written = {**manifest("Server", {"serverConfig": "x"}), "metadata": {"name": name}}
    assert [p.path for p in Server.parse(written)[1]] == ([] if right else ["metadata.name"])


def test_gateways_of_pipelines_are_one_server(manifest):
    gateway = "seldon-pipelinegateway"
    written = manifest("Server", {"serverConfig": gateway})
    assert [p.path for p in Server.parse(written)[1]] == ["spec.serverConfig"]
    assert Server.parse({**written, "metadata": {"name": gateway}})[1] == []


@pytest.mark.parametrize("text", ["", "-1", "1e2", "5001", "\u0661\u0662", "100 ", "0" * 9])
def test_a_first_ordinal_is_a_small_number(manifest, text):
    key = "bailie.io/first-ordinal"
    _, problems = Server.parse(manifest("Server", {"serverConfig": "x"}, annotations={key: text}))
    assert [(p.path, p.reason) for p in problems] == [(f"metadata.annotations[{key}]", "Invalid")]
    server, problems = Server.parse(manifest("Server", {"serverConfig": "x"}, annotations={key: "100"}))
    assert (server.first_ordinal, problems) == (100, [])


@pytest.mark.parametrize("text", ["", "True", "yes", "0"])
def test_a_server_is_held_back_by_true_alone(manifest, text):
    key = "bailie.io/held"
    _, problems = Server.parse(manifest("Server", {"serverConfig": "x"}, annotations={key: text}))
    assert [(p.path, p.reason) for p in problems] == [(f"metadata.annotations[{key}]", "Invalid")]


@pytest.mark.parametrize(("text", "wanted"), [("true", 0), ("false", 2)])
def test_a_server_that_is_held_back_wants_no_replicas(manifest, text, wanted):
    annotations = {"bailie.io/held": text}
    server, problems = Server.parse(
        manifest("Server", {"serverConfig": "x", "replicas": 2}, annotations=annotations)
    )
    assert (server.wanted_replicas, problems) == (wanted, [])


def test_image_overrides_have_no_effect(manifest):
    server, problems = Server.parse(
        manifest("Server", {"serverConfig": "x", "imageOverrides": {"agent": {}}})
    )
    assert server is not None
    assert [(p.path, p.reason) for p in problems] == [("spec.imageOverrides", "NoEffect")]


def test_contradictions_and_names(manifest):
    spec = {"serverConfig": "", "replicas": 2, "maxReplicas": 1}
    server, problems = Server.parse(manifest("Server", spec, name="ml.server"))
    assert server is None
    assert [p.path for p in problems] == ["metadata.name", "spec.replicas", "spec.serverConfig"]


@pytest.mark.parametrize("numbers", [{"replicas": 10_001}, {"minReplicas": 2_000_000_000}])
def test_replicas_are_as_many_as_can_be_counted(manifest, numbers):
    server, problems = Server.parse(manifest("Server", {"serverConfig": "x", **numbers}))
    assert (server, [(p.path, p.reason) for p in problems]) == (None, [("spec.replicas", "InvalidScaling")])
    spec = {"serverConfig": "x", "replicas": 10_000, "maxReplicas": 2**31 - 1}
    assert Server.parse(manifest("Server", spec))[1] == []


@pytest.mark.parametrize("name", ["seldon-scheduler", "seldon-envoy", "seldon-mesh"])
def test_names_of_the_runtime_are_taken(manifest, name):
    server, problems = Server.parse(manifest("Server", {"serverConfig": "x"}, name=name))
    assert server is None
    assert [(p.path, p.reason) for p in problems] == [("metadata.name", "Invalid")]


def test_retention_is_one_of_two(manifest):
    spec = {"serverConfig": "x", "statefulSetPersistentVolumeClaimRetentionPolicy": {"whenScaled": "Keep"}}
    _, problems = Server.parse(manifest("Server", spec))
    assert str(problems[0]).endswith("whenScaled: must be 'Retain' or 'Delete', not \"Keep\"")


def test_server_config_keeps_the_pod_as_written(manifest):
    spec = {
        "podSpec": POD,
        "volumeClaimTemplates": [{"name": "models", "spec": {"accessModes": ["ReadWriteOnce"]}}],
    }
    config, problems = ServerConfig.parse(manifest("ServerConfig", spec))
    assert problems == []
    assert config.spec.pod_spec == POD


def test_server_config_needs_a_pod(manifest):
    config, problems = ServerConfig.parse(manifest("ServerConfig", {}))
    assert config is None
    assert [(p.path, p.reason) for p in problems] == [("spec.podSpec", "Required")]
