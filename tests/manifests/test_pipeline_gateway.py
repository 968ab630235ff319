"""The Server that runs a namespace's pipelines, from the overrides of its SeldonRuntime."""

from __future__ import annotations

import json

import pytest
from tests.support import manifests

from bailie.api.kafka_config import content_digest
from bailie.api.seldon_config import Configuration
from bailie.manifests.cluster import companions, pod_controller
from bailie.manifests.pipeline_gateway import (
    broker_warnings,
    gateway_is_left_out,
    pipeline_gateway_workload,
)


def runtime(**override):
    overrides = [{"name": "seldon-pipelinegateway", **override}] if override else []
    return manifests.runtime(overrides=overrides)


def server(**override):
    (found,) = companions(pipeline_gateway_workload(runtime(**override), Configuration()))
    return found


def test_a_server_is_made_that_leaves_the_replicas_to_others():
    found = server()
    assert found["kind"] == "Server"
    assert found["metadata"]["name"] == "seldon-pipelinegateway"
    assert found["metadata"]["ownerReferences"][0]["kind"] == "SeldonRuntime"
    assert found["spec"] == {"serverConfig": "seldon-pipelinegateway"}
    assert pod_controller(pipeline_gateway_workload(runtime(), Configuration())) is None


def test_replicas_and_pods_of_the_runtime_are_the_servers():
    assert server(replicas=3)["spec"]["replicas"] == 3
    pod = {"nodeSelector": {"disk": "fast"}}
    assert server(podSpec=pod)["spec"]["podSpec"] == pod


@pytest.mark.parametrize("name", ["pipelinegateway", "agent"])
def test_the_container_is_known_by_seldon_cores_name_too(name):
    containers = [{"name": name, "env": [{"name": "A", "value": "1"}]}, {"name": "sidecar"}]
    found = server(podSpec={"containers": containers})["spec"]["podSpec"]["containers"]
    assert [each["name"] for each in found] == ["agent", "sidecar"]
    assert found[0]["env"] == [{"name": "A", "value": "1"}]


@pytest.mark.parametrize(
    ("override", "left_out"),
    [({}, False), ({"replicas": 2}, False), ({"replicas": 0}, True), ({"disable": True}, True)],
)
def test_a_runtime_may_want_no_gateway(override, left_out):
    assert gateway_is_left_out(runtime(**override)) is left_out


def with_broker(**kafka):
    return Configuration.model_validate({"kafkaConfig": kafka})


def test_a_broker_is_told_in_a_config_map_and_a_change_of_it_replaces_the_pods():
    kafka = {"bootstrap.servers": "kafka:9092", "producer": {"linger.ms": 0}, "topicPrefix": "own"}
    config_map, made = companions(pipeline_gateway_workload(runtime(), with_broker(**kafka)))
    assert config_map["metadata"]["name"] == "bailie-kafka"
    assert json.loads(config_map["data"]["kafka.json"]) == kafka
    digests = set()
    for changed in ({}, {"topicPrefix": "other"}, {"bootstrap.servers": "other:9092"}):
        workload = pipeline_gateway_workload(runtime(), with_broker(**{**kafka, **changed}))
        digests.add(companions(workload)[1]["metadata"]["annotations"]["bailie.io/kafka-config"])
    assert len(digests) == 3
    told = made["metadata"]["annotations"]["bailie.io/kafka-config"]
    assert told in digests
    assert told == content_digest(config_map["data"]["kafka.json"].encode())


def test_the_config_map_is_written_before_the_server_that_replaces_the_pods():
    workload = pipeline_gateway_workload(runtime(), with_broker(**{"bootstrap.servers": "kafka:9092"}))
    assert [each["kind"] for each in companions(workload)] == ["ConfigMap", "Server"]


@pytest.mark.parametrize("brokers", [None, "", "  "])
def test_without_brokers_there_is_no_config_map_and_the_rest_is_told_to_have_no_effect(brokers):
    settings = with_broker(**{"bootstrap.servers": brokers, "topicPrefix": "own"})
    (only,) = companions(pipeline_gateway_workload(runtime(), settings))
    assert only["kind"] == "Server"
    assert only["metadata"]["annotations"] == {"bailie.io/kafka-config": "none"}
    (warning,) = broker_warnings(settings)
    assert "bootstrap.servers" in warning.message
    assert broker_warnings(Configuration()) == []
    assert broker_warnings(with_broker(**{"bootstrap.servers": "kafka:9092"})) == []
