"""How many Models are in which state."""

from __future__ import annotations

import pytest
from tests.support.fleet import FAILED, LOADED
from tests.support.passes import Pass

from bailie.scheduler.status.metrics import MODELS, ModelCounts


@pytest.fixture
def world():
    made = Pass()
    made.agents.connect()
    made.counts = ModelCounts("counted")
    made.reports.append(made.counts.take)
    yield made
    made.counts.end()


def counted():
    """`{state: models}` of the namespace, without zeros."""
    (family,) = MODELS.collect()
    mine = [each for each in family.samples if each.labels["namespace"] == "counted" and each.value]
    return {each.labels["state"]: each.value for each in mine}


def test_each_model_counts_once_in_its_newest_state(world):
    world.served("a")
    identity = world.model("b")
    world.model("c", requirements=["none-has-this"])
    world.model("d", replicas=0)
    world.model("e", generation=1, memory="much")
    world.step()
    expected = {"ModelAvailable": 1, "ModelScaledDown": 1, "ScheduleFailed": 1, "InvalidSpec": 1}
    assert counted() == {**expected, "ModelProgressing": 1}
    world.agents.report("b", identity, 1, FAILED)
    world.step()
    assert counted() == {**expected, "ModelFailed": 1}
    world.agents.report("b", identity, 1, LOADED)
    world.step()
    world.step()
    assert counted() == {**expected, "ModelAvailable": 2}


def test_a_model_whose_former_version_answers_is_told_apart_and_one_that_is_gone_is_not_counted(world):
    world.served("a")
    world.model("a", generation=2, storageUri="/n")
    world.step()
    assert counted() == {"PreviousVersionAnswers": 1}
    del world.models["a"]
    world.step()
    assert counted() == {}


def test_nothing_is_counted_when_the_term_is_over(world):
    world.served("a")
    world.counts.end()
    (family,) = MODELS.collect()
    assert [each for each in family.samples if each.labels["namespace"] == "counted"] == []
    world.counts = ModelCounts("counted")
