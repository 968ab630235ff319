"""Which draining replicas may end, and that nothing is lost by it: single passes of the engine."""

from __future__ import annotations

import pytest
from tests.support.fleet import EVICTED, FAILED, FIRST, LOADED, LOADING
from tests.support.passes import Pass

from bailie.control.acknowledgements import DRAIN_SECONDS, GIVE_UP_SECONDS
from bailie.control.fleet import AWAY_SECONDS
from bailie.lifecycle.version import VersionState
from bailie.placement import ReplicaId

SECOND, THIRD = ReplicaId("mlserver", 1), ReplicaId("mlserver", 2)
ON_FIRST, ON_SECOND = {"iris_1": {"mlserver-0"}}, {"iris_1": {"mlserver-1"}}


@pytest.fixture
def world():
    """One model, answered by the first of three replicas."""
    made = Pass()
    made.server(replicas=3)
    made.agents.connect()
    made.identity = made.served()
    made.agents.connect(SECOND)
    made.agents.connect(THIRD)
    made.step(DRAIN_SECONDS)
    return made


def drain(world, replica=FIRST):
    world.agents.change(replica, draining=True)
    return world.step()


def load_ends(world, state, replica=SECOND, **fields):
    world.agents.report("iris", world.identity, 1, state, replica=replica, **fields)
    return world.step()


def test_a_replica_may_end_when_its_model_is_answered_elsewhere(world):
    assert drain(world) == ["load iris_1 mlserver-1"]
    load_ends(world, LOADING)
    assert (world.publisher.backends("iris"), world.agents.drained) == (ON_FIRST, [])
    load_ends(world, LOADED)
    assert (world.publisher.backends("iris"), world.agents.drained) == (ON_SECOND, [])
    assert world.step(DRAIN_SECONDS) == []
    assert world.agents.drained == [("mlserver-0", [])]
    assert world.state() is VersionState.AVAILABLE


def test_it_is_told_once_in_each_session(world):
    drain(world)
    load_ends(world, LOADED)
    for _ in range(3):
        world.step(DRAIN_SECONDS)
    assert len(world.agents.drained) == 1
    world.agents.disconnect()
    world.step(AWAY_SECONDS)
    world.agents.connect(draining=True)
    world.step()
    assert len(world.agents.drained) == 2


def test_a_data_plane_that_has_not_heard_holds_the_replica(world):
    drain(world)
    world.publisher.prompt = False
    load_ends(world, LOADED)
    world.step(DRAIN_SECONDS)
    assert world.agents.drained == []
    world.publisher.acknowledge()
    world.step()
    assert world.agents.drained == []
    world.step(DRAIN_SECONDS)
    assert world.agents.drained == [("mlserver-0", [])]


def test_a_data_plane_that_never_hears_is_given_up(world):
    drain(world)
    world.publisher.prompt = False
    load_ends(world, LOADED)
    world.step(GIVE_UP_SECONDS)
    assert world.agents.drained == [("mlserver-0", [])]


def test_a_replica_without_models_may_end_at_once(world):
    drain(world, THIRD)
    assert world.agents.drained == [("mlserver-2", [])]


def test_a_model_without_another_place_is_not_waited_for(world):
    world.agents.disconnect(SECOND)
    world.agents.disconnect(THIRD)
    world.step()
    world.step(AWAY_SECONDS)
    drain(world)
    assert world.agents.drained == [("mlserver-0", ["iris"])]
    assert world.publisher.backends("iris") == ON_FIRST
    assert world.engine.result.facts["iris"].scheduling == "0/1 servers fit: 1 is draining"


def test_a_load_that_fails_again_and_again_is_not_waited_for(world):
    drain(world)
    load_ends(world, FAILED)
    assert world.agents.drained == []
    assert world.step(10) == ["load iris_1 mlserver-1"]
    load_ends(world, FAILED)
    assert world.agents.drained == [("mlserver-0", ["iris"])]


def test_every_replica_drains_at_once(world):
    for replica in (FIRST, SECOND, THIRD):
        world.agents.change(replica, draining=True)
    world.step()
    assert sorted(world.agents.drained) == [("mlserver-0", ["iris"]), ("mlserver-1", []), ("mlserver-2", [])]


def test_requests_leave_a_draining_replica_before_its_successor_is_there():
    world = Pass()
    world.server(replicas=3)
    for replica in (FIRST, SECOND, THIRD):
        world.agents.connect(replica)
    world.identity = world.model(replicas=2)
    world.step()
    for replica in (FIRST, SECOND):
        load_ends(world, LOADED, replica)
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0", "mlserver-1"}}
    assert drain(world) == ["load iris_1 mlserver-2"]
    assert world.publisher.backends("iris") == ON_SECOND
    world.step(DRAIN_SECONDS)
    assert world.agents.drained == [("mlserver-0", [])]


@pytest.mark.parametrize("ready", [True, False])
def test_a_server_that_does_not_answer_gets_nothing_from_one_that_drains(world, ready):
    drain(world)
    world.agents.change(SECOND, server_ready=ready)
    load_ends(world, LOADED)
    assert world.publisher.backends("iris") == (ON_SECOND if ready else ON_FIRST)


def test_what_is_in_memory_nowhere_is_waited_for_too(world):
    world.agents.change(FIRST, held_http_port=9001, held_grpc_port=9501)
    world.agents.report("iris", world.identity, 1, EVICTED)
    world.step()
    assert drain(world) == ["load iris_1 mlserver-1"]
    assert world.agents.drained == []
    load_ends(world, LOADED)
    world.step(DRAIN_SECONDS)
    assert world.agents.drained == [("mlserver-0", [])]


@pytest.fixture
def released():
    """One model on two of two replicas, of which the first was told that it may end."""
    world = Pass()
    world.server(replicas=2)
    for replica in (FIRST, SECOND):
        world.agents.connect(replica)
    world.identity = world.model(replicas=2)
    world.step()
    for replica in (FIRST, SECOND):
        load_ends(world, LOADED, replica)
    drain(world)
    world.step(DRAIN_SECONDS)
    assert (world.agents.drained, world.publisher.backends("iris")) == ([("mlserver-0", [])], ON_SECOND)
    return world


def test_no_request_comes_back_to_a_replica_that_may_end(released):
    del released.models["iris"]
    released.step()
    assert released.step(DRAIN_SECONDS) == ["unload iris_1 mlserver-1"]
    released.model(metadata={"uid": "another"})
    assert released.step() == ["load iris_2 mlserver-1"]
    assert released.publisher.backends("iris") is None
    load_ends(released, None)
    released.agents.report("iris", released.identity, 2, LOADED, replica=SECOND)
    released.step()
    assert released.publisher.backends("iris") == {"iris_2": {"mlserver-1"}}


def test_a_server_that_stops_answering_sends_nothing_back_to_a_replica_that_may_end(released):
    released.agents.change(SECOND, server_ready=False)
    released.step()
    assert released.publisher.backends("iris") is None
    assert released.state() is not VersionState.AVAILABLE


def test_a_replica_that_goes_on_after_all_is_asked_again(released):
    released.agents.change(FIRST, draining=False)
    released.step()
    assert released.publisher.backends("iris") == {"iris_1": {"mlserver-0", "mlserver-1"}}
