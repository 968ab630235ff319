"""The sentence for people, case by case, and the trail behind it."""

from __future__ import annotations

import pytest
from tests.support.placement import demand, holding, replica, server, snapshot, version

from bailie.placement import Code, explain, place, sentence

FULL = [holding("full-0", "other", mi=800)]
SENTENCES = {
    "wrong tag and too little memory": (
        demand(tags="scikit-learn", mi=500),
        [
            server("a", replica()),
            server("b", replica()),
            server("full", replica(), tags="sklearn,scikit-learn-not"),
        ],
        FULL,
        '0/3 servers fit: 3 lack capability "scikit-learn" (did you mean "sklearn"?)',
    ),
    "two lack it, one is full": (
        demand(tags="sklearn", mi=500),
        [
            server("a", replica(), tags="xgboost"),
            server("b", replica(), tags="xgboost"),
            server("full", replica()),
        ],
        FULL,
        '0/3 servers fit: 2 lack capability "sklearn", 1 has 200Mi free of 500Mi needed',
    ),
    "measured more than declared, and only one fits": (
        demand(mi=100, measured_bytes=500 << 20, replicas=2),
        [server("full", replica(0), replica(1), wanted_replicas=2)],
        FULL,
        (
            '1/2 replicas placed on server "full": 1 replica has 200Mi free of 500Mi needed '
            "(500Mi measured, 100Mi declared)"
        ),
    ),
    "several tags": (
        demand(tags="scikit-learn,cuda,sklearn"),
        [server("a", replica())],
        [],
        '0/1 servers fit: 1 lacks capability "scikit-learn", "cuda" (did you mean "sklearn"?)',
    ),
    "a tag that only another server has is no typing error": (
        demand(tags="sklearn2", server="a"),
        [server("a", replica()), server("b", replica(), tags="sklearn2")],
        [],
        '0/2 servers fit: 1 lacks capability "sklearn2", 1 is not server "a"',
    ),
    "the most of several": (
        demand(mi=500),
        [server("a", replica(0, 900), replica(1, 900)), server("full", replica())],
        [*FULL, holding("a-0", "x", mi=500), holding("a-1", "x", mi=600)],
        "0/2 servers fit: 2 have at most 400Mi free of 500Mi needed",
    ),
    "larger than the server": (
        demand(mi=1536),
        [server("a", replica())],
        [],
        "0/1 servers fit: 1 has only 1000Mi in all, less than the 1.5Gi needed",
    ),
    "several are too small": (
        demand(mi=2000),
        [server("a", replica()), server("b", replica(0, 0))],
        [],
        "0/2 servers fit: 2 have at most 1000Mi in all, less than the 2Gi needed",
    ),
    "no server": (demand(), [], [], "0/0 servers fit: the namespace has no server"),
    "pinned to none": (
        demand(server="mlsever"),
        [server(), server("triton", replica())],
        [],
        '0/2 servers fit: 2 are not server "mlsever" (there is none of that name; did you mean "mlserver"?)',
    ),
    "pinned to nothing like it": (
        demand(server="gpu"),
        [server()],
        [],
        '0/1 servers fit: 1 is not server "gpu" (there is none of that name)',
    ),
    "everything drains": (
        demand(),
        [server("a", replica(draining=True)), server("b", replica(draining=True))],
        [],
        "0/2 servers fit: 2 are draining",
    ),
    "nothing is connected": (
        demand(),
        [server("a"), server("b", replica(connected=False)), server("c", replica(ready=False))],
        [],
        (
            "0/3 servers fit: 1 has a model server that does not answer, 1 has no replica connected, "
            "1 has lost its agent"
        ),
    ),
    "servers of several sizes of which none is connected": (
        demand(),
        [server("a", wanted_replicas=1), server("b", wanted_replicas=2), server("c", wanted_replicas=1)],
        [],
        "0/3 servers fit: 3 have no replica connected",
    ),
    "a gateway of pipelines beside others": (
        demand(),
        [server("a", wanted_replicas=0), server("b", replica(), shared=False)],
        [],
        "0/1 servers fit: 1 is scaled to zero",
    ),
    "a gateway of pipelines alone": (
        demand(),
        [server("b", replica(), shared=False)],
        [],
        "0/0 servers fit: the namespace has no server",
    ),
    "another server is named": (
        demand(server="mlserver"),
        [server("a", replica()), server("b", replica(), shared=False)],
        [],
        '0/1 servers fit: 1 is not server "mlserver" (there is none of that name)',
    ),
    "a gateway of pipelines is named": (
        demand(server="b", tags="sklearn"),
        [server("a", replica()), server("b", replica(), tags="", shared=False)],
        [],
        '0/2 servers fit: 1 lacks capability "sklearn", 1 is not server "b"',
    ),
    "nearest to a yes speaks for the server": (
        demand(mi=500),
        [server("a", replica(0, 100), replica(1, draining=True), replica(2), replica(3, connected=False))],
        [holding("a-2", "x", mi=600)],
        "0/1 servers fit: 1 has 400Mi free of 500Mi needed",
    ),
    "placed": (
        demand(replicas=2),
        [server("a", replica(0), replica(1))],
        [],
        '2/2 replicas placed on server "a"',
    ),
    "partial, too few": (
        demand(replicas=3),
        [server("a", replica(0), replica(1))],
        [],
        '2/3 replicas placed on server "a": it has 2 replicas',
    ),
    "partial, one of one": (
        demand(replicas=2),
        [server("a", replica(0))],
        [],
        '1/2 replicas placed on server "a": it has 1 replica',
    ),
    "partial, memory and draining": (
        demand(replicas=4, mi=500),
        [
            server("a", replica(0), replica(1, 700), replica(2, draining=True), replica(3, 700)),
            server("b", replica(0, 100)),
        ],
        [holding("a-1", "x", mi=600), holding("a-3", "x", mi=700)],
        (
            '1/4 replicas placed on server "a": 2 replicas have at most 100Mi free of 500Mi needed, '
            "1 replica is draining"
        ),
    ),
}


@pytest.mark.parametrize("case", SENTENCES.values(), ids=SENTENCES.keys())
def test_the_sentence_says(case):
    wanted, servers, holdings, expected = case
    state = snapshot([wanted], servers, holdings)
    assert sentence(state, place(state), version()) == expected


AMOUNTS = {0: "0", 512: "512", 1 << 10: "1Ki", 1536 << 20: "1.5Gi", 3 << 40: "3Ti", (1 << 30) - 1: "1024Mi"}


@pytest.mark.parametrize(("amount", "text"), AMOUNTS.items())
def test_amounts_read_as_quantities(amount, text):
    state = snapshot([demand(mi=1 << 30)], [server("a", replica(0))])
    small = snapshot(state.demands, [server("a", replica(0).__class__(index=0, memory_bytes=amount))])
    assert f"1 has only {text} in all," in sentence(small, place(small), version())


def test_the_whole_trail_of_a_version():
    state = snapshot([demand(tags="xgb", replicas=2)], [server("a", replica(), tags="xgboost")])
    found = explain(state, place(state), version())
    assert (found.server, found.replicas, found.wanted) == ("", (), 2)
    assert found.suggestions == {"xgb": "xgboost"}
    assert [(no.code, no.filter, no.server, no.replica, no.need, no.have) for no in found.refusals] == [
        (Code.LACKS_CAPABILITY, "has_capabilities", "a", None, "xgb", "xgboost")
    ]


def test_the_trail_of_what_is_placed():
    state = snapshot([demand()], [server("a", replica())])
    found = explain(state, place(state), version())
    assert (found.server, found.replicas, found.refusals) == ("a", (0,), ())
    assert found.sentence == '1/1 replicas placed on server "a"'


def test_a_version_that_nobody_demands_has_no_explanation():
    with pytest.raises(KeyError):
        explain(snapshot(), place(snapshot()), version())
