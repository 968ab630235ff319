"""What would make it fit, case by case, and that what is told is true."""

from __future__ import annotations

import pytest
from hypothesis import given
from tests.placement.test_place import snapshots
from tests.support.placement import demand, holding, replica, server, snapshot, version

from bailie.placement import place, remedies

CASES = {
    "a wrong tag": (
        demand(tags="scikit-learn"),
        [server("a", replica())],
        [],
        ['write requirement "sklearn" in place of "scikit-learn"'],
    ),
    "a lacking capability": (
        demand(tags="sklearn,cuda,tpu"),
        [server("a", replica())],
        [],
        ['give server "a" the capabilities "cuda", "tpu"'],
    ),
    "the fewest changes first, those of the model before those of servers": (
        demand(tags="scikit-learn"),
        [server("a", replica(), tags="xgboost"), server("b", replica()), server("c", replica(), tags="")],
        [],
        [
            'write requirement "sklearn" in place of "scikit-learn"',
            'give server "a" the capability "scikit-learn"',
            'give server "c" the capability "scikit-learn"',
        ],
    ),
    "one refusal after the other": (
        demand(tags="scikit-learn", mi=500),
        [server("a", replica())],
        [holding("a-0", "other", mi=800)],
        [
            (
                'write requirement "sklearn" in place of "scikit-learn" and lower spec.memory until at most '
                '200Mi is needed, or free 300Mi on a-0, or scale server "a" to 2 replicas'
            )
        ],
    ),
    "a server that is not there": (
        demand(server="mlsever"),
        [server("a", replica()), server("mlserver", replica())],
        [],
        [
            'write "mlserver" in place of "mlsever" in spec.server',
            'write "a" in place of "mlsever" in spec.server',
        ],
    ),
    "a server that is not shared": (
        demand(),
        [server("a", replica(), shared=False)],
        [],
        ["add a Server (1 replica)"],
    ),
    "larger than the server": (
        demand(mi=1536),
        [server("a", replica())],
        [],
        ['lower spec.memory until at most 1000Mi is needed, or give the replicas of server "a" 1.5Gi'],
    ),
    "too little memory on several": (
        demand(mi=500, replicas=2),
        [server("a", replica(0), replica(1), wanted_replicas=2)],
        [holding("a-0", "x", mi=800), holding("a-1", "y", mi=1000)],
        ['free 300Mi on a-0, 500Mi on a-1, or scale server "a" to 4 replicas'],
    ),
    "everything drains": (
        demand(),
        [server("a", replica(draining=True))],
        [],
        ['scale server "a" to 2 replicas'],
    ),
    "scaled to zero while it still runs": (
        demand(replicas=2),
        [server("a", replica(draining=True), wanted_replicas=0)],
        [],
        ['scale server "a" to 2 replicas and wait for 1 replica of server "a" to connect'],
    ),
    "scaled to zero and gone": (
        demand(),
        [server("a", wanted_replicas=0)],
        [],
        ['scale server "a" to 1 replica'],
    ),
    "nothing connected": (
        demand(),
        [server("a")],
        [],
        ['see to it that a replica of server "a" connects'],
    ),
    "partial": (
        demand(replicas=3),
        [server("a", replica())],
        [],
        ['scale server "a" to 3 replicas'],
    ),
    "partial, the others are coming": (
        demand(replicas=3),
        [server("a", replica(), wanted_replicas=3)],
        [],
        ['wait for 2 replicas of server "a" to connect'],
    ),
    "beyond every change": (
        demand(mi=5000, tags="x", explainer=True),
        [server("a", replica(draining=True), tags="x,alibi-explain")],
        [],
        ['add a Server with capabilities "x", "alibi-explain" and 4.9Gi of memory per replica (1 replica)'],
    ),
    "no server": (demand(server="gpu"), [], [], ['add a Server named "gpu" (1 replica)']),
    "placed": (demand(), [server("a", replica())], [], []),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_would_make_it_fit(case):
    wanted, servers, holdings, expected = case
    state = snapshot([wanted], servers, holdings)
    assert [each.sentence for each in remedies(state, place(state), wanted.version)] == expected


def test_others_keep_what_the_plan_gives_them():
    state = snapshot([demand("a", mi=800), demand("b", mi=500)], [server("s", replica())])
    (found,) = remedies(state, place(state), version("b"))
    assert "at most 200Mi" in found.sentence


def test_only_a_few_are_told():
    state = snapshot([demand(tags="x")], [server(f"s{number}", replica()) for number in range(9)])
    assert [each.server for each in remedies(state, place(state), version())] == [
        "s0",
        "s1",
        "s2",
        "s3",
        "s4",
    ]


def test_the_same_change_is_told_once():
    state = snapshot([demand(tags="scikit-learn")], [server("a", replica()), server("b", replica())])
    (found,) = remedies(state, place(state), version())
    assert (found.server, found.of_model) == ("a", 1)


def test_to_declare_less_is_no_use_where_more_was_measured():
    state = snapshot([demand(mi=100, measured_bytes=1500 << 20)], [server("a", replica())])
    (found,) = remedies(state, place(state), version())
    assert found.sentence == 'give the replicas of server "a" 1.5Gi'


@given(snapshots())
def test_whatever_is_not_placed_in_full_has_a_way_to_be(before):
    plan = place(before)
    for each in before.demands:
        assigned = plan.assignments.get(each.version)
        found = remedies(before, plan, each.version)
        assert bool(found) == (assigned is None or bool(assigned.missing))
        assert all(remedy.changes for remedy in found)
