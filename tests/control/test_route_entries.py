"""From a contribution to an entry: the choice of copies, and the weights of backends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.control.fleet import CopyId, ModelCopy
from bailie.control.route_entries import asked_copies, entry_of
from bailie.control.subjects import Contribution
from bailie.lifecycle.copies import CopyState
from bailie.placement import ReplicaId, VersionId
from bailie.routing.table import MAX_TOTAL_WEIGHT, NotReady, ReplicaEndpoint, RouteMirror

WHY = NotReady("ModelProgressing", "it is being loaded")


def copy(model="iris", index=0, number=1, state=CopyState.LOADED, **fields):
    place = CopyId(ReplicaId("s", index), VersionId(model, "v"), number)
    given = {"connected": True, "server_ready": True, **fields}
    return ModelCopy(place, state, report=None, memory_bytes=0, **given)


def present(copies):
    names = {f"{each.id.replica}{end}" for each in copies for end in ("", ".held")}
    return {name: ReplicaEndpoint(name, "127.0.0.1", 9000, 9500) for name in names}


def entry(*copies, weights=None, otherwise=None):
    made = Contribution(copies, "v", otherwise, weights or {})
    return entry_of(made, present(copies))


def weights_of(route):
    return {each.name: each.weight for each in route.backends}


def replicas_of(route):
    return {replica.name for each in route.backends for replica in each.replicas}


@pytest.mark.parametrize(
    ("copies", "asked"),
    [
        ([copy(index=0), copy(index=1)], {"s-0", "s-1"}),
        ([copy(index=0), copy(index=1, draining=True)], {"s-0"}),
        ([copy(index=0, draining=True), copy(index=1, draining=True)], {"s-0", "s-1"}),
        ([copy(index=0), copy(index=1, state=CopyState.EVICTED)], {"s-0"}),
        ([copy(index=0, server_ready=False), copy(index=1, state=CopyState.EVICTED)], {"s-1.held"}),
        ([copy(index=0, state=CopyState.EVICTING), copy(index=1, draining=True)], {"s-0.held"}),
    ],
    ids=["all", "staying", "none stays", "in memory", "ready", "staying before in memory"],
)
def test_the_copies_that_are_asked(copies, asked):
    assert replicas_of(entry(*copies)) == asked


def test_without_a_copy_to_ask_callers_are_told_why_or_nothing():
    assert entry_of(None, {}) is None
    assert entry() is None
    assert entry(otherwise=WHY) is WHY
    assert entry(copy(server_ready=False), otherwise=WHY) is WHY


@pytest.mark.parametrize(
    ("copies", "weights", "expected"),
    [
        ([copy(), copy(index=1)], {}, {"iris_1": 2}),
        ([copy(), copy(index=1, number=2), copy(index=2, number=2)], {}, {"iris_1": 1, "iris_2": 2}),
        ([copy(), copy("rose")], {"iris": 90, "rose": 10}, {"iris_1": 90, "rose_1": 10}),
        ([copy(), copy("rose"), copy("rose", 1)], {"iris": 1, "rose": 1}, {"iris_1": 2, "rose_1": 2}),
        ([copy(), copy("rose")], {"iris": 3}, {"iris_1": 3, "rose_1": 1}),
        ([copy(), copy("rose")], {"iris": 0}, {"iris_1": 0, "rose_1": 1}),
        ([copy(), copy("rose")], {"iris": 0, "rose": 2**32 - 1}, {"iris_1": 0, "rose_1": 2**31 - 1}),
        (
            [copy(), copy(index=1, number=2), copy("rose")],
            {"iris": 90, "rose": 10},
            {"iris_1": 90, "iris_2": 90, "rose_1": 20},
        ),
        ([copy(), copy("rose", server_ready=False)], {"iris": 9, "rose": 1}, {"iris_1": 9}),
    ],
    ids=[
        "replicas",
        "two numbers",
        "weights",
        "even replicas",
        "no weight is 1",
        "zero",
        "zero, scaled",
        "two versions under way",
        "not ready",
    ],
)
def test_weights(copies, weights, expected):
    assert weights_of(entry(*copies, weights=weights)) == expected


def test_a_model_with_weight_zero_is_asked_only_beside_one_that_has_a_weight():
    iris, rose = copy(), copy("rose")
    assert asked_copies(Contribution((iris, rose), weights={"rose": 0})) == (iris, rose)
    assert asked_copies(Contribution((rose,), weights={"rose": 0})) == ()
    iris = copy(server_ready=False)
    assert asked_copies(Contribution((iris, rose), weights={"rose": 0})) == ()


def test_a_route_has_the_mirror_of_its_contribution():
    mirror = RouteMirror("rose", 5)
    made = entry_of(Contribution((copy(),), sticky=True, mirror=mirror), present([copy()]))
    assert (made.sticky, made.mirror) == (True, mirror)


shares = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.tuples(st.integers(1, 2**32 - 1), st.sets(st.integers(0, 9), min_size=1)),
    min_size=1,
)


@given(shares)
def test_a_share_does_not_depend_on_the_number_of_replicas(given_shares):
    copies = [copy(model, index) for model, (_, indexes) in given_shares.items() for index in indexes]
    found = weights_of(entry(*copies, weights={model: weight for model, (weight, _) in given_shares.items()}))
    whole, asked = sum(found.values()), sum(weight for weight, _ in given_shares.values())
    assert whole <= MAX_TOTAL_WEIGHT
    for model, (weight, _) in given_shares.items():
        assert found[f"{model}_1"] >= 1
        assert found[f"{model}_1"] / whole == pytest.approx(weight / asked, abs=1e-6)
