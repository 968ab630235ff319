"""The topics of Seldon Core's pipelines: left alone without a broker, and read anew with one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.plan_grounds import resource, seen_as

from bailie.migration.checks.broker import topics
from bailie.migration.source import MoveSource

PIPELINE = resource("Pipeline", "joined", {"steps": [{"name": "iris"}]})
SELDONS = (MoveSource.SELDON_SCOPED, MoveSource.SELDON_CENTRAL)
BROKERS = {"bootstrap.servers": "kafka:9092"}


def runtime(**kafka):
    config = {"config": {"kafkaConfig": kafka}} if kafka else {}
    return resource("SeldonRuntime", "seldon", {"seldonConfig": "default", **config})


def config(namespace="team", **kafka):
    found = resource("SeldonConfig", "default", {"config": {"kafkaConfig": kafka}})
    found["metadata"]["namespace"] = namespace
    return found


def found_for(*objects, source=MoveSource.SELDON_SCOPED):
    return [(each.impact, each.check) for each in topics(seen_as(PIPELINE, *objects), source)]


@pytest.mark.parametrize("source", SELDONS)
def test_requests_that_topics_still_have_run_again(source):
    (found,) = topics(seen_as(PIPELINE, runtime(**BROKERS)), source)
    assert (found.impact, found.check) == ("advice", "records")
    assert "run once more" in found.message
    assert found.remedy.startswith("kubectl edit seldonruntime seldon --namespace team; auto.offset.reset")


@pytest.mark.parametrize("reset", ["latest", "end", "largest", "Latest"])
def test_topics_that_are_read_from_their_end_are_no_finding(reset):
    given = {**BROKERS, "consumer": {"auto.offset.reset": reset}}
    assert found_for(runtime(**given)) == []
    assert found_for(runtime(consumer={"auto.offset.reset": reset}), config(**BROKERS)) == []


def test_a_broker_of_the_seldon_config_counts_where_the_operator_looks():
    assert found_for(runtime(), config(**BROKERS)) == [("advice", "records")]
    facts = seen_as(PIPELINE, runtime())
    shared = replace(facts, cluster=replace(facts.cluster, shared=(config("bailie-home", **BROKERS),)))
    assert [each.check for each in topics(shared, MoveSource.SELDON_SCOPED)] == ["records"]


def test_the_broker_of_a_configuration_that_the_move_sets_aside_counts_no_more():
    facts = seen_as(PIPELINE, runtime(), config(**BROKERS))
    moved = replace(facts, cluster=replace(facts.cluster, shared=(config("bailie-home"),)))
    assert [each.check for each in topics(moved, MoveSource.SELDON_SCOPED)] == ["broker"]


@pytest.mark.parametrize("objects", [(), (runtime(),), (runtime(topicPrefix="own"), config(topicPrefix="x"))])
def test_without_a_broker_topics_are_left_alone(objects):
    assert found_for(*objects) == [("advice", "broker")]


def test_a_runtime_with_mistakes_is_another_check_s():
    assert found_for(resource("SeldonRuntime", "seldon", {"seldonConfig": 3})) == [("advice", "broker")]


@pytest.mark.parametrize("source", [each for each in MoveSource if each not in SELDONS])
def test_moves_within_bailie_keep_their_offsets(source):
    assert found_for(runtime(**BROKERS), source=source) == []


def test_without_pipelines_there_is_nothing_to_say():
    assert list(topics(seen_as(runtime(**BROKERS)), MoveSource.SELDON_SCOPED)) == []
