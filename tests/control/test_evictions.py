"""Models that do not fit in memory at one time: routes by way of their agents, and leave to go."""

from __future__ import annotations

import pytest
from tests.support.fleet import EVICTED, EVICTING, FIRST, LOADED
from tests.support.passes import Pass

from bailie.control.acknowledgements import DRAIN_SECONDS, GIVE_UP_SECONDS
from bailie.control.commands import USED_SECONDS
from bailie.control.fleet import ASSUMED_SECONDS
from bailie.lifecycle.version import VersionState
from bailie.placement import ReplicaId

SECOND = ReplicaId("mlserver", 1)
HELD = {"held_http_port": 9001, "held_grpc_port": 9501, "overcommit_percent": 100}
DIRECT, BY_AGENT = {"iris_1": {"mlserver-0"}}, {"iris_1": {"mlserver-0.held"}}


@pytest.fixture
def world():
    made = Pass()
    made.agents.connect(**HELD)
    return made


def evicting(world, identity, eviction=1, **where):
    world.agents.report("iris", identity, 1, EVICTING, eviction=eviction, **where)


def evicted(world):
    """A model that was served and is on disk now; returns its identity."""
    identity = world.served()
    evicting(world, identity)
    world.step()
    world.agents.report("iris", identity, 1, EVICTED)
    world.step()
    return identity


def test_a_model_leaves_memory_once_every_request_goes_to_its_agent(world):
    identity = world.served()
    world.publisher.prompt = False
    evicting(world, identity)
    assert world.step() == []
    assert world.publisher.backends("iris") == BY_AGENT
    assert world.step(1000) == []
    world.publisher.acknowledge()
    assert world.step() == ["evict iris_1 mlserver-0"]
    assert world.step() == []
    world.agents.report("iris", identity, 1, EVICTED)
    assert world.step() == []
    assert world.publisher.backends("iris") == BY_AGENT


def test_an_evicted_model_is_ready_and_says_so(world):
    identity = world.served()
    evicting(world, identity)
    world.step()
    assert world.state() is VersionState.AVAILABLE
    world.agents.report("iris", identity, 1, EVICTED)
    world.step()
    assert world.state() is VersionState.AVAILABLE
    assert world.engine.result.facts["iris"].evicted == 1


def test_its_route_comes_back_with_it_and_it_is_never_unready_between(world):
    identity = evicted(world)
    world.publisher.prompt = False
    world.agents.report("iris", identity, 1, LOADED)
    for _ in range(3):
        world.step()
        assert world.publisher.backends("iris") == DIRECT
        assert world.state() is VersionState.AVAILABLE
    evicting(world, identity, eviction=2)
    for _ in range(3):
        assert world.step() == []
        assert world.state() is VersionState.AVAILABLE
    world.publisher.acknowledge()
    assert world.step() == ["evict iris_1 mlserver-0"]


def test_what_is_in_memory_somewhere_is_asked_there(world):
    world.server(replicas=2)
    world.agents.connect(SECOND, **HELD)
    identity = world.model(replicas=2)
    world.step()
    for replica in (ReplicaId("mlserver", 0), SECOND):
        world.agents.report("iris", identity, 1, LOADED, replica=replica)
    world.step()
    world.step()
    evicting(world, identity)
    assert world.step() == []
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-1"}}
    assert world.step() == ["evict iris_1 mlserver-0"]
    world.agents.report("iris", identity, 1, EVICTED)
    world.step()
    assert world.engine.result.facts["iris"].version.available == 2
    world.agents.report("iris", identity, 1, EVICTED, replica=SECOND)
    world.step()
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-0.held", "mlserver-1.held"}}
    assert world.engine.result.facts["iris"].version.available == 2


def test_an_agent_brings_it_back_where_the_server_that_has_it_is_not_ready(world):
    world.server(replicas=2)
    world.agents.connect(SECOND, **HELD)
    identity = world.model(replicas=2)
    world.step()
    for replica, state in ((FIRST, LOADED), (SECOND, EVICTED)):
        world.agents.report("iris", identity, 1, state, replica=replica)
    world.step()
    world.step()
    assert world.publisher.backends("iris") == DIRECT
    world.agents.change(FIRST, server_ready=False)
    world.step()
    assert world.publisher.backends("iris") == {"iris_1": {"mlserver-1.held"}}
    assert world.state() is VersionState.AVAILABLE
    world.publisher.prompt = False
    world.agents.change(FIRST, server_ready=True)
    for _ in range(2):
        world.step()
        assert world.publisher.backends("iris") == DIRECT
        assert world.engine.result.facts["iris"].version.available == 1
    world.publisher.acknowledge()
    world.step()
    assert world.engine.result.facts["iris"].version.available == 2


def test_a_new_leader_waits_for_the_data_plane_too(world):
    """Its first table may differ from what the data plane has of another leader."""
    world.publisher.prompt = False
    identity = world.model()
    world.step()
    evicting(world, identity)
    assert world.step(1) == []
    world.publisher.acknowledge()
    assert world.step() == ["evict iris_1 mlserver-0"]


def test_a_new_leader_finds_an_evicted_model_and_leaves_it_so(world):
    identity = world.model()
    world.agents.report("iris", identity, 1, EVICTED)
    assert world.step() == []
    assert world.publisher.backends("iris") == BY_AGENT
    world.step()
    assert world.state() is VersionState.AVAILABLE


def test_a_data_plane_that_went_away_may_still_ask_directly(world):
    identity = world.served()
    world.publisher.prompt = False
    world.publisher.acknowledge(0)
    evicting(world, identity)
    assert world.step(10 * GIVE_UP_SECONDS) == []
    assert world.step() == []


def test_a_data_plane_that_is_away_for_a_moment_is_waited_for(world):
    identity = world.served()
    world.publisher.whole = False
    evicting(world, identity)
    assert world.step() == []
    assert world.step(1) == []
    world.publisher.whole = True
    assert world.step() == ["evict iris_1 mlserver-0"]


def test_where_no_data_plane_ever_came_the_wait_has_an_end(world):
    world.publisher.prompt = False
    identity = world.model()
    world.step()
    evicting(world, identity)
    assert world.step() == []
    assert world.step(GIVE_UP_SECONDS - 1) == []
    assert world.step(1) == ["evict iris_1 mlserver-0"]


def test_leave_that_was_lost_is_given_again(world):
    identity = world.served()
    evicting(world, identity)
    world.step()
    assert world.step(ASSUMED_SECONDS) == ["evict iris_1 mlserver-0"]
    world.agents.disconnect()
    world.step()
    world.agents.connect(**HELD)
    evicting(world, identity)
    assert world.step() == ["evict iris_1 mlserver-0"]


def test_an_evicted_model_is_unloaded_when_nobody_wants_it(world):
    evicted(world)
    del world.models["iris"]
    assert world.step() == []
    assert world.step(DRAIN_SECONDS) == ["unload iris_1 mlserver-0"]


def test_a_new_version_takes_over_from_an_evicted_one(world):
    evicted(world)
    other = world.model(storageUri="/other", generation=2)
    assert world.step() == ["load iris_2 mlserver-0"]
    assert world.publisher.backends("iris") == BY_AGENT
    world.agents.report("iris", other, 2, LOADED)
    world.step()
    assert world.publisher.backends("iris") == {"iris_2": {"mlserver-0"}}
    assert world.step(DRAIN_SECONDS) == ["unload iris_1 mlserver-0"]


def test_overcommit_ends_and_a_model_larger_than_the_server_is_refused(world):
    world.model("a", memory="1Gi")
    world.model("b", memory="1Gi")
    world.model("c", memory="1Mi")
    world.model("d", memory="1025Mi")
    assert len(world.step()) == 2
    said = {name: world.engine.result.facts[name].scheduling for name in "cd"}
    assert said["c"] == "0/1 servers fit: 1 has 0 free of 1Mi needed"
    assert said["d"] == "0/1 servers fit: 1 has only 1Gi in all, less than the 1025Mi needed"


def test_an_agent_whose_memory_is_not_short_is_told_of_uses_before_its_next_load(world):
    """Of many Models at once the first ones may fill the memory: what was used must not leave for them."""
    world.served(memory="10Mi")
    world.engine.note_used(world.now(), ["iris"])
    assert world.agents.used == []
    world.model("b", memory="1Gi")
    world.model("c", memory="10Mi")
    assert world.step() == ["load b_1 mlserver-0", "load c_1 mlserver-0"]
    assert world.agents.used == [("mlserver-0", ["iris_1"])]
    world.model("d", memory="10Mi")
    world.step()
    assert len(world.agents.used) == 1, "each look at the uses is told once"


def test_an_agent_is_told_before_its_next_load_what_every_envoy_was_asked_for_just_now(world):
    for name in ("early", "iris", "rose"):
        world.model(name, memory="10Mi")
    world.step()
    for name in ("early", "iris", "rose"):
        world.agents.report(name, world.engine.result.wanted[name].identity, 1, LOADED)
    world.step()
    world.engine.note_used(world.now(), ["early"])
    world.step(USED_SECONDS)
    for name in ("iris", "rose"):
        world.engine.note_used(world.now(), [name])
        world.step(1.0)
    world.model("b", memory="10Mi")
    world.step()
    assert world.agents.used == [("mlserver-0", ["iris_1", "rose_1"])]


def test_uses_are_told_to_agents_whose_memory_gets_short(world):
    def told():
        world.agents.used.clear()
        world.engine.note_used(world.now(), ["iris", "b", "unknown"])
        return world.agents.used

    world.served(memory="500Mi")
    assert told() == []
    identity = world.model("b", memory="500Mi")
    world.step()
    world.agents.report("b", identity, 1, LOADED, declared_bytes=500 << 20)
    world.step()
    assert told() == []
    before = world.publisher.table
    world.agents.report("b", identity, 1, LOADED, declared_bytes=500 << 20, measured_bytes=600 << 20)
    world.step()
    assert told() == [("mlserver-0", ["b_1", "iris_1"])]
    assert world.publisher.table == before, "routes are as before"
    del world.models["b"]
    world.step()
    world.agents.report("b", identity, 1, None)
    world.step()
    assert told() == []
