"""Routes without an engine: which version answers, what is published, and when a copy may leave."""

from __future__ import annotations

import pytest
from tests.support.fences import strict_fence
from tests.support.fleet import EVICTED, EVICTING, LOADED, Agents
from tests.support.publisher import RecordingPublisher

from bailie.control.acknowledgements import DRAIN_SECONDS, GIVE_UP_SECONDS, REJOIN_SECONDS
from bailie.control.fleet import Fleet
from bailie.control.routes import Routes
from bailie.control.subjects import Contribution, Subject
from bailie.placement import ReplicaId
from bailie.routing.table import NotReady, Route

IRIS = Subject("Model", "iris")
FIRST, SECOND = ReplicaId("mlserver", 0), ReplicaId("mlserver", 1)


class Scene:
    """Agents, a data plane that acknowledges when told, and routes between them."""

    def __init__(self):
        self.agents, self.publisher = Agents(), RecordingPublisher(prompt=False)
        fence = strict_fence()
        self.fleet, self.routes = Fleet(self.agents, fence), Routes("a", self.publisher, fence)
        self.time = 100.0
        for replica in (FIRST, SECOND):
            self.agents.connect(replica, held_http_port=9004, held_grpc_port=9504)
        self.observe()

    def observe(self, seconds=0.0):
        self.time += seconds
        self.fleet.observe(self.time)
        return self.routes.observe(self.time)

    def report(self, identity, number, state, replica=FIRST):
        self.agents.report("iris", identity, number, state, replica=replica)
        self.observe()

    def decide(self, identity="new", planned=("mlserver-0",)):
        return self.routes.decide(IRIS, identity, frozenset(planned), tuple(self.fleet.of_model("iris")))

    def publish(self, **fields):
        decision = self.decide(**fields)
        found = Contribution(decision.copies, decision.choice.identity) if decision else None
        self.routes.publish({IRIS: ("iris", found)}, self.fleet)
        return decision

    def copy(self, replica=FIRST):
        return next(each for each in self.fleet.of_model("iris") if each.id.replica == replica)


@pytest.fixture
def scene():
    return Scene()


@pytest.mark.parametrize(
    ("copies", "planned", "number", "replicas"),
    [
        pytest.param([("new", 2, LOADED, FIRST)], ["mlserver-0"], 2, {"mlserver-0"}, id="the wanted version"),
        pytest.param(
            [("old", 1, LOADED, FIRST)],
            ["mlserver-0"],
            1,
            {"mlserver-0"},
            id="an older one until it is there",
        ),
        pytest.param(
            [("old", 1, LOADED, FIRST), ("new", 2, LOADED, FIRST)],
            ["mlserver-0", "mlserver-1"],
            1,
            {"mlserver-0"},
            id="an older one until the wanted one is complete",
        ),
        pytest.param(
            [("old", 1, LOADED, FIRST), ("new", 2, LOADED, SECOND)],
            ["mlserver-1"],
            2,
            {"mlserver-1"},
            id="a complete one takes over",
        ),
        pytest.param(
            [("new", 2, EVICTED, FIRST)],
            ["mlserver-0"],
            2,
            {"mlserver-0.held"},
            id="an evicted one by its agent",
        ),
        pytest.param(
            [("new", 2, EVICTED, FIRST), ("new", 2, LOADED, SECOND)],
            ["mlserver-0", "mlserver-1"],
            2,
            {"mlserver-1"},
            id="one in memory before an evicted one",
        ),
    ],
)
def test_who_answers(scene, copies, planned, number, replicas):
    for identity, each, state, replica in copies:
        scene.report(identity, each, state, replica)
    assert scene.publish(planned=planned).choice.number == number
    assert scene.publisher.backends("iris") == {f"iris_{number}": replicas}


def test_nothing_is_decided_where_nothing_is_loaded(scene):
    assert scene.decide() is None


def test_a_copy_counts_once_its_route_is_acknowledged(scene):
    scene.report("new", 1, LOADED)
    scene.publish()
    assert scene.decide().available == 0
    scene.publisher.acknowledge()
    assert scene.observe() == {IRIS}
    assert scene.decide().available == 1
    assert scene.observe() == set()


def test_a_short_absence_of_the_data_plane_is_forgiven_and_a_long_one_is_not(scene):
    scene.report("new", 1, LOADED)
    scene.publish()
    scene.publisher.acknowledge()
    scene.observe()
    scene.publisher.acknowledge(0)
    assert scene.observe(1) == set()
    assert scene.decide().available == 1
    assert scene.routes.deadline() == scene.time - 1 + REJOIN_SECONDS
    assert scene.observe(REJOIN_SECONDS) == {IRIS}
    assert scene.decide().available == 0


def test_a_refusal_concerns_whoever_waits_for_the_data_plane(scene):
    scene.report("new", 1, LOADED)
    scene.publish()
    scene.publisher.refusal = "Envoy mesh-0 refuses iris: no"
    assert scene.observe() == {IRIS}
    assert scene.decide().refusal == "Envoy mesh-0 refuses iris: no"
    scene.publisher.refusal = ""
    scene.publisher.acknowledge()
    scene.observe()
    assert scene.decide().refusal == ""


def test_a_copy_that_was_never_in_a_route_of_ours_waits_for_the_routes_of_the_leader_before(scene):
    scene.report("stray", 1, LOADED)
    assert not scene.routes.may_unload(scene.copy())
    scene.routes.publish({}, scene.fleet)
    assert scene.routes.revision == 1
    assert scene.routes.settling
    assert not scene.routes.is_left(FIRST)
    scene.publisher.acknowledge()
    scene.observe()
    assert not scene.routes.settling
    scene.observe(DRAIN_SECONDS)
    assert scene.routes.may_unload(scene.copy())
    assert scene.routes.is_left(FIRST)


def test_a_copy_leaves_after_a_drain_or_when_the_wait_is_over(scene):
    scene.report("new", 1, LOADED)
    scene.publish()
    scene.publisher.acknowledge()
    scene.observe(GIVE_UP_SECONDS)
    assert scene.routes.leading_to(FIRST) == {"iris"}
    assert not scene.routes.may_unload(scene.copy())
    scene.routes.publish({IRIS: ("iris", None)}, scene.fleet)
    assert scene.publisher.table.entries == {}
    assert scene.routes.leading_to(FIRST) == frozenset()
    assert not scene.routes.may_unload(scene.copy())
    scene.observe(GIVE_UP_SECONDS - 1)
    assert not scene.routes.may_unload(scene.copy())
    assert scene.routes.deadline() == scene.time + 1
    scene.observe(1)
    assert scene.routes.may_unload(scene.copy())


def test_a_copy_that_is_asked_directly_may_not_be_evicted(scene):
    scene.report("new", 1, LOADED)
    scene.publish()
    scene.publisher.acknowledge()
    scene.observe()
    assert not scene.routes.may_evict(scene.copy().id)
    scene.report("new", 1, EVICTING)
    scene.publish()
    assert scene.publisher.backends("iris") == {"iris_1": {"mlserver-0.held"}}
    assert not scene.routes.may_evict(scene.copy().id)
    scene.observe(GIVE_UP_SECONDS)
    assert not scene.routes.may_evict(scene.copy().id)
    scene.publisher.acknowledge()
    scene.observe()
    assert scene.routes.may_evict(scene.copy().id)


def test_without_copies_callers_are_told_why(scene):
    told = NotReady("ModelProgressing", "it is being loaded")
    scene.routes.publish({IRIS: ("iris", Contribution(otherwise=told))}, scene.fleet)
    assert scene.publisher.table.entries == {"iris": told}


def test_a_table_that_changes_nothing_is_not_published_again(scene):
    scene.report("new", 1, LOADED)
    scene.publish()
    entry = scene.publisher.table.entries["iris"]
    assert isinstance(entry, Route)
    scene.publish()
    assert len(scene.publisher.tables) == 1
    assert scene.publisher.table.entries["iris"] is entry


def test_a_copy_that_another_subject_asks_directly_may_not_be_evicted(scene):
    scene.report("new", 1, LOADED)
    scene.publish()
    former = Contribution(scene.decide().copies, "new")
    scene.routes.publish({Subject("Alias", "flower"): ("flower", former)}, scene.fleet)
    scene.publisher.acknowledge()
    scene.report("new", 1, EVICTING)
    scene.publish()
    scene.publisher.acknowledge()
    scene.observe()
    assert not scene.routes.may_evict(scene.copy().id)
