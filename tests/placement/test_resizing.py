"""How many replicas a server needs: what placement would do with more or fewer, never by another rule."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.placement import demand, holding, replica, server, snapshot

from bailie.lifecycle.copies import Presence
from bailie.placement import place
from bailie.placement.resizing import SLICE, STEP, ReplicaNeed, ResizingTrial, sized


def finished(work):
    """Runs a generator to its end; returns its value and the number of pauses."""
    pauses = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value, pauses
        pauses += 1


def need(seen, name="mlserver", *, least=1, most=6, before=1, resized=None):
    trial = ResizingTrial(seen, place(seen))
    for other, count in (resized or {}).items():
        trial.resize(other, count)
    return finished(trial.need(name, least, most, before))[0]


def one(*indexes, wanted=1, mi=100, **fields):
    replicas = [replica(index, mi) for index in indexes or range(wanted)]
    return server("mlserver", *replicas, wanted_replicas=wanted, **fields)


def models(count, mi=40, **fields):
    return [demand(f"m{number}", mi=mi, **fields) for number in range(count)]


CASES = {
    "nothing wants a place": ([], one(wanted=3), (), 1, ()),
    "all fit": (models(2), one(), (), 1, ()),
    "one more does not": (models(3), one(), (), 2, ("m2",)),
    "many do not": (models(9), one(), (), 5, tuple(f"m{number}" for number in range(2, 9))),
    "a model wants more replicas": (models(1, replicas=4), one(), (), 4, ("m0",)),
    "more than are allowed": (models(1, replicas=9), one(), (), 7, ("m0",)),
    "a model larger than a replica asks for nothing": (models(1, mi=400), one(), (), 1, ()),
    "the large one does not hide the small one": (
        [*models(3), demand("zoo", mi=400)],
        one(),
        (),
        2,
        ("m2",),
    ),
    "a requirement that the server lacks": (models(1, tags="xgboost"), one(), (), 1, ()),
    "another server is named": (models(1, server="other"), one(), (), 1, ()),
    "fewer are enough": (models(2), one(wanted=4), ("mlserver-0 m0", "mlserver-3 m1"), 1, ()),
    "fewer are too few": (
        models(3),
        one(wanted=3),
        ("mlserver-0 m0", "mlserver-1 m1", "mlserver-2 m2"),
        2,
        (),
    ),
    "a replica that starts counts as there": (models(3), one(0, wanted=2), (), 2, ("m2",)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_number_is_the_smallest_that_gives_all_of_them_a_place(case):
    demands, there, places, replicas, waiting = CASES[case]
    held = [holding(*each.split(), mi=40) for each in places]
    assert need(snapshot(demands, [there], held)) == ReplicaNeed(replicas=replicas, waiting=waiting)


def test_replicas_that_are_away_silent_or_draining_are_counted_on():
    seats = [replica(0, 100), replica(1, 100, connected=False), replica(2, 100, ready=False, silent=True)]
    there = server("mlserver", *seats, replica(3, 100, draining=True), wanted_replicas=4)
    assert need(snapshot(models(8), [there])) == ReplicaNeed(
        replicas=4, waiting=tuple(f"m{n}" for n in range(2, 8))
    )


def test_the_numbers_begin_at_the_first_ordinal():
    there = server("mlserver", replica(100, 100), wanted_replicas=1, first_ordinal=100)
    assert need(snapshot(models(3), [there])).replicas == 2
    assert [each.index for each in sized(there, 3).replicas] == [100, 101, 102]


def test_a_new_replica_has_the_memory_of_the_smallest():
    there = server("mlserver", replica(0, 100), replica(1, 50), wanted_replicas=2)
    assert [each.memory_bytes >> 20 for each in sized(there, 4).replicas] == [100, 50, 50, 50]
    assert sized(server("mlserver"), 3).replicas == ()


def test_models_that_leave_a_replica_may_go_to_another_server():
    other = server("other", replica(0, 100))
    held = [holding("mlserver-1", "m0", mi=40)]
    assert need(snapshot(models(1), [one(wanted=2), other], held)).replicas == 1
    full = [*held, holding("other-0", "big", mi=100), holding("mlserver-0", "big", mi=90)]
    assert (
        need(snapshot([*models(1), demand("big", mi=90, replicas=1)], [one(wanted=2), other], full)).replicas
        == 2
    )


def test_a_server_that_was_given_more_leaves_nothing_to_wait_for():
    other = server("other", replica(0, 10))
    seen = snapshot(models(3), [one(), other])
    assert need(seen, resized={"mlserver": 2}, before=2).replicas == 2
    assert need(seen, "other", resized={"mlserver": 2}).replicas == 1


def test_the_models_that_a_smaller_server_leaves_keep_the_room_for_them_elsewhere():
    names = ("mlserver", "other")
    servers = [server(name, replica(0, 100), replica(1, 100), wanted_replicas=2) for name in names]
    demands = [demand("big", mi=90), demand("large", mi=90), demand("small", mi=40)]
    held = [
        holding("mlserver-0", "big", mi=90),
        holding("other-0", "large", mi=90),
        holding("mlserver-1", "small", mi=40),
    ]
    seen = snapshot(demands, servers, held)
    assert need(seen, before=2) == ReplicaNeed(replicas=1)
    assert need(seen, "other", before=2) == ReplicaNeed(replicas=1)
    assert need(seen, "other", before=2, resized={"mlserver": 1}) == ReplicaNeed(replicas=2)


def test_one_look_adds_a_few_replicas_at_most_or_doubles_the_server():
    assert need(snapshot(models(100, mi=100), [one()]), most=500).replicas == 1 + STEP
    assert need(snapshot(models(100, mi=100), [one(wanted=20)]), most=500).replicas == 40


@pytest.mark.parametrize("before", [0, 1, 2, 3, 5, 6, 7, 100])
def test_the_look_before_changes_no_answer(before):
    seen = snapshot(models(5), [one(wanted=4)])
    assert need(seen, before=before) == need(seen, before=3)


def test_thousands_of_models_let_others_run_meanwhile():
    seen = snapshot(models(150, mi=1), [one()])
    found, pauses = finished(ResizingTrial(seen, place(seen)).need("mlserver", 1, 9, 1))
    assert (found.replicas, pauses >= 50 // SLICE) == (2, True)


@st.composite
def grounds(draw):
    """A server of a few replicas, another, and models of which some are placed."""
    count = draw(st.integers(1, 4))
    there = server("mlserver", *(replica(each, 100) for each in range(count)), wanted_replicas=count)
    servers = [there, *([server("other", replica(0, 60))] if draw(st.booleans()) else [])]
    demands, held, free = [], [], dict.fromkeys(range(count), 100)
    for number in range(draw(st.integers(0, 7))):
        mi = draw(st.sampled_from([0, 20, 45, 70, 130]))
        name = f"m{number}"
        demands.append(demand(name, mi=mi, replicas=draw(st.integers(1, 3))))
        index = draw(st.integers(0, count - 1))
        if draw(st.booleans()) and mi <= free[index]:
            free[index] -= mi
            presence = draw(st.sampled_from([Presence.LOADED, Presence.EVICTED, Presence.COMING]))
            held.append(holding(f"mlserver-{index}", name, mi=mi, presence=presence))
    return snapshot(demands, servers, held), count


@settings(max_examples=150, deadline=None)
@given(grounds(), st.integers(0, 8))
def test_no_model_loses_its_place_and_one_replica_fewer_would_be_too_few(ground, before):
    seen, count = ground
    plan = place(seen)
    trial = ResizingTrial(seen, plan)
    found, _ = finished(trial.need("mlserver", 1, 6, before))
    assert 1 <= found.replicas <= 7
    there = seen.servers[0]
    lacking = finished(trial._lacking(sized(there, found.replicas)))[0]
    now = {version.model: version for version in plan.refusals}
    assert lacking.keys() <= now.keys()
    assert set(found.waiting) <= now.keys()
    if found.replicas > count:
        assert found.waiting, "more replicas, and no model asks for them"
    if found.replicas > 1:
        fewer = finished(trial._lacking(sized(there, found.replicas - 1)))[0]
        assert any(missing > lacking.get(model, 0) for model, missing in fewer.items())
