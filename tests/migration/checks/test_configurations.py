"""Which configuration counts after a move: that beside Bailie's operator, then the namespace's own."""

from __future__ import annotations

import pytest
from tests.support.plan_grounds import HOME, OLD, resource, seen_as

from bailie.api import kinds
from bailie.doctor.facts import InstallationView
from bailie.migration.checks.configurations import bailies_homes, configurations, runtime_of, settings_of


def config(namespace, prefix, name="default"):
    return resource(
        "SeldonConfig", name, {"config": {"kafkaConfig": {"topicPrefix": prefix}}}, namespace=namespace
    )


RUNTIME = resource("SeldonRuntime", "seldon", {"seldonConfig": "default"})
OWN, BESIDE, FOREIGN = config("team", "own"), config(HOME, "bailie"), config(OLD, "foreign")
FOUND = {
    "nothing is there": ((), (), None),
    "the namespace has one": ((OWN,), (), "own"),
    "the operator has one": ((), (BESIDE,), "bailie"),
    "both have one, and a move sets the namespace's aside": ((OWN,), (BESIDE,), "bailie"),
    "another system's is none": ((), (FOREIGN,), None),
    "the namespace's stays where another system has the name": ((OWN,), (FOREIGN,), "own"),
    "the operator's has another name": ((OWN,), (config(HOME, "x", "other"),), "own"),
}


def seen(*manifests, shared=()):
    return seen_as(*manifests, installations=(InstallationView(home=HOME),), shared=shared)


@pytest.mark.parametrize(("own", "shared", "prefix"), FOUND.values(), ids=FOUND.keys())
def test_the_configuration_that_counts(own, shared, prefix):
    facts = seen(RUNTIME, *own, shared=shared)
    settings = settings_of(facts, runtime_of(facts), bailies_homes(facts))
    assert (settings.kafka_config and settings.kafka_config.topic_prefix) == prefix


def test_any_configuration_counts_where_the_operators_are_not_known():
    found = configurations(seen(shared=(FOREIGN,)), kinds.SELDON_CONFIG, None)
    assert found == {"default": FOREIGN}


def test_a_configuration_with_mistakes_adds_nothing_to_the_runtime():
    wrong = resource("SeldonConfig", "default", {"config": 3}, namespace=HOME)
    facts = seen(RUNTIME, shared=(wrong,))
    runtime = runtime_of(facts)
    assert settings_of(facts, runtime, bailies_homes(facts)) == runtime.spec.config


@pytest.mark.parametrize(
    ("runtime", "is_read"),
    [
        (RUNTIME, True),
        ({**RUNTIME, "status": {"conditions": "three"}}, True),
        (resource("SeldonRuntime", "seldon", {"seldonConfig": 3}), False),
        (None, False),
    ],
    ids=["usual", "a status that cannot be read", "mistakes", "none"],
)
def test_the_runtime_is_read_whatever_its_status_says(runtime, is_read):
    facts = seen(*([runtime] if runtime else []))
    assert (runtime_of(facts) is not None) == is_read
