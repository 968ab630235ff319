"""Models that leave memory when nobody asks for them, pass by pass."""

from __future__ import annotations

import pytest
from tests.support.fleet import EVICTED, EVICTING, FIRST, LOADED
from tests.support.passes import Pass

from bailie.control.idle_models import AGAIN_SECONDS
from bailie.placement import ReplicaId
from bailie.scaling import Sample

SECOND = ReplicaId("mlserver", 1)
ASKED = {"annotations": {"bailie.io/scale-to-zero": "1m"}}
KEEPS = {"held_http_port": 9001, "held_grpc_port": 9501}


def world(**fields):
    """A namespace with one replica, whose agent keeps requests."""
    made = Pass()
    made.agents.connect(**(KEEPS | fields))
    return made


def tick(world, seconds=2.0, **requests):
    """Lets two seconds pass, in which so many requests to each Model ended."""
    at = world.time + seconds
    found = {name: Sample(at=at, seconds=seconds, ended=count) for name, count in requests.items()}
    world.engine.measure(found)
    world.step(seconds)


def idle(world, seconds, name="iris"):
    for _ in range(int(seconds / 2)):
        tick(world, **{name: 0})


def told(world):
    found, world.agents.memory_orders = world.agents.memory_orders, []
    return found


def condition(world, kind="ScaleToZero", name="iris"):
    status = world.engine.result.facts[name].status(1, (), "2026-01-01T00:00:00Z")
    found = next((each for each in status["conditions"] if each["type"] == kind), None)
    return found and (found["status"], found["reason"], found.get("message"))


def test_a_model_that_nobody_asks_for_may_leave_memory_and_stays_ready():
    seen = world()
    identity = seen.served(metadata=ASKED)
    assert list(seen.engine.scaling) == ["iris"]
    assert condition(seen)[:2] == ("True", "InMemory")
    idle(seen, 58)
    assert told(seen) == []
    idle(seen, 4)
    assert told(seen) == [("mlserver-0", ["iris_1"], [])]
    seen.agents.report("iris", identity, 1, EVICTING, declared_bytes=0, eviction=1)
    assert [*seen.step(), *seen.step()] == ["evict iris_1 mlserver-0"]
    seen.agents.report("iris", identity, 1, EVICTED, declared_bytes=0)
    seen.step()
    assert condition(seen) == (
        "True",
        "Asleep",
        "not in memory, for nobody has asked for 1m; the next request loads it",
    )
    assert condition(seen, "Ready")[0] == "True"
    idle(seen, 60)
    assert told(seen) == [], "it is out of memory"


def test_an_agent_that_does_nothing_is_told_again_after_a_while():
    seen = world()
    seen.served(metadata=ASKED)
    idle(seen, 62 + 3 * AGAIN_SECONDS)
    assert 3 <= len(told(seen)) <= 4


@pytest.mark.parametrize("requests", [{"iris": 1}, {"other": 0}])
def test_requests_and_no_measurement_keep_it_in_memory(requests):
    seen = world()
    seen.served(metadata=ASKED)
    for _ in range(100):
        tick(seen, **requests)
    assert told(seen) == []


def test_a_model_that_was_woken_comes_back_on_all_of_its_replicas():
    seen = world()
    seen.agents.connect(SECOND, **KEEPS)
    seen.server(replicas=2)
    identity = seen.model(replicas=2, metadata=ASKED)
    seen.step()
    for replica in (FIRST, SECOND):
        seen.agents.report("iris", identity, 1, LOADED, replica=replica, declared_bytes=0)
    seen.step()
    idle(seen, 62)
    assert told(seen) == [("mlserver-0", ["iris_1"], []), ("mlserver-1", ["iris_1"], [])]
    for replica in (FIRST, SECOND):
        seen.agents.report("iris", identity, 1, EVICTED, replica=replica, declared_bytes=0)
    idle(seen, 2)
    seen.agents.report("iris", identity, 1, LOADED, replica=SECOND, declared_bytes=0)
    tick(seen, iris=3)
    assert told(seen) == [("mlserver-0", [], ["iris_1"])]
    tick(seen, iris=3)
    assert told(seen) == [], "a replica that memory took it from later is left alone"


def test_a_model_that_comes_back_for_a_request_that_nobody_counts_stays_for_its_time():
    seen = world()
    identity = seen.served(metadata=ASKED)
    idle(seen, 62)
    told(seen)
    seen.agents.report("iris", identity, 1, EVICTED, declared_bytes=0)
    idle(seen, 60)
    seen.agents.report("iris", identity, 1, LOADED, declared_bytes=0)
    idle(seen, 58)
    assert told(seen) == []
    idle(seen, 6)
    assert told(seen) == [("mlserver-0", ["iris_1"], [])]


def test_a_new_leader_waits_anew_and_wakes_what_it_finds_asleep():
    seen = world()
    identity = seen.served(metadata=ASKED)
    idle(seen, 50)
    seen.engine = seen.new_engine()
    seen.step()
    idle(seen, 50)
    assert told(seen) == []
    seen.agents.report("iris", identity, 1, EVICTED, declared_bytes=0)
    seen.engine = seen.new_engine()
    seen.step()
    idle(seen, 4)
    tick(seen, iris=1)
    assert told(seen) == [("mlserver-0", [], ["iris_1"])]


REFUSED = [
    ({"annotations": {"bailie.io/scale-to-zero": "soon"}}, {}, "InvalidScaling", "write a time such as"),
    (ASKED, {"minReplicas": 1}, "MinReplicas", "spec.minReplicas is 1"),
]


@pytest.mark.parametrize(("metadata", "spec", "reason", "words"), REFUSED)
def test_what_is_asked_for_and_cannot_be_is_said(metadata, spec, reason, words):
    seen = world()
    seen.served(metadata=metadata, **spec)
    idle(seen, 200)
    assert condition(seen)[:2] == ("False", reason)
    assert words in condition(seen)[2]
    assert told(seen) == []


def test_an_agent_that_keeps_no_requests_is_told_nothing():
    seen = world(held_http_port=0)
    seen.served(metadata=ASKED)
    idle(seen, 200)
    assert condition(seen)[:2] == ("False", "RequestsNotKept")
    assert told(seen) == []


def test_an_agent_that_is_away_is_told_nothing():
    seen = world()
    seen.served(metadata=ASKED)
    idle(seen, 58)
    seen.agents.disconnect()
    idle(seen, 2)
    assert told(seen) == []


def test_a_model_without_the_annotation_stays():
    seen = world()
    seen.served()
    idle(seen, 400)
    assert (condition(seen), told(seen), list(seen.engine.scaling)) == (None, [], [])


def test_a_change_of_the_annotation_alone_counts_from_the_last_request():
    seen = world()
    seen.served(metadata=ASKED)
    idle(seen, 40)
    seen.model(metadata={"annotations": {"bailie.io/scale-to-zero": "20s"}})
    seen.step()
    idle(seen, 2)
    assert told(seen) == [("mlserver-0", ["iris_1"], [])]


def test_a_model_that_is_gone_made_anew_or_scaled_to_none_is_forgotten():
    seen = world()
    seen.served(metadata=ASKED)
    idle(seen, 58)
    seen.model(metadata={**ASKED, "uid": "another"})
    seen.step()
    idle(seen, 30)
    assert told(seen) == []
    seen.model(metadata=ASKED, replicas=0, generation=2)
    seen.step()
    assert condition(seen) is None
    del seen.models["iris"]
    seen.step()
    assert list(seen.engine.scaling) == []
