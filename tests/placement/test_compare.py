"""Why here and not there: which rule decided, case by case."""

from __future__ import annotations

import pytest
from hypothesis import given
from tests.placement.test_place import snapshots
from tests.support.placement import demand, holding, replica, server, snapshot, version

from bailie.lifecycle.copies import Presence
from bailie.placement import Rule, compare, place

CASES = {
    "stays": (
        demand(),
        [server("a", replica(0, 100)), server("b", replica(0, 900))],
        [holding("a-0")],
        (
            "a",
            [
                (
                    "b",
                    Rule.STAYS,
                    'fits, but the model is on server "a" already, and what fits stays where it is',
                )
            ],
        ),
    ),
    "takes more": (
        demand(replicas=2),
        [server("a", replica(0), replica(1)), server("b", replica(0, 9000))],
        [],
        ("a", [("b", Rule.TAKES_MORE, 'takes 1 replica, server "a" takes 2')]),
    ),
    "free memory": (
        demand(mi=10),
        [server("a", replica(0, 100)), server("b", replica(0, 1536))],
        [],
        ("b", [("a", Rule.FREE_MEMORY, 'fits, but server "b" has more free memory: 1.5Gi against 100Mi')]),
    ),
    "fewest versions": (
        demand(),
        [server("a", replica()), server("b", replica())],
        [holding("a-0", "x"), holding("a-0", "y"), holding("b-0", "z")],
        ("b", [("a", Rule.FEWEST_VERSIONS, 'fits, but server "b" holds fewer model versions: 1 against 2')]),
    ),
    "name": (
        demand(),
        [server("b", replica()), server("a", replica())],
        [],
        ("a", [("b", Rule.NAME, 'fits as well as server "a", which comes first by name')]),
    ),
    "does not fit": (
        demand(tags="sklearn"),
        [server("a", replica()), server("b", replica(), tags="")],
        [],
        ("a", [("b", None, "")]),
    ),
    "moves to where all of it fits": (
        demand(replicas=2),
        [server("a", replica(0), replica(1, draining=True)), server("b", replica(0), replica(1))],
        [holding("a-0")],
        ("b", [("a", Rule.TAKES_MORE, 'takes 1 replica, server "b" takes 2')]),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_why_this_server(case):
    wanted, servers, holdings, (chosen, others) = case
    state = snapshot([wanted], servers, holdings)
    first, *rest = compare(state, place(state), version()).servers
    assert (first.server, first.chosen, first.lost_by) == (chosen, True, None)
    assert [(each.server, each.lost_by, each.sentence) for each in rest] == others


REPLICAS = {
    "enough have it": (
        [replica(0), replica(1)],
        [holding("s-0"), holding("s-1")],
        [(0, None, ""), (1, Rule.NAME, "fits as well as the others, which come first by number")],
    ),
    "what has it comes first": (
        [replica(0), replica(1)],
        [holding("s-1")],
        [(1, None, ""), (0, Rule.STAYS, "fits, but enough other replicas have the model already")],
    ),
    "free memory": (
        [replica(0, 100), replica(1, 200)],
        [],
        [
            (1, None, ""),
            (0, Rule.FREE_MEMORY, "fits, but the others have more free memory: 200Mi against 100Mi"),
        ],
    ),
    "fewest versions": (
        [replica(0), replica(1)],
        [holding("s-0", "x")],
        [
            (1, None, ""),
            (0, Rule.FEWEST_VERSIONS, "fits, but the others hold fewer model versions: 0 against 1"),
        ],
    ),
    "does not fit": (
        [replica(0), replica(1, draining=True)],
        [holding("s-1", presence=Presence.LEAVING)],
        [(0, None, ""), (1, None, "")],
    ),
}


@pytest.mark.parametrize("case", REPLICAS.values(), ids=REPLICAS.keys())
def test_why_this_replica(case):
    replicas, holdings, expected = case
    state = snapshot([demand()], [server("s", *replicas)], holdings)
    found = compare(state, place(state), version()).replicas
    assert [(each.replica, each.lost_by, each.sentence) for each in found] == expected
    assert [each.chosen for each in found] == [number == 0 for number in range(len(found))]


def test_where_it_would_go_if_it_were_nowhere():
    servers = [server("a", replica(0, 100)), server("b", replica(0, 900))]
    state = snapshot([demand(mi=10)], servers, [holding("a-0", mi=10)])
    found = compare(state, place(state), version())
    assert found.anew == "b"
    assert [(each.server, each.has, each.free_bytes >> 20) for each in found.servers] == [
        ("a", 1, 100),
        ("b", 0, 900),
    ]


def test_where_it_would_go_may_be_nowhere():
    state = snapshot([demand(mi=10)], [server("a", replica(0, 100, ready=False))], [holding("a-0", mi=10)])
    assert compare(state, place(state), version()).anew == ""


def test_a_gateway_of_pipelines_is_not_compared():
    found = snapshot([demand()], [server("a", replica()), server("b", replica(), shared=False)])
    assert [each.server for each in compare(found, place(found), version()).servers] == ["a"]


def test_what_has_no_place_is_not_compared():
    state = snapshot([demand(tags="x")], [server("a", replica())])
    assert compare(state, place(state), version()).servers == ()


@given(snapshots())
def test_every_server_that_fits_and_is_not_chosen_lost_by_a_rule(before):
    plan = place(before)
    for each, assigned in plan.assignments.items():
        found = compare(before, plan, each)
        assert [place.server for place in found.servers if place.chosen] == [assigned.server]
        assert found.servers[0].chosen
        assert {place.replica for place in found.replicas if place.chosen} == set(assigned.replicas)
        for place_ in (*found.servers, *found.replicas):
            fits = place_.takes > 0 and not place_.chosen
            assert (place_.lost_by is not None) == fits == bool(place_.sentence)
            assert place_.chosen or fits or place_.refusals


def test_who_comes_before_by_name_has_taken_its_place_already():
    wanted = [demand("a", mi=60), demand("b", mi=60)]
    before = snapshot(wanted, [server("s", replica(0, 100)), server("t", replica(0, 90))])
    found = compare(before, place(before), version("b"))
    assert [(each.server, each.chosen) for each in found.servers] == [("t", True), ("s", False)]
