from __future__ import annotations

import pytest

from bailie.api.seldon_config import Configuration
from bailie.manifests.configuration import effective_configuration

CASES = {
    "both empty": ({}, {}, {}),
    "filled as a whole": ({}, {"kafkaConfig": {"topicPrefix": "x"}}, {"kafkaConfig": {"topicPrefix": "x"}}),
    "the runtime's scalar wins": (
        {"kafkaConfig": {"topicPrefix": "own"}},
        {"kafkaConfig": {"topicPrefix": "x", "debug": "all"}},
        {"kafkaConfig": {"topicPrefix": "own", "debug": "all"}},
    ),
    "an empty text counts as unset": (
        {"kafkaConfig": {"topicPrefix": ""}},
        {"kafkaConfig": {"topicPrefix": "x"}},
        {"kafkaConfig": {"topicPrefix": "x"}},
    ),
    "maps by key": (
        {"kafkaConfig": {"consumer": {"a": 1}}},
        {"kafkaConfig": {"consumer": {"a": 2, "b": 3}}},
        {"kafkaConfig": {"consumer": {"a": 1, "b": 3}}},
    ),
    "topics as a whole": (
        {"kafkaConfig": {"topics": {"a": 1}}},
        {"kafkaConfig": {"topics": {"b": 3}}},
        {"kafkaConfig": {"topics": {"a": 1}}},
    ),
    "remotes once each": (
        {"agentConfig": {"rclone": {"config_secrets": ["own", "gs"]}}},
        {"agentConfig": {"rclone": {"config_secrets": ["gs", "s3"], "config": ["{}"]}}},
        {"agentConfig": {"rclone": {"config_secrets": ["own", "gs", "s3"], "config": ["{}"]}}},
    ),
    "tracing is switched off from above": (
        {"tracingConfig": {"ratio": "1"}},
        {"tracingConfig": {"disable": True, "ratio": "0.5", "otelExporterProtocol": "grpc"}},
        {"tracingConfig": {"disable": True, "ratio": "1", "otelExporterProtocol": "grpc"}},
    ),
    "and where the runtime says nothing": (
        {},
        {"tracingConfig": {"disable": True, "ratio": "0.5"}},
        {"tracingConfig": {"disable": True, "ratio": "0.5"}},
    ),
    "but not for a runtime with a collector of its own": (
        {"tracingConfig": {"otelExporterEndpoint": "own:1"}},
        {"tracingConfig": {"disable": True, "otelExporterEndpoint": "all:1", "ratio": "0.5"}},
        {"tracingConfig": {"otelExporterEndpoint": "own:1", "ratio": "0.5"}},
    ),
}


@pytest.mark.parametrize(("own", "base", "expected"), CASES.values(), ids=CASES)
def test_joins(own, base, expected):
    joined = effective_configuration(Configuration.model_validate(own), Configuration.model_validate(base))
    assert joined == Configuration.model_validate(expected)
