"""Which load begins, and when: tables, and what holds for any number of loads that hang."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.agent.load_order import (
    SUSPECT_SECONDS,
    LoadLimits,
    LoadVerdict,
    Rank,
    UnderWay,
    verdict,
    wait_seconds,
)

ONE, FOUR = LoadLimits(places=1, patience=1.0), LoadLimits(places=4, patience=2.0)
RETURN, FIRST, AGAIN, SUSPECT = Rank.RETURN, Rank.FIRST, Rank.AGAIN, Rank.SUSPECT
RANKS = st.sampled_from(Rank)


def since(*seconds: float, rank: Rank = FIRST) -> list[UnderWay]:
    """Loads that are under way for so long at time 1000."""
    return [UnderWay(rank, 1000 - each) for each in seconds]


@pytest.mark.parametrize(
    ("rank", "under_way", "limits", "expected"),
    [
        pytest.param(FIRST, [], ONE, 0, id="nothing is under way"),
        pytest.param(FIRST, since(0.25), ONE, 0.75, id="one has just begun"),
        pytest.param(FIRST, since(600), ONE, 0, id="one hangs"),
        pytest.param(FIRST, since(600, 1), ONE, 1, id="a second waits twice as long"),
        pytest.param(FIRST, since(600, 500, 400, 8), ONE, 0, id="four hang"),
        pytest.param(RETURN, since(600, 500, 400, 0.5), ONE, 0.5, id="a return waits as for one"),
        pytest.param(FIRST, since(0, 0, 0), FOUR, 0, id="a place is free"),
        pytest.param(FIRST, since(0.5, 0.5, 0.5, 0.5), FOUR, 1.5, id="every place has just been taken"),
        pytest.param(AGAIN, since(3, 3, 3, 3), FOUR, 0, id="four downloads hang"),
        pytest.param(FIRST, since(9, 9, 9, 9, 1), FOUR, 3, id="and a fifth"),
        pytest.param(SUSPECT, [], ONE, 0, id="a suspect is alone"),
        pytest.param(SUSPECT, since(600), ONE, 0, id="but for those that hang"),
        pytest.param(
            SUSPECT, since(600, 3), ONE, SUSPECT_SECONDS - 3, id="a suspect waits for what has just begun"
        ),
        pytest.param(FIRST, since(1, rank=SUSPECT), ONE, SUSPECT_SECONDS - 1, id="a suspect is left alone"),
        pytest.param(RETURN, since(40, rank=SUSPECT), ONE, 0, id="but not for ever"),
    ],
)
def test_waits(rank, under_way, limits, expected):
    assert wait_seconds(rank, under_way, 1000.0, limits) == expected


def test_ranks_are_in_the_order_in_which_they_begin():
    assert sorted(Rank) == [RETURN, FIRST, AGAIN, SUSPECT]


@given(st.lists(st.tuples(RANKS, st.floats(0, 1e4))), st.floats(0, 1e4), st.integers(1, 9))
def test_nobody_waits_for_the_end_of_another(loads, now, places):
    under_way = [UnderWay(rank, begun) for rank, begun in loads]
    limits = LoadLimits(places, 1.0)
    for rank in Rank:
        seconds = wait_seconds(rank, under_way, now, limits)
        assert seconds >= 0
        assert wait_seconds(rank, under_way, now + seconds + 1e-6, limits) == 0


@given(st.integers(1, 6), st.floats(0.5, 5), st.integers(0, 60))
def test_loads_that_hang_delay_the_next_one_by_no_more_than_all_that_went_before(places, patience, hanging):
    limits, now, begun = LoadLimits(places, patience), 0.0, []
    for _ in range(hanging):
        waits = wait_seconds(FIRST, begun, now, limits)
        now += waits
        begun.append(UnderWay(FIRST, now))
    assert wait_seconds(FIRST, begun, now, limits) <= now + patience + 1e-6


def test_however_many_hang_few_are_under_way_at_a_time():
    begun: list[UnderWay] = []
    now = 0.0
    while (now := now + wait_seconds(FIRST, begun, now, ONE)) <= 3600:
        begun.append(UnderWay(FIRST, now))
    assert len(begun) == 12


GUILTY, SUSPECTED, INNOCENT = LoadVerdict.GUILTY, LoadVerdict.SUSPECT, LoadVerdict.INNOCENT


@pytest.mark.parametrize(
    ("begun", "others", "expected"),
    [
        pytest.param(100, [], GUILTY, id="alone"),
        pytest.param(100, [99], SUSPECTED, id="two that began together"),
        pytest.param(100, [90], GUILTY, id="beside one that hangs"),
        pytest.param(90, [100], INNOCENT, id="it hung before another began"),
        pytest.param(100, [70, 10, 99], SUSPECTED, id="the last two of several"),
        pytest.param(10, [12, 100], INNOCENT, id="two that hung before another began"),
    ],
)
def test_verdicts(begun, others, expected):
    assert verdict(begun, others) is expected


@given(st.lists(st.integers(0, 200), min_size=1, max_size=8))
def test_somebody_is_always_held_responsible_and_the_guilty_is_one(begun):
    found = [verdict(each, begun[:i] + begun[i + 1 :]) for i, each in enumerate(begun)]
    assert set(found) & {GUILTY, SUSPECTED}
    assert found.count(GUILTY) <= 1
    assert found[begun.index(max(begun))] is not INNOCENT
