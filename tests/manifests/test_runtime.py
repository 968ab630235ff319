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
    overrides = [{"name": "seldon-scheduler", "replicas": 2}, {"name": "seldon-envoy", "replicas": 3}]
    workloads = _workloads(overrides=overrides)
    assert [workloads[name].replicas for name in ("seldon-scheduler", "seldon-envoy")] == [2, 3]


LEFT_OUT = {"disabled": {"disable": True}, "no replicas": {"replicas": 0}}


@pytest.mark.parametrize("name", ["seldon-scheduler", "seldon-envoy"])
@pytest.mark.parametrize("how", LEFT_OUT.values(), ids=LEFT_OUT)
def test_a_component_that_is_left_out_leaves_nothing(name, how):
    assert name not in _workloads(overrides=[{"name": name, **how}])


@pytest.mark.parametrize(
    ("name", "kept"), [("seldon-scheduler", "seldon-scheduler"), ("seldon-envoy", "seldon-mesh")]
)
@pytest.mark.parametrize("how", LEFT_OUT.values(), ids=LEFT_OUT)
def test_the_service_of_a_component_that_is_left_out_can_stay(name, kept, how):
    workload = _workloads(overrides=[{"name": name, "keepService": True, **how}])[name]
    assert (workload.replicas, workload.template) == (0, {})
    assert [(each["kind"], each["metadata"]["name"]) for each in workload.objects] == [("Service", kept)]


def test_other_components_are_not_run():
    found = set(_workloads(overrides=[{"name": "hodometer", "replicas": 1}]))
    assert found == {"seldon-agent", "seldon-scheduler", "seldon-envoy"}


def test_a_scheduler_elsewhere_leaves_no_pod_here_but_the_way_to_it():
    workloads = _workloads(
        schedulerNamespace="central", overrides=[{"name": "seldon-scheduler", "keepService": True}]
    )
    assert set(workloads) == {"seldon-agent", "seldon-envoy", "seldon-scheduler"}
    own = _workloads()
    assert workloads["seldon-envoy"] == own["seldon-envoy"]  # so no pod changes when the scheduler does
    assert not workloads["seldon-scheduler"].template
    assert workloads["seldon-scheduler"].objects == own["seldon-scheduler"].objects


def test_the_own_namespace_as_scheduler_namespace_changes_nothing():
    assert _workloads(schedulerNamespace="a") == _workloads()


def test_a_scheduler_knows_the_other_namespaces_that_it_serves():
    made = runtime_workloads(runtime(), default_seldon_config(), serves=("c", "b"))
    scheduler = next(each for each in made if each.name == "seldon-scheduler")
    alone = _workloads()["seldon-scheduler"]
    assert scheduler.template == alone.template
    listed = [each for each in scheduler.objects if each not in alone.objects]
    assert [(each["kind"], each["data"]) for each in listed] == [("ConfigMap", {"namespaces": "b\nc\n"})]


def test_the_schedulers_service_leads_nowhere_but_to_the_leader():
    scheduler = _workloads()["seldon-scheduler"]
    spec = _service(scheduler, "seldon-scheduler")["spec"]
    assert "selector" not in spec
    leader = next(each for each in scheduler.objects if each["kind"] == "EndpointSlice")
    assert "endpoints" not in leader
    named = {each["name"]: each["port"] for each in leader["ports"]}
    assert named == {each["name"]: each["targetPort"] for each in spec["ports"]}


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
    assert [p["name"] for p in mesh] == ["http2-data"]


@pytest.mark.parametrize(("spec", "expected"), SERVICE_TYPES.values(), ids=SERVICE_TYPES)
def test_metrics_of_envoy_are_for_the_cluster_only(spec, expected):
    service = _service(_workloads(**spec)["seldon-envoy"], "seldon-envoy")
    assert service["spec"]["type"] == "ClusterIP"
    assert [p["port"] for p in service["spec"]["ports"]] == [9003]


def test_remotes_reach_the_agents():
    rclone = {"config": ["{}"], "config_secrets": ["gs"]}
    config_map, _ = _workloads(config={"agentConfig": {"rclone": rclone}})["seldon-agent"].objects
    assert config_map["data"]["agent.yaml"] == "rclone:\n  config:\n  - '{}'\n  config_secrets:\n  - gs\n"


def test_components_without_a_template_are_named():
    config = parsed(SeldonConfig, manifest_of("SeldonConfig", "x", {"components": []}))
    bare = runtime()
    assert missing_components(bare, config) == ["seldon-scheduler", "seldon-envoy"]
    assert [each.name for each in runtime_workloads(bare, config)] == ["seldon-agent"]
    own = runtime(
        overrides=[
            {"name": "seldon-scheduler", "podSpec": {"containers": []}},
            {"name": "seldon-envoy", "disable": True},
        ]
    )
    assert missing_components(own, config) == []
