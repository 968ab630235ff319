"""Where versions go: a table of cases per rule, and the properties that hold for any snapshot."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.placement import MI, demand, holding, placed, replica, server, snapshot

from bailie.lifecycle.copies import Presence
from bailie.placement import Code, Holding, ReplicaId, Snapshot, diff, place

SMALL = [replica(0, 100), replica(1, 100)]
CASES = {
    "one replica, emptiest index first": (
        [demand()],
        [server("mlserver", replica(0), replica(1))],
        [holding(model="b", mi=1)],
        "mlserver:1",
    ),
    "all replicas on one server": (
        [demand(replicas=2)],
        [server("a", replica(0)), server("b", replica(0), replica(1))],
        [],
        "b:0,1",
    ),
    "emptiest server": (
        [demand()],
        [server("a", replica(0, 10)), server("b", replica(0, 20))],
        [],
        "b:0",
    ),
    "fewest versions when memory is equal": (
        [demand()],
        [server("a", replica()), server("b", replica())],
        [holding("a-0", "other")],
        "b:0",
    ),
    "names break ties": ([demand()], [server("b", replica()), server("a", replica())], [], "a:0"),
    "stays where it is": (
        [demand()],
        [server("a", replica(0, 10)), server("b", replica(0, 999))],
        [holding("a-0")],
        "a:0",
    ),
    "loaded counts before loading": (
        [demand()],
        [server("a", replica(0), replica(1))],
        [holding("a-0", presence=Presence.COMING), holding("a-1")],
        "a:1",
    ),
    "leaving is not having": (
        [demand()],
        [server("a", replica(0, 10)), server("b", replica(0, 999))],
        [holding("a-0", presence=Presence.LEAVING)],
        "b:0",
    ),
    "what is there needs no free memory": (
        [demand(mi=80)],
        [server("a", replica(0, 50))],
        [holding("a-0", mi=80)],
        "a:0",
    ),
    "overcommit": (
        [demand(mi=100)],
        [server("a", replica(0, 100, overcommit_percent=50))],
        [holding("a-0", "b", mi=50)],
        "a:0",
    ),
    "overcommit has an end": (
        [demand(mi=100)],
        [server("a", replica(0, 100, overcommit_percent=50))],
        [holding("a-0", "b", mi=51)],
        None,
    ),
    "overcommit makes no room for a model larger than the server": (
        [demand(mi=101)],
        [server("a", replica(0, 100, overcommit_percent=50))],
        [],
        None,
    ),
    "what was measured counts": (
        [demand(mi=1, measured_bytes=80 * MI)],
        [server("a", replica(0, 79)), server("b", replica(0, 80))],
        [],
        "b:0",
    ),
    "what was measured of others counts": (
        [demand(mi=50)],
        [server("a", replica(0, 100))],
        [holding("a-0", "b", mi=1, measured=51)],
        None,
    ),
    "what is declared counts where less was measured": (
        [demand(mi=50, measured_bytes=1)],
        [server("a", replica(0, 49))],
        [],
        None,
    ),
    "what was measured moves nothing": (
        [demand(mi=1, measured_bytes=900 * MI)],
        [server("a", replica(0, 100)), server("b", replica(0, 1000))],
        [holding("a-0", mi=1, measured=900)],
        "a:0",
    ),
    "memory short": ([demand(mi=80)], [server("a", replica(0, 100))], [holding("a-0", "b", mi=30)], None),
    "leaving still takes memory": (
        [demand(mi=80)],
        [server("a", replica(0, 100))],
        [holding("a-0", "b", mi=30, presence=Presence.LEAVING)],
        None,
    ),
    "partial": ([demand(replicas=3, mi=80)], [server("a", *SMALL)], [], "a:0,1"),
    "partial goes where most fits": (
        [demand(replicas=3)],
        [server("a", replica(0, 999)), server("b", *SMALL)],
        [],
        "b:0,1",
    ),
    "partial stays at home": (
        [demand(replicas=4)],
        [server("a", replica(0)), server("b", *SMALL)],
        [holding("a-0")],
        "a:0",
    ),
    "moves where all fits": (
        [demand(replicas=2)],
        [server("a", replica(0)), server("b", *SMALL)],
        [holding("a-0")],
        "b:0,1",
    ),
    "pinned": (
        [demand(server="a")],
        [server("a", replica(0, 1)), server("b", replica())],
        [],
        "a:0",
    ),
    "not shared": ([demand()], [server("a", replica(), shared=False)], [], None),
    "pinned to one that is not shared": (
        [demand(server="a")],
        [server("a", replica(), shared=False)],
        [],
        "a:0",
    ),
    "going away": ([demand()], [server("a", replica(), wanted_replicas=0)], [holding("a-0")], None),
    "no replica": ([demand()], [server("a")], [], None),
    "tags match exactly": ([demand(tags="SKLearn")], [server("a", replica())], [], None),
    "tags are trimmed": ([demand(tags=" sklearn ")], [server("a", replica())], [], "a:0"),
    "explainer": (
        [demand(explainer=True)],
        [server("a", replica()), server("b", replica(), tags="alibi-explain")],
        [],
        "b:0",
    ),
    "draining moves": (
        [demand()],
        [server("a", replica(0, draining=True), replica(1))],
        [holding("a-0")],
        "a:1",
    ),
    "agent away keeps": ([demand()], [server("a", replica(connected=False))], [holding("a-0")], "a:0"),
    "agent away takes nothing": ([demand()], [server("a", replica(connected=False))], [], None),
    "server not ready keeps": ([demand()], [server("a", replica(ready=False))], [holding("a-0")], "a:0"),
    "server not ready takes nothing": ([demand()], [server("a", replica(ready=False))], [], None),
    "holding on a server that is gone": ([demand()], [server("a", replica())], [holding("z-0")], "a:0"),
    "no server": ([demand()], [], [], None),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_model_goes(case):
    demands, servers, holdings, expected = case
    assert placed(place(snapshot(demands, servers, holdings))) == expected


def test_memory_is_given_out_once_in_the_order_of_names():
    plan = place(snapshot([demand("b", mi=60), demand("a", mi=60)], [server("s", replica(0, 100))]))
    assert placed(plan, "a") == "s:0"
    assert [no.code for no in plan.refusals[("b", "a")]] == [Code.MEMORY_SHORT]


def test_one_that_is_too_large_does_not_keep_a_smaller_one_out():
    wanted = [demand("a", mi=90), demand("b", mi=120), demand("c", mi=60), demand("d", mi=70)]
    plan = place(snapshot(wanted, [server("s", replica(0, 65))]))
    assert {name: placed(plan, name) for name in "abcd"} == {"a": None, "b": None, "c": "s:0", "d": None}


def test_models_without_declared_memory_spread_over_replicas_and_servers():
    servers = [server("s", replica(0), replica(1)), server("t", replica(0), replica(1))]
    plan = place(snapshot([demand(name) for name in "abcd"], servers))
    assert {placed(plan, name) for name in "abcd"} == {"s:0", "s:1", "t:0", "t:1"}


def test_demands_alike_share_their_refusals():
    plan = place(snapshot([demand("a", tags="x"), demand("b", tags="x")], [server("s", replica())]))
    assert plan.refusals[("a", "a")] is plan.refusals[("b", "a")]


def test_a_version_that_holds_something_gets_its_own_refusals():
    servers = [server("s", replica(0, 10), replica(1, draining=True))]
    held = [holding("s-1", mi=5)]
    plan = place(snapshot([demand(mi=50)], servers, held))
    assert [(no.replica, no.code) for no in plan.refusals[("iris", "a")]] == [
        (0, Code.TOO_LARGE),
        (1, Code.DRAINING),
    ]


# -- properties of any snapshot

TAGS = ("sklearn", "xgboost", "alibi-explain")
SERVERS = ("s", "t", "u")


@st.composite
def snapshots(draw):
    servers = [
        server(
            name,
            *[
                replica(
                    index,
                    draw(st.integers(0, 30)),
                    overcommit_percent=draw(st.sampled_from([0, 50])),
                    connected=draw(st.booleans()) or draw(st.booleans()),
                    ready=draw(st.booleans()) or draw(st.booleans()),
                    draining=draw(st.booleans()) and draw(st.booleans()),
                )
                for index in range(draw(st.integers(0, 3)))
            ],
            tags=",".join(draw(st.sets(st.sampled_from(TAGS)))),
            shared=draw(st.booleans()) or draw(st.booleans()),
            wanted_replicas=draw(st.integers(0, 3)),
        )
        for name in draw(st.sets(st.sampled_from(SERVERS)))
    ]
    demands = [
        demand(
            name,
            mi=draw(st.integers(0, 20)),
            measured_bytes=draw(st.sampled_from([0, 0, 15])) * MI,
            tags=",".join(draw(st.sets(st.sampled_from(TAGS), max_size=1))),
            replicas=draw(st.integers(1, 3)),
            server=draw(st.sampled_from(["", "", "", "s", "gone"])),
            explainer=draw(st.booleans()) and draw(st.booleans()),
        )
        for name in draw(st.sets(st.sampled_from("abcdef")))
    ]
    sizes = {each.version: each.needed_bytes for each in demands}
    seats = [(each.name, one.index) for each in servers for one in each.replicas]
    keys = st.tuples(st.sampled_from("abcdefg"), st.sampled_from(seats or [("gone", 0)]))
    holdings = [
        Holding(
            version=(version := demand(model).version),
            replica=ReplicaId(*seat),
            presence=draw(st.sampled_from(list(Presence)[:-1])),
            memory_bytes=MI,
            measured_bytes=sizes.get(version, MI),
        )
        for model, seat in draw(st.sets(keys, max_size=8))
    ]
    return snapshot(demands, servers, holdings)


def carry_out(before: Snapshot, plan) -> Snapshot:
    """The world after every command was obeyed."""
    commands = diff(before, plan)
    gone = {(each.version, each.replica) for each in commands.to_unload}
    sizes = {each.version: each.needed_bytes for each in before.demands}
    kept = [
        each for each in before.holdings if (each.version, each.replica) not in gone and each.presence.keeps
    ]
    new = [
        Holding(version=each.version, replica=each.replica, memory_bytes=sizes[each.version])
        for each in commands.to_load
    ]
    return replace(before, holdings=(*kept, *new))


def used(state: Snapshot) -> dict[ReplicaId, int]:
    total: dict[ReplicaId, int] = {}
    for each in state.holdings:
        total[each.replica] = total.get(each.replica, 0) + each.counted_bytes
    return total


@given(snapshots())
def test_capacity_is_never_exceeded_by_what_is_added(before):
    plan = place(before)
    sizes = {each.version: each.needed_bytes for each in before.demands}
    room = {
        ReplicaId(each.name, one.index): one.capacity_bytes
        for each in before.servers
        for one in each.replicas
    }
    total = used(before)
    for load in diff(before, plan).to_load:
        total[load.replica] = total.get(load.replica, 0) + sizes[load.version]
        assert total[load.replica] <= room[load.replica] or sizes[load.version] == 0


@given(snapshots())
def test_placing_is_idempotent_on_its_own_result(before):
    settled = before
    for _ in range(8):
        settled = carry_out(settled, place(settled))
    again = place(settled)
    assert diff(settled, again).to_load == ()
    assert diff(settled, again).to_unload == ()


@given(snapshots(), st.randoms())
def test_the_order_of_input_does_not_matter(before, shuffler):
    def shuffled(items):
        items = list(items)
        shuffler.shuffle(items)
        return tuple(items)

    servers = shuffled(replace(each, replicas=shuffled(each.replicas)) for each in before.servers)
    after = Snapshot(demands=shuffled(before.demands), servers=servers, holdings=shuffled(before.holdings))
    assert place(after).assignments == place(before).assignments
    assert {k: set(v) for k, v in place(after).refusals.items()} == {
        k: set(v) for k, v in place(before).refusals.items()
    }


@given(snapshots())
def test_nothing_moves_that_still_fits(before):
    settled = carry_out(before, place(before))
    whole = {k: v for k, v in place(settled).assignments.items() if not v.missing}
    once_more = carry_out(settled, place(settled))
    for version, found in place(once_more).assignments.items():
        if version in whole and not found.missing:
            assert found == whole[version]


@given(snapshots())
def test_every_replica_of_every_server_refuses_what_is_not_placed(before):
    plan = place(before)
    for each in before.demands:
        if each.version in plan.assignments:
            continue
        said = {(no.server, no.replica) for no in plan.refusals[each.version]}
        for one in before.servers:
            assert (one.name, None) in said or all((one.name, r.index) in said for r in one.replicas)
        assert len(said) == len(plan.refusals[each.version])


@given(snapshots())
def test_every_missing_replica_has_a_reason(before):
    plan = place(before)
    for version, found in plan.assignments.items():
        assert 0 < len(found.replicas) <= found.demand.replicas
        assert (version in plan.refusals) == bool(found.missing)
        seats = next(len(each.replicas) for each in before.servers if each.name == found.server)
        here = [no for no in plan.refusals.get(version, ()) if no.server == found.server]
        assert len(here) == (seats - len(found.replicas) if found.missing else 0)
