"""Every form of `env`, as tables: what a manifest says and what the process gets."""

from __future__ import annotations

import pytest

from bailie.workloads.node.environment import ConfigError, Sources, environment, expand

SOURCES = Sources(
    ip="127.70.1.2",
    secrets={"s": {"token": "geheim", "user": "anna"}},
    config_maps={"c": {"level": "debug"}},
)


def pod(container):
    return {
        "metadata": {
            "name": "mlserver-0",
            "namespace": "a",
            "uid": "u1",
            "labels": {"team": "x", "example.com/tier": "gold"},
            "annotations": {"note": "n"},
        },
        "spec": {
            "serviceAccountName": "seldon-server",
            "containers": [
                container,
                {"name": "mlserver", "resources": {"requests": {"memory": "1Gi", "cpu": "1500m"}}},
            ],
        },
    }


def env_of(*entries, **container):
    made = {"name": "agent", "env": list(entries), **container}
    return environment(pod(made), made, SOURCES)


def field(path):
    return {"name": "V", "valueFrom": {"fieldRef": {"fieldPath": path}}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$(A)-$(B)", "1-2"),
        ("$(MISSING)", "$(MISSING)"),
        ("$$(A)", "$(A)"),
        ("100$", "100$"),
        ("$(A", "$(A"),
    ],
)
def test_references_to_variables(text, expected):
    assert expand(text, {"A": "1", "B": "2"}) == expected


def test_a_variable_sees_only_those_before_it():
    result = env_of(
        {"name": "LATE", "value": "$(HOST)"},
        {"name": "HOST", "value": "h"},
        {"name": "URL", "value": "http://$(HOST):9000"},
    )
    assert result == {"LATE": "$(HOST)", "HOST": "h", "URL": "http://h:9000"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "mlserver-0"),
        ("metadata.namespace", "a"),
        ("metadata.uid", "u1"),
        ("metadata.labels['team']", "x"),
        ("metadata.labels['example.com/tier']", "gold"),
        ("metadata.labels['absent']", ""),
        ("metadata.annotations['note']", "n"),
        ("spec.serviceAccountName", "seldon-server"),
        ("status.podIP", "127.70.1.2"),
        ("status.hostIP", "127.0.0.1"),
    ],
)
def test_fields_of_the_pod(path, expected):
    assert env_of(field(path)) == {"V": expected}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"resource": "requests.memory", "containerName": "mlserver"}, str(1024**3)),
        ({"resource": "requests.memory", "containerName": "mlserver", "divisor": "1Mi"}, "1024"),
        ({"resource": "requests.cpu", "containerName": "mlserver"}, "2"),
        ({"resource": "requests.memory"}, "0"),
        ({"resource": "limits.memory"}, str(512 * 1024**2)),
    ],
)
def test_resources_of_a_container(reference, expected):
    result = env_of(
        {"name": "V", "valueFrom": {"resourceFieldRef": reference}},
        resources={"limits": {"memory": "512Mi"}} if "limits" in reference["resource"] else {},
    )
    assert result == {"V": expected}


def test_a_request_defaults_to_the_limit():
    reference = {"name": "V", "valueFrom": {"resourceFieldRef": {"resource": "requests.memory"}}}
    assert env_of(reference, resources={"limits": {"memory": "1Ki"}}) == {"V": "1024"}


def test_keys_of_secrets_and_config_maps():
    result = env_of(
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "level"}}},
        {"name": "C", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k", "optional": True}}},
    )
    assert result == {"A": "geheim", "B": "debug"}


def test_whole_secrets_and_config_maps():
    result = env_of(
        {"name": "user", "value": "own"},
        envFrom=[
            {"secretRef": {"name": "s"}},
            {"prefix": "C_", "configMapRef": {"name": "c"}},
            {"configMapRef": {"name": "none", "optional": True}},
        ],
    )
    assert result == {"token": "geheim", "user": "own", "C_level": "debug"}


@pytest.mark.parametrize(
    ("origin", "sentence"),
    [
        (
            {"secretKeyRef": {"name": "no", "key": "k"}},
            "environment variable V: Secret no does not exist in the pod's namespace",
        ),
        ({"secretKeyRef": {"name": "s", "key": "k"}}, "environment variable V: Secret s has no key k"),
        ({"fieldRef": {"fieldPath": "status.x"}}, "environment variable V: the pod has no field status.x"),
        (
            {"resourceFieldRef": {"resource": "limits.cpu", "containerName": "no"}},
            "environment variable V: the pod has no container no",
        ),
        (
            {"fileKeyRef": {}},
            "environment variable V: valueFrom fileKeyRef is not supported for local processes",
        ),
    ],
)
def test_what_cannot_be_resolved_is_said(origin, sentence):
    assert env_of({"name": "V", "valueFrom": origin}) == ConfigError(sentence)
