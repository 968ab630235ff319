from __future__ import annotations

import pytest

from bailie.api.collector import Collector
from bailie.api.seldon_config import SeldonConfig, TracingConfig
from bailie.api.seldon_runtime import SeldonRuntime

CONFIG = {
    "scalingConfig": {"pipelines": {"maxShardCountMultiplier": 4}},
    "tracingConfig": {
        "disable": True,
        "otelExporterEndpoint": "c:4317",
        "otelExporterProtocol": "grpc",
        "ratio": "1",
    },
    "kafkaConfig": {
        "bootstrap.servers": "k:9092",
        "consumerGroupIdPrefix": "p",
        "debug": "all",
        "consumer": {"session.timeout.ms": 6000, "auto.offset.reset": "earliest"},
        "producer": {"linger.ms": "0"},
        "streams": {"x": 1},
        "topics": {"numPartitions": 4},
        "topicPrefix": "seldon",
    },
    "agentConfig": {"rclone": {"config": ["{}"], "config_secrets": ["gs"]}},
    "serviceConfig": {"grpcServicePrefix": "http2-", "serviceType": "ClusterIP"},
}

WITHOUT_EFFECT = (
    "spec.config.kafkaConfig.streams",
    "spec.config.scalingConfig.pipelines",
)


def test_every_field_is_read(manifest):
    override = {
        "name": "seldon-envoy",
        "disable": True,
        "replicas": 2,
        "serviceType": "NodePort",
        "podSpec": {},
        "keepService": True,
    }
    spec = {
        "seldonConfig": "default",
        "overrides": [override],
        "config": CONFIG,
        "disableAutoUpdate": True,
        "schedulerNamespace": "central",
        "servesNamespaces": ["a", "*"],
        "fallbackMesh": {"namespace": "old", "service": "seldon-mesh-before", "port": 8080},
    }
    runtime, problems = SeldonRuntime.parse(manifest("SeldonRuntime", spec))
    assert [(p.path, p.reason) for p in problems] == [(path, "NoEffect") for path in WITHOUT_EFFECT]
    assert runtime.spec.model_dump(by_alias=True, exclude_none=True, mode="json") == spec
    assert runtime.override("seldon-envoy").replicas == 2
    assert runtime.override("seldon-scheduler").replicas is None


@pytest.mark.parametrize("name", ["hodometer", "seldon-dataflow-engine", "seldon-modelgateway"])
def test_components_that_are_not_needed_have_no_effect(manifest, name):
    spec = {"seldonConfig": "default", "overrides": [{"name": name, "disable": True}]}
    runtime, problems = SeldonRuntime.parse(manifest("SeldonRuntime", spec))
    assert runtime is not None
    assert [(p.path, p.reason) for p in problems] == [("spec.overrides[0].name", "NoEffect")]


def test_contradictions(manifest):
    overrides = [{"name": "seldon-envoy"}, {"name": "seldon-envoy", "replicas": -1}, {"name": "seldon-envoi"}]
    spec = {
        "seldonConfig": "",
        "overrides": overrides,
        "schedulerNamespace": "A.b",
        "servesNamespaces": ["a", "*", "B"],
    }
    runtime, problems = SeldonRuntime.parse(manifest("SeldonRuntime", spec))
    assert runtime is None
    assert [(p.path, p.reason) for p in problems] == [
        ("spec.overrides[1].name", "Duplicate"),
        ("spec.overrides[1].replicas", "Invalid"),
        ("spec.overrides[2].name", "NotSupported"),
        ("spec.schedulerNamespace", "Invalid"),
        ("spec.servesNamespaces[2]", "Invalid"),
        ("spec.seldonConfig", "Required"),
    ]


def test_the_schedulers_service_has_no_type(manifest):
    overrides = [{"name": "seldon-scheduler", "serviceType": "LoadBalancer"}]
    spec = {"seldonConfig": "default", "overrides": overrides}
    runtime, problems = SeldonRuntime.parse(manifest("SeldonRuntime", spec))
    assert runtime is not None
    assert [(p.path, p.reason) for p in problems] == [("spec.overrides[0].serviceType", "NoEffect")]


@pytest.mark.parametrize(
    ("setting", "paths"),
    [
        ({"scalingConfig": {}}, []),
        ({"scalingConfig": {"pipelines": {"maxShardCountMultiplier": 4}}}, ["scalingConfig.pipelines"]),
        ({"tracingConfig": {"disable": True}}, []),
        (
            {"tracingConfig": {"otelExporterEndpoint": "http://c:4317", "ratio": "2"}},
            ["tracingConfig.otelExporterEndpoint", "tracingConfig.ratio"],
        ),
        (
            {"tracingConfig": {"otelExporterProtocol": "http/protobuf"}},
            ["tracingConfig.otelExporterProtocol"],
        ),
        ({"kafkaConfig": {"streams": {}}}, ["kafkaConfig.streams"]),
    ],
)
@pytest.mark.parametrize("kind", [SeldonConfig, SeldonRuntime])
def test_settings_that_nothing_reads_have_no_effect(manifest, kind, setting, paths):
    spec = {"config": setting} | ({"seldonConfig": "default"} if kind is SeldonRuntime else {})
    resource, problems = kind.parse(manifest(kind.__name__, spec))
    assert resource is not None
    assert [(p.path, p.reason) for p in problems] == [(f"spec.config.{each}", "NoEffect") for each in paths]
    assert all(p.message.startswith(("has no effect: ", "has no effect, ")) for p in problems)


@pytest.mark.parametrize(
    ("config", "collector"),
    [
        ({}, None),
        ({"otelExporterEndpoint": ""}, None),
        ({"otelExporterEndpoint": "c:4317"}, Collector("c", 4317)),
        ({"otelExporterEndpoint": "c:4317", "ratio": "0.5"}, Collector("c", 4317, 0.5)),
        ({"otelExporterEndpoint": "c:4317", "disable": True}, None),
        ({"otelExporterEndpoint": "c:4317", "ratio": "all"}, None),
        ({"otelExporterEndpoint": "//c:4317"}, None),
    ],
)
def test_the_collector_of_traces(config, collector):
    assert TracingConfig.model_validate(config).collector == collector


@pytest.mark.parametrize("kind", ["models", "servers"])
def test_a_runtime_says_what_scales_and_a_config_does_not(manifest, kind):
    config = {"scalingConfig": {kind: {"enabled": True}}}
    _, of_runtime = SeldonRuntime.parse(
        manifest("SeldonRuntime", {"seldonConfig": "default", "config": config})
    )
    _, of_config = SeldonConfig.parse(manifest("SeldonConfig", {"config": config}))
    assert of_runtime == []
    assert [(p.path, p.reason) for p in of_config] == [(f"spec.config.scalingConfig.{kind}", "NoEffect")]


def test_nothing_is_left_to_chance(manifest):
    config = {
        "scalingConfig": {"servers": {"scaleDownPackingEnabled": True, "scaleDownPackingPercentage": 25}}
    }
    _, problems = SeldonRuntime.parse(
        manifest("SeldonRuntime", {"seldonConfig": "default", "config": config})
    )
    [warning] = problems
    assert warning.path == "spec.config.scalingConfig.servers.scaleDownPackingPercentage"
    assert "taken away for certain" in warning.message


def test_components_of_a_config(manifest):
    components = [{"name": "seldon-scheduler", "replicas": 2, "podSpec": {"containers": []}}, {"name": "x"}]
    config, problems = SeldonConfig.parse(manifest("SeldonConfig", {"components": components}))
    assert config is None
    assert [(p.path, p.reason) for p in problems] == [
        ("spec.components[0].replicas", "NoEffect"),
        ("spec.components[1].name", "NotSupported"),
    ]


def test_broker_settings_are_numbers_or_texts(manifest):
    kafka = {"kafkaConfig": {"consumer": {"a.b": [], "c": True}}}
    _, problems = SeldonConfig.parse(manifest("SeldonConfig", {"config": kafka}))
    assert [str(p) for p in problems if p.reason != "NoEffect"] == [
        "spec.config.kafkaConfig.consumer[a.b]: must be an integer or a string",
        "spec.config.kafkaConfig.consumer.c: must be an integer or a string",
    ]


OTHER_MESHES = {
    "no namespace": ({"namespace": "A.b"}, ["spec.fallbackMesh.namespace"]),
    "an empty namespace, which is no other": (
        {"namespace": "", "service": "x"},
        ["spec.fallbackMesh.namespace"],
    ),
    "an address": ({"service": "169.254.169.254"}, ["spec.fallbackMesh.service"]),
    "a host elsewhere": ({"service": "metadata.google.internal"}, ["spec.fallbackMesh.service"]),
    "a path": ({"service": "x/y"}, ["spec.fallbackMesh.service"]),
    "no port": ({"service": "x", "port": 0}, ["spec.fallbackMesh.port"]),
    "no port either": ({"service": "x", "port": 65536}, ["spec.fallbackMesh.port"]),
    "a port as a text": ({"service": "x", "port": "80"}, ["spec.fallbackMesh.port"]),
    "itself": ({}, ["spec.fallbackMesh"]),
    "itself by name": ({"namespace": "team", "service": "seldon-mesh", "port": 81}, ["spec.fallbackMesh"]),
    "a field that there is not": ({"service": "x", "host": "x"}, ["spec.fallbackMesh.host"]),
}


@pytest.mark.parametrize(("mesh", "paths"), OTHER_MESHES.values(), ids=OTHER_MESHES)
def test_a_mesh_is_the_service_of_another_one(manifest, mesh, paths):
    made = manifest("SeldonRuntime", {"seldonConfig": "default", "fallbackMesh": mesh})
    made["metadata"]["namespace"] = "team"
    _, problems = SeldonRuntime.parse(made)
    assert [problem.path for problem in problems] == paths


@pytest.mark.parametrize("replicas", [-1, 10_001, 2**31 - 1])
def test_a_number_of_pods_that_nobody_means_is_refused(manifest, replicas):
    overrides = [{"name": "seldon-envoy", "replicas": replicas}]
    _, problems = SeldonRuntime.parse(
        manifest("SeldonRuntime", {"seldonConfig": "x", "overrides": overrides})
    )
    assert [(p.path, p.reason) for p in problems] == [("spec.overrides[0].replicas", "Invalid")]
    assert f"{replicas} replicas are wanted" in problems[0].message


SERVICE_SETTINGS = {
    "unknown word": ("serviceType", "Foo", "NotSupported"),
    "name of another case": ("serviceType", "clusterIP", "NotSupported"),
    "no pods behind it": ("serviceType", "ExternalName", "NotSupported"),
    "no name of a port": ("grpcServicePrefix", "gRPC_", "Invalid"),
    "too long for a port": ("grpcServicePrefix", "h2-" * 20, "Invalid"),
}


@pytest.mark.parametrize(("field", "value", "reason"), SERVICE_SETTINGS.values(), ids=SERVICE_SETTINGS)
@pytest.mark.parametrize("kind", [SeldonConfig, SeldonRuntime])
def test_settings_by_which_no_service_can_be_made_are_refused(manifest, kind, field, value, reason):
    spec = {"config": {"serviceConfig": {field: value}}}
    spec |= {"seldonConfig": "default"} if kind is SeldonRuntime else {}
    resource, problems = kind.parse(manifest(kind.__name__, spec))
    assert resource is None
    assert [(p.path, p.reason) for p in problems] == [(f"spec.config.serviceConfig.{field}", reason)]


@pytest.mark.parametrize("value", ["Foo", "ExternalName"])
def test_a_type_that_the_mesh_cannot_have_is_refused(manifest, value):
    overrides = [{"name": "seldon-envoy", "serviceType": value}]
    _, problems = SeldonRuntime.parse(
        manifest("SeldonRuntime", {"seldonConfig": "default", "overrides": overrides})
    )
    assert [(p.path, p.reason) for p in problems] == [("spec.overrides[0].serviceType", "NotSupported")]
