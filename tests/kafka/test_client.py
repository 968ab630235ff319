"""Clients with the settings of users, without a broker."""

from __future__ import annotations

import pytest

from bailie.kafka.client import KafkaTrouble, record_clients
from bailie.kafka.settings import KafkaSettings

COMMON = {"bootstrap.servers": "127.0.0.1:1"}


@pytest.mark.parametrize("kind", ["consumer", "producer"])
def test_a_value_that_the_library_refuses_for_records_is_told_at_once(kind):
    settings = {
        "consumer": {"session.timeout.ms": "400000"},  # longer than max.poll.interval.ms
        "producer": {"linger.ms": "60000"},  # longer than message.timeout.ms of transactions
    }
    with pytest.raises(KafkaTrouble, match=r"timeout\.ms"):
        record_clients(KafkaSettings(common=COMMON, **{kind: settings[kind]}), "g", "pod-0")


def test_gateways_with_other_topics_have_other_names():
    def names(**changes):
        made = []
        found = record_clients(KafkaSettings(common=COMMON, **changes), "g", "pod-0")
        for kind, key in ((found.consumer, "group.instance.id"), (found.producer, "transactional.id")):
            made.append(kind.args[1][key])
        return made

    assert names() == ["pod-0", "g.pod-0"]
    assert names(topic_prefix="team") == ["team.pod-0", "g.team.pod-0"]


@pytest.mark.parametrize("kind", ["consumer", "producer"])
@pytest.mark.parametrize("name", ["default.topic.config", "error_cb", "stats_cb", "no.property"])
def test_a_property_that_is_no_text_is_told(kind, name):
    with pytest.raises(KafkaTrouble, match=name.replace(".", r"\.")):
        record_clients(KafkaSettings(common=COMMON, **{kind: {name: "text"}}), "g", "pod-0")
