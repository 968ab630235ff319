"""The Servers that versions without a place wait for: the fewest that may take them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fences import strict_fence

from bailie.control.awaited_servers import Asking, AwaitedServers
from bailie.control.server_rules import SleepRule
from bailie.placement import Demand, Replica, Server, Snapshot, VersionId, place
from bailie.scaling.waits import PATIENCE_SECONDS

ASLEEP = SleepRule(seconds=60, text="1m", replicas=0, generation=1, most=2, mark="1")
AWAKE = replace(ASLEEP, replicas=1)
GI = 1 << 30


def demand(name="rose", **fields):
    return Demand(version=VersionId(name, "1"), **fields)


def server(name, *, replicas=1, wanted=1, memory=GI, tags=("sklearn",), **fields):
    made = tuple(Replica(index=index, memory_bytes=memory, **fields) for index in range(replicas))
    return Server(name=name, capabilities=frozenset(tags), replicas=made, wanted_replicas=wanted)


def asleep(name):
    return Server(name=name, wanted_replicas=0)


class Namespace:
    """Servers that sleep, whose last replicas were seen, and the time."""

    def __init__(self, *seen, stated=None):
        self.awaited, self.now = AwaitedServers(strict_fence()), 0.0
        self.rules = {each.name: AWAKE for each in seen} | (stated or {})
        self.awaited.observe(self.rules, seen)
        self.servers = {each.name: asleep(each.name) for each in seen}
        self.rules = {name: replace(rule, replicas=0) for name, rule in self.rules.items()}
        for name in self.rules.keys() - self.servers.keys():
            self.servers[name] = asleep(name)

    def has(self, *servers, rule=AWAKE):
        """The Servers are so now, and awake."""
        for each in servers:
            self.servers[each.name] = each
            self.rules[each.name] = rule

    def waits(self, *demands, homes=None, after=0.0):
        """Who waits for which Server, by the plan of placement itself."""
        self.now += after
        servers = tuple(self.servers.values())
        plan = place(Snapshot(demands=demands, servers=servers))
        self.awaited.observe(self.rules, servers)
        open_ones = {each.version: each for each in demands if each.version in plan.refusals}
        asking = Asking(rules=self.rules, plan=plan, demands=open_ones, homes=homes or {})
        self.found = self.awaited.of(self.now, asking)
        return dict(self.found.servers)


def test_one_server_is_woken_for_all_that_it_may_take():
    seen = Namespace(server("a"), server("b"), server("c", tags=("gpu",)))
    assert seen.waits(demand(), demand("iris"), demand("zoo", requirements=("sklearn",))) == {
        "a": ("iris", "rose", "zoo")
    }
    assert seen.waits(demand(), demand("iris", requirements=("gpu",))) == {"c": ("iris", "rose")}


def test_a_server_that_was_chosen_first_is_left_out_where_another_does_for_its_models():
    seen = Namespace(server("a", tags=("x",)), server("b", tags=("x", "y")), server("c", tags=("y",)))
    either, later = demand("iris", requirements=("x",)), demand("rose", requirements=("y",))
    assert seen.waits(either, later) == {"b": ("iris", "rose")}


WRONG = {
    "a capability that no replica had": {"requirements": ("gpu",)},
    "more memory than any had": {"memory_bytes": 2 * GI},
    "an explainer": {"explainer": True},
    "another server": {"server": "else"},
}


@pytest.mark.parametrize("fields", WRONG.values(), ids=WRONG)
def test_a_model_that_fits_nowhere_wakes_nobody(fields):
    seen = Namespace(server("a"), server("b"))
    assert seen.waits(demand(**fields)) == {}
    told = [no.server for no in seen.found.refused.get(VersionId("rose", "1"), ())]
    assert told == ([] if "server" in fields else ["a", "b"])


def test_a_server_of_which_nothing_is_known_is_woken_when_no_other_fits_and_then_known():
    seen = Namespace(server("b"), stated={"a": ASLEEP})
    assert set(seen.waits(demand())) == {"b"}
    assert set(seen.waits(demand(requirements=("gpu",)))) == {"a"}
    seen.has(server("a", tags=("other",)))
    assert seen.waits(demand(requirements=("gpu",))) == {}
    seen.has(asleep("a"), rule=ASLEEP)
    assert seen.waits(demand(requirements=("gpu",))) == {}, "it is known by now"
    seen.rules["a"] = replace(ASLEEP, mark="2")
    assert set(seen.waits(demand(requirements=("gpu",)))) == {"a"}, "somebody has changed it"


def test_capabilities_that_a_server_states_are_known_before_it_has_a_replica():
    seen = Namespace(stated={"a": replace(ASLEEP, capabilities=frozenset({"gpu"}))})
    assert seen.waits(demand(requirements=("sklearn",))) == {}
    assert set(seen.waits(demand(requirements=("gpu",)))) == {"a"}


def test_a_server_that_starts_or_may_grow_is_waited_for_and_no_other_woken():
    seen = Namespace(server("a"), server("b"))
    assert set(seen.waits(demand())) == {"a"}
    seen.has(server("b", replicas=0))
    assert set(seen.waits(demand())) == {"b"}
    seen.has(server("b", ready=False))
    assert set(seen.waits(demand())) == {"b"}
    seen.has(server("b", draining=True))
    assert set(seen.waits(demand())) == {"b"}
    seen.has(server("b", memory=1 << 20))
    held = demand("big", memory_bytes=1 << 20)
    assert set(seen.waits(held, replace(held, version=VersionId("other", "1")))) == {"b"}, "it may grow"
    seen.rules["b"] = replace(AWAKE, replicas=2)
    assert set(seen.waits(held, replace(held, version=VersionId("other", "1")))) == {"a"}, "it may not"
    seen.rules["b"] = AWAKE
    del seen.servers["a"], seen.rules["a"]
    seen.rules["b"] = replace(AWAKE, replicas=2)
    assert set(seen.waits(held, replace(held, version=VersionId("other", "1")))) == {"b"}, (
        "until there is room"
    )


def test_a_server_that_brings_no_replica_is_waited_for_no_longer_than_five_minutes_where_another_fits():
    seen = Namespace(server("a"), server("b"))
    seen.has(server("a", replicas=0))
    assert set(seen.waits(demand())) == {"a"}
    assert seen.awaited.deadline(seen.now) == PATIENCE_SECONDS
    assert set(seen.waits(demand(), after=PATIENCE_SECONDS - 1)) == {"a"}
    assert set(seen.waits(demand(), after=1)) == {"b"}
    assert seen.awaited.deadline(seen.now) is None
    seen.has(server("b", replicas=0))
    assert set(seen.waits(demand(), after=1)) == {"b"}
    del seen.servers["b"], seen.rules["b"]
    assert set(seen.waits(demand(), after=1)) == {"a"}, "there is no other"


def test_a_version_that_slept_with_a_server_waits_for_that_one_unless_it_would_refuse_it():
    seen = Namespace(server("a"), server("b"), server("c", tags=()))
    assert set(seen.waits(demand(), homes={"rose": "b"})) == {"b"}
    seen.has(server("b", replicas=0))
    assert set(seen.waits(demand(), homes={"rose": "b"})) == {"b"}
    assert set(seen.waits(demand(), homes={"rose": "b"}, after=PATIENCE_SECONDS)) == {"a"}
    picky = demand(requirements=("sklearn",))
    assert set(seen.waits(picky, homes={"rose": "c"})) == {"a"}


def test_a_version_with_a_place_waits_for_more_replicas_of_its_own_server_alone():
    seen = Namespace(server("a"), server("b"))
    seen.has(server("b"))
    seen.servers["other"] = server("other", memory=2 * GI)
    assert seen.waits(demand(replicas=2)) == {}
    assert set(seen.waits(demand(replicas=2, memory_bytes=GI, server="b"))) == set()
    full = server("b", replicas=2, wanted=2)
    seen.has(replace(full, replicas=(full.replicas[0], replace(full.replicas[1], ready=False))))
    assert seen.waits(demand(replicas=2, server="b")) == {"b": ("rose",)}


def test_the_same_plan_is_looked_at_once_for_the_same_servers():
    seen = Namespace(server("a"))
    plan = place(Snapshot(demands=(demand(),), servers=tuple(seen.servers.values())))
    asking = Asking(rules=seen.rules, plan=plan, demands={demand().version: demand()}, homes={})
    found = seen.awaited.of(0, asking)
    assert seen.awaited.of(1, replace(asking, homes={})) is found
    assert seen.awaited.of(1, replace(asking, homes={"rose": "a"})) is not found
    assert seen.awaited.of(1, replace(asking, rules={})).servers == {}


TAGS = st.frozensets(st.sampled_from("xyz"), max_size=2)
SERVERS = st.lists(st.tuples(TAGS, st.integers(1, 4), st.booleans()), max_size=6)
DEMANDS = st.lists(st.tuples(TAGS, st.integers(0, 5)), max_size=6)


@given(SERVERS, DEMANDS)
def test_the_fewest_servers_are_woken_and_each_can_take_the_models_that_wait_for_it(servers, demands):
    named = [(f"s{number}", *each) for number, each in enumerate(servers)]
    made = [server(name, tags=tags, memory=memory) for name, tags, memory, known in named if known]
    unknown = {name: ASLEEP for name, *_, known in named if not known}
    seen = Namespace(*made, stated=unknown)
    wanted = [
        demand(f"m{number}", requirements=tuple(sorted(tags)), memory_bytes=memory)
        for number, (tags, memory) in enumerate(demands)
    ]
    waits = seen.waits(*wanted)
    every = [*made, *map(asleep, unknown)]
    of = {one.version.model: {each.name for each in every if fits(each, one)} for one in wanted}
    assert {name for names in waits.values() for name in names} == {name for name, ways in of.items() if ways}
    for name, models in waits.items():
        assert all(name in of[model] for model in models)
        others = waits.keys() - {name}
        assert any(not of[model] & others for model in models), "it could be left out"


def fits(each, one):
    """Whether a Server could take a Model alone, as far as is known."""
    if not each.replicas:
        return True
    alone = place(Snapshot(demands=(one,), servers=(each,)))
    return one.version in alone.assignments
