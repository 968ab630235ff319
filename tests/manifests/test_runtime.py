from __future__ import annotations

from dataclasses import asdict

import pytest
from tests.support.manifests import default_seldon_config, manifest_of, parsed, runtime

from bailie.api.seldon_config import SeldonConfig
from bailie.manifests.runtime import missing_components, runtime_workloads


def _workloads(**spec):
    return {w.name: w for w in runtime_workloads(runtime(**spec), default_seldon_config())}


def _service(workload, name):
    return next(o for o in workload.objects if (o["kind"], o["metadata"]["name"]) == ("Service", name))


def test_the_default_runtime_is_the_golden_one(golden):
    golden.check("runtime", [asdict(w) for w in runtime_workloads(runtime(), default_seldon_config())])


def test_replicas():
    overrides = [{"name": "seldon-scheduler", "replicas": 2}, {"name": "seldon-envoy", "replicas": 0}]
    workloads = _workloads(overrides=overrides)
    assert {name: w.replicas for name, w in workloads.items()} == {"seldon-scheduler": 2, "seldon-envoy": 0}
    assert _service(workloads["seldon-envoy"], "seldon-mesh")


@pytest.mark.parametrize("name", ["seldon-scheduler", "seldon-envoy"])
def test_a_disabled_component_leaves_nothing(name):
    assert name not in _workloads(overrides=[{"name": name, "disable": True}])


def test_the_service_of_a_disabled_component_can_stay():
    overrides = [{"name": "seldon-envoy", "disable": True, "keepService": True, "replicas": 3}]
    envoy = _workloads(overrides=overrides)["seldon-envoy"]
    assert envoy.replicas == 0
    assert _service(envoy, "seldon-mesh")


def test_other_components_are_not_run():
    assert set(_workloads(overrides=[{"name": "hodometer", "replicas": 1}])) == {
        "seldon-scheduler",
        "seldon-envoy",
    }


def test_a_scheduler_elsewhere_is_an_alias_without_pods():
    scheduler = _workloads(schedulerNamespace="central")["seldon-scheduler"]
    assert scheduler.replicas == 0
    service = _service(scheduler, "seldon-scheduler")
    assert service["spec"]["externalName"] == "seldon-scheduler.central.svc.cluster.local"


def test_the_own_namespace_as_scheduler_namespace_changes_nothing():
    assert _workloads(schedulerNamespace="a") == _workloads()


SERVICE_TYPES = {
    "default": ({}, "LoadBalancer"),
    "shared setting": ({"config": {"serviceConfig": {"serviceType": "ClusterIP"}}}, "ClusterIP"),
    "override": ({"overrides": [{"name": "seldon-envoy", "serviceType": "NodePort"}]}, "NodePort"),
    "empty override": ({"overrides": [{"name": "seldon-envoy", "serviceType": ""}]}, "LoadBalancer"),
    "override for something else": ({"overrides": [{"name": "seldon-envoy", "replicas": 2}]}, "LoadBalancer"),
}


@pytest.mark.parametrize(("spec", "expected"), SERVICE_TYPES.values(), ids=SERVICE_TYPES)
def test_service_type(spec, expected):
    service = _service(_workloads(**spec)["seldon-envoy"], "seldon-mesh")
    assert service["spec"]["type"] == expected


def test_prefix_of_grpc_ports():
    workloads = _workloads(config={"serviceConfig": {"grpcServicePrefix": "http2-"}})
    scheduler = _service(workloads["seldon-scheduler"], "seldon-scheduler")["spec"]["ports"]
    mesh = _service(workloads["seldon-envoy"], "seldon-mesh")["spec"]["ports"]
    assert [p["name"] for p in scheduler] == ["http2-xds", "http2-agent", "http"]
    assert [p["name"] for p in mesh] == ["http2-data", "stats"]


def test_remotes_reach_the_agents():
    rclone = {"config": ["{}"], "config_secrets": ["gs"]}
    scheduler = _workloads(config={"agentConfig": {"rclone": rclone}})["seldon-scheduler"]
    config_map = next(o for o in scheduler.objects if o["kind"] == "ConfigMap")
    assert config_map["data"]["agent.yaml"] == "rclone:\n  config:\n  - '{}'\n  config_secrets:\n  - gs\n"


def test_components_without_a_template_are_named():
    config = parsed(SeldonConfig, manifest_of("SeldonConfig", "x", {"components": []}))
    bare = runtime()
    assert missing_components(bare, config) == ["seldon-scheduler", "seldon-envoy"]
    assert runtime_workloads(bare, config) == []
    own = runtime(
        overrides=[
            {"name": "seldon-scheduler", "podSpec": {"containers": []}},
            {"name": "seldon-envoy", "disable": True},
        ]
    )
    assert missing_components(own, config) == []
