"""The message broker in SeldonConfigs and SeldonRuntimes: refused, without effect, or taken."""

from __future__ import annotations

import pytest

from bailie.api.kafka_config import KafkaConfig, topic_number
from bailie.api.resource import NO_EFFECT

CASES = {
    "nothing": ({}, []),
    "what people have": (
        {
            "bootstrap.servers": "kafka:9092",
            "consumer": {"session.timeout.ms": 6000, "auto.offset.reset": "earliest"},
            "producer": {"linger.ms": 0, "message.max.bytes": 1_000_000_000},
            "topics": {"replicationFactor": "3", "numPartitions": 4},
            "topicPrefix": "my.own_prefix-1",
            "consumerGroupIdPrefix": "team",
            "debug": "broker,msg",
        },
        [],
    ),
    "a name of a property that may exist": ({"producer": {"no.such.property": 1}}, []),
    "code in the producer": (
        {"producer": {"plugin.library.paths": "/tmp/x.so"}},
        [("k.producer.plugin.library.paths", "Forbidden")],
    ),
    "a command in the consumer": (
        {"consumer": {"sasl.kerberos.kinit.cmd": "id", "ssl.engine.location": "x", "ssl.providers": "y"}},
        [
            ("k.consumer.sasl.kerberos.kinit.cmd", "Forbidden"),
            ("k.consumer.ssl.engine.location", "Forbidden"),
            ("k.consumer.ssl.providers", "Forbidden"),
        ],
    ),
    "a file of the gateway": (
        {"producer": {"sasl.oauthbearer.assertion.file": "/var/run/secrets/bailie/token"}},
        [("k.producer.sasl.oauthbearer.assertion.file", "Forbidden")],
    ),
    "properties of the gateway's own": (
        {"consumer": {"group.id": "mine"}, "producer": {"bootstrap.servers": "elsewhere"}},
        [("k.consumer.group.id", NO_EFFECT), ("k.producer.bootstrap.servers", NO_EFFECT)],
    ),
    "streams": ({"streams": {"num.stream.threads": 4}}, [("k.streams", NO_EFFECT)]),
    "settings of topics that are none": (
        {"topics": {"retention.ms": 1}},
        [("k.topics.retention.ms", NO_EFFECT)],
    ),
    "no number": ({"topics": {"numPartitions": "many"}}, [("k.topics.numPartitions", "Invalid")]),
    "too small": ({"topics": {"replicationFactor": 0}}, [("k.topics.replicationFactor", "Invalid")]),
    "too large": ({"topics": {"numPartitions": 10**12}}, [("k.topics.numPartitions", "Invalid")]),
    "below zero": ({"topics": {"numPartitions": "-1"}}, [("k.topics.numPartitions", "Invalid")]),
    "a prefix that no topic may have": ({"topicPrefix": "a b"}, [("k.topicPrefix", "Invalid")]),
    "a prefix in other letters": ({"topicPrefix": "größe"}, [("k.topicPrefix", "Invalid")]),
    "a long prefix": ({"topicPrefix": "a" * 101}, [("k.topicPrefix", "Invalid")]),
}


@pytest.mark.parametrize(("given", "expected"), CASES.values(), ids=CASES)
def test_every_mistake_is_told_with_its_place(given, expected):
    found = KafkaConfig.model_validate(given).problems("k")
    assert [(each.path, each.reason) for each in found] == expected
    assert all(each.message for each in found)


@pytest.mark.parametrize(
    ("topics", "number"), [({}, 1), ({"numPartitions": "7"}, 7), ({"numPartitions": "x"}, 1)]
)
def test_numbers_of_topics(topics, number):
    assert topic_number(topics, "numPartitions") == number
