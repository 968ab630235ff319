"""The planner that goes from change to change: always what `place` decides from scratch, for less work."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.placement import demand, holding, placed, replica, server, version

from bailie.lifecycle.copies import Presence
from bailie.placement import Planner, diff, place
from bailie.placement.incremental import SLICE

MODELS = "abcdef"
SERVERS = "stu"


def decided(planner):
    """Runs `decide` to its end; returns the models that changed."""
    work = planner.decide()
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


@st.composite
def some_server(draw, name):
    replicas = [
        replica(
            index,
            draw(st.integers(0, 30)),
            connected=draw(st.booleans()) or draw(st.booleans()),
            ready=draw(st.booleans()) or draw(st.booleans()),
            draining=draw(st.booleans()) and draw(st.booleans()),
        )
        for index in range(draw(st.integers(0, 3)))
    ]
    tags = ",".join(draw(st.sets(st.sampled_from(("sklearn", "xgboost")))))
    return server(name, *replicas, tags=tags, wanted_replicas=draw(st.integers(0, 3)))


@st.composite
def some_demand(draw, model):
    return demand(
        model,
        identity=draw(st.sampled_from("ab")),
        mi=draw(st.sampled_from([0, 0, 5, 5, 12])),
        tags=draw(st.sampled_from(["", "", "sklearn", "xgboost"])),
        replicas=draw(st.integers(1, 4)),
        server=draw(st.sampled_from(["", "", "", "s", "gone"])),
    )


@st.composite
def some_holdings(draw, model):
    """Of both versions, on servers that are there and on one that is not."""
    keys = st.tuples(st.sampled_from("ab"), st.sampled_from((*SERVERS, "z")), st.integers(0, 2))
    return tuple(
        holding(
            f"{where}-{index}",
            model,
            identity=identity,
            mi=draw(st.sampled_from([0, 5, 12])),
            presence=draw(st.sampled_from(list(Presence)[:-1])),
        )
        for identity, where, index in draw(st.sets(keys, max_size=4))
    )


class Changes(RuleBasedStateMachine):
    """Any changes, in any order, several or none before each decision."""

    def __init__(self):
        super().__init__()
        self.planner = Planner()
        self.servers = {}
        self.models = {}
        self.told = {}

    @initialize(data=st.data())
    def start(self, data):
        for name in SERVERS[:2]:
            self.servers[name] = data.draw(some_server(name))
        self.planner.set_servers(self.servers.values())

    @rule(name=st.sampled_from(SERVERS), data=st.data())
    def change_server(self, name, data):
        self.servers[name] = data.draw(some_server(name))
        self.planner.set_servers(self.servers.values())

    @rule(name=st.sampled_from(SERVERS))
    def lose_server(self, name):
        self.servers.pop(name, None)
        self.planner.set_servers(self.servers.values())

    @rule(name=st.sampled_from(MODELS), data=st.data())
    def change_demand(self, name, data):
        self._set(name, data.draw(st.none() | some_demand(name)), self.models.get(name, (None, ()))[1])

    @rule(name=st.sampled_from(MODELS), data=st.data())
    def change_holdings(self, name, data):
        self._set(name, self.models.get(name, (None, ()))[0], data.draw(some_holdings(name)))

    @rule()
    def load_what_is_planned(self):
        decided_now = self._decide()
        for name, (wanted, held) in list(self.models.items()):
            found = decided_now.assignments.get(wanted.version) if wanted else None
            if found and wanted:
                seats = [f"{found.server}-{index}" for index in found.replicas]
                kept = tuple(each for each in held if each.version != wanted.version)
                new = [holding(seat, name, identity=wanted.version.identity) for seat in seats]
                self._set(name, wanted, (*kept, *new))

    @rule()
    def begin_and_give_up(self):
        next(self.planner.decide(), None)

    def _set(self, name, wanted, held):
        self.models[name] = (wanted, held)
        self.planner.set_model(name, wanted, held)

    def _decide(self):
        before = self.told
        changed = decided(self.planner)
        plan = self.planner.plan()
        self.told = {
            name: (plan.assignments.get(wanted.version), plan.refusals.get(wanted.version))
            for name, (wanted, _) in self.models.items()
            if wanted
        }
        names = before.keys() | self.told.keys()
        assert {name for name in names if before.get(name) != self.told.get(name)} <= changed
        return plan

    @invariant()
    def plan_is_that_of_place(self):
        plan = self._decide()
        assert plan == place(self.planner.snapshot())
        whole = diff(self.planner.snapshot(), plan)
        parts = [self.planner.difference(name) for name in sorted(self.models)]
        assert [load for part in parts for load in part.to_load] == list(whole.to_load)
        assert [unload for part in parts for unload in part.to_unload] == list(whole.to_unload)
        wanted = {wanted.version for wanted, _ in self.models.values() if wanted}
        assert {each.version for each in self.planner.snapshot().demands} == wanted
        assert decided(self.planner) == set()


Changes.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestChanges = Changes.TestCase


@pytest.fixture
def planner():
    made = Planner()
    made.set_servers([server("s", replica(0, 100)), server("t", replica(0, 100))])
    return made


def test_only_what_changed_is_told(planner):
    planner.set_model("a", demand("a", mi=10), ())
    planner.set_model("b", demand("b", mi=10), ())
    assert decided(planner) == {"a", "b"}
    planner.set_model("a", demand("a", mi=10), (holding("s-0", "a", mi=10),))
    assert decided(planner) == set()
    planner.set_model("b", None, ())
    assert decided(planner) == {"b"}
    assert set(planner.plan().assignments) == {version("a")}


def test_the_work_pauses_between_slices_and_settled_models_are_no_work(planner):
    names = [f"m{index}" for index in range(3 * SLICE)]
    for name in names:
        planner.set_model(name, demand(name), ())
    assert sum(1 for _ in planner.decide()) >= 9
    for name in names:
        planner.set_model(name, demand(name), (holding("s-0", name),))
    decided(planner)
    planner.set_model("b", demand("b"), ())
    assert list(planner.decide()) == []
    assert placed(planner.plan(), "b") == "t:0"


def test_answers_of_servers_that_nobody_asks_for_are_forgotten(planner):
    for size in range(200, 260):
        planner.set_model("a", demand("a", mi=size), ())
        decided(planner)
    assert len(planner._answers) <= 4
    assert planner.plan() == place(planner.snapshot())


class FailingPlanner(Planner):
    """Fails at the home of each version that is called `bad`."""

    def _settled(self, demand):
        if demand.version.identity == "bad":
            raise ZeroDivisionError
        return super()._settled(demand)


@pytest.mark.parametrize("mi", [10, 200], ids=["with a place", "without"])
def test_a_model_whose_step_fails_keeps_its_decision_and_leaves_nothing_behind(mi):
    planner = FailingPlanner(lambda *_: suppress(ZeroDivisionError))
    planner.set_servers([server("s", replica(0, 100))])
    for identity in ("a", "b"):
        planner.set_model("iris", demand(identity=identity, mi=mi), ())
        assert decided(planner) == {"iris"}
        before = planner.plan()
        assert before == place(planner.snapshot())
        planner.set_model("iris", demand(identity="bad", mi=mi), ())
        assert decided(planner) == set()
        assert planner.plan() == before


@given(st.data())
def test_a_change_back_to_what_was_changes_nothing(data):
    planner = Planner()
    planner.set_servers([server("s", replica(0, 100))])
    wanted = data.draw(some_demand("a"))
    planner.set_model("a", wanted, ())
    decided(planner)
    planner.set_model("a", None, ())
    planner.set_model("a", wanted, ())
    assert decided(planner) == set()
