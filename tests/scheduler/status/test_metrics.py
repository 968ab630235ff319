"""How many Models, and how many replicas of Servers, are in which state."""

from __future__ import annotations

import pytest
from tests.support.fleet import FAILED, LOADED
from tests.support.passes import Pass

from bailie.scheduler.status.metrics import MODELS, REPLICAS, ModelCounts, ServerCounts


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


def replicas():
    """`{(server, state): replicas}` of the namespace, without zeros."""
    (family,) = REPLICAS.collect()
    mine = [each for each in family.samples if each.labels["namespace"] == "counted" and each.value]
    return {(each.labels["server"], each.labels["state"]): each.value for each in mine}


@pytest.fixture
def servers(world):
    made = ServerCounts("counted")
    world.reports.append(made.take)
    yield made
    made.end()


def test_replicas_that_a_server_asks_for_are_counted_by_what_is_known_of_them(world, servers):
    world.server(replicas=3)
    world.server("triton", replicas=1)
    world.step()
    lost = ("triton", "NotConnected")
    assert replicas() == {("mlserver", "Ready"): 1, ("mlserver", "NotConnected"): 2, lost: 1}
    del world.servers["triton"]
    world.agents.change(server_ready=False)
    world.step()
    assert replicas() == {("mlserver", "NotReady"): 1, ("mlserver", "NotConnected"): 2}
    world.server(replicas=0, running=1)
    world.agents.change(draining=True)
    world.step()
    assert replicas() == {("mlserver", "Draining"): 1}


def test_no_replica_is_counted_when_the_term_is_over(world, servers):
    world.step()
    assert replicas() == {("mlserver", "Ready"): 1}
    servers.end()
    assert replicas() == {}
