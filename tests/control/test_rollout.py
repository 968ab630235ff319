"""Roll-outs pass by pass: the newest spec wins, what answers goes on answering, nothing is left behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.fleet import FAILED, LOADED, LOADING
from tests.support.passes import Pass

from bailie.control.acknowledgements import DRAIN_SECONDS
from bailie.lifecycle.conditions import model_status
from bailie.lifecycle.version import VersionState
from bailie.placement import ReplicaId

OTHER = ReplicaId("other", 0)


@pytest.fixture
def world():
    made = Pass()
    made.agents.connect()
    return made


def said(world, observed):
    """`(observedGeneration, Ready, reason of RolledOut)` as the API would have it."""
    facts = world.engine.result.facts["iris"]
    status = model_status(replace(facts, observed=observed), "2026-01-01T00:00:00Z")
    conditions = {each["type"]: each for each in status["conditions"]}
    return status["observedGeneration"], conditions["Ready"]["status"], conditions["RolledOut"]["reason"]


def test_the_newest_of_several_changes_wins_and_nothing_is_left(world):
    first = world.served()
    second = world.model(generation=2, storageUri="/b")
    assert world.step() == ["load iris_2 mlserver-0"]
    world.agents.report("iris", second, 2, LOADING)
    world.step()
    third = world.model(generation=3, storageUri="/c")
    assert world.step() == ["load iris_3 mlserver-0", "unload iris_2 mlserver-0"]
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
    world.agents.report("iris", second, 2, LOADED)  # it was faster than the unload
    world.agents.report("iris", third, 3, LOADING)
    assert world.step() == []
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
    world.agents.report("iris", second, 2, None)
    world.agents.report("iris", third, 3, LOADED)
    world.step()
    assert world.publisher.backends("iris") == {"iris_3": {"mlserver-0"}}
    assert world.step(DRAIN_SECONDS) == ["unload iris_1 mlserver-0"]
    world.agents.report("iris", first, 1, None)
    assert world.step() == []
    assert {each.id.name for each in world.engine.result.copies["iris"]} == {"iris_3"}


def test_a_version_that_never_came_up_is_cleared_away_when_a_newer_one_comes(world):
    world.served()
    second = world.model(generation=2, storageUri="/b")
    world.step()
    world.agents.report("iris", second, 2, FAILED, reason="LoadFailed")
    world.step()
    world.model(generation=3, storageUri="/c")
    assert world.step() == ["load iris_3 mlserver-0", "unload iris_2 mlserver-0"]


def test_on_another_server_the_old_one_answers_until_the_new_one_is_complete(world):
    world.server("other")
    world.agents.connect(OTHER, capabilities=("sklearn", "gpu"))
    world.server("mlserver")
    first = world.served(requirements=["sklearn"], server="mlserver")
    second = world.model(generation=2, requirements=["sklearn", "gpu"])
    assert world.step() == ["load iris_2 other-0"]
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
    world.agents.report("iris", second, 2, LOADED, replica=OTHER)
    world.step()
    assert world.publisher.backends("iris") == {"iris_2": {"other-0"}}
    assert world.step(DRAIN_SECONDS) == ["unload iris_1 mlserver-0"]
    world.agents.report("iris", first, 1, None)
    assert world.step() == []


def test_a_new_version_that_fits_nowhere_leaves_the_old_one_and_says_so(world):
    world.served()
    world.model(generation=2, requirements=["gpu"])
    assert world.step() == []
    assert said(world, observed=1) == (1, "True", "ScheduleFailed")
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
    world.model(generation=3)
    assert world.step() == []
    assert world.step() == []
    assert said(world, observed=1) == (3, "True", "ModelAvailable")


def test_every_step_of_a_failing_roll_out_names_the_generation_that_answers(world):
    world.served()
    assert said(world, observed=1) == (1, "True", "ModelAvailable")
    second = world.model(generation=2, storageUri="/b")
    world.step()
    assert said(world, observed=1) == (1, "True", "ModelProgressing")
    world.agents.report("iris", second, 2, FAILED, reason="ArtifactNotFound", message="/b is not there")
    world.step()
    assert said(world, observed=1) == (1, "True", "ArtifactNotFound")
    world.model(generation=3, storageUri="")
    world.step()
    assert said(world, observed=1) == (1, "True", "Required")
    world.model(generation=4, storageUri=":local:/etc")
    assert [sent for sent in world.step() if sent.startswith("load")] == []
    assert said(world, observed=1) == (1, "True", "StorageUriRefused")
    world.model(generation=5)
    world.step()
    assert said(world, observed=1) == (5, "True", "ModelAvailable")


def test_a_change_of_replicas_during_a_roll_out_is_no_new_version(world):
    world.server(replicas=2)
    world.agents.connect(ReplicaId("mlserver", 1))
    world.served()
    second = world.model(generation=2, storageUri="/b")
    (sent,) = world.step()
    assert sent.startswith("load iris_2 ")
    world.model(generation=3, storageUri="/b", replicas=2)
    (also,) = world.step()
    assert {sent, also} == {"load iris_2 mlserver-0", "load iris_2 mlserver-1"}
    for index in (0, 1):
        assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
        world.agents.report("iris", second, 2, LOADED, replica=ReplicaId("mlserver", index))
        world.step()
    assert world.publisher.backends("iris") == {"iris_2": {"mlserver-0", "mlserver-1"}}
    world.step()
    assert world.state() is VersionState.AVAILABLE


def test_the_old_version_is_scaled_away_with_the_new_spec_when_that_wants_none(world):
    world.served()
    world.model(generation=2, storageUri="/b", replicas=0)
    assert world.step() == []
    assert world.step(DRAIN_SECONDS) == ["unload iris_1 mlserver-0"]
    assert world.publisher.table.entries["iris"].reason == "ModelScaledDown"
