"""The clock of acknowledgements: three questions about the same data planes, and what time alone changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.control.acknowledgements import (
    DRAIN_SECONDS,
    GIVE_UP_SECONDS,
    LOOK_SECONDS,
    REJOIN_SECONDS,
    Acknowledgements,
    Departure,
)

LEFT = Departure(revision=3, since=10.0)
AWAY = 0


def clock(*observed):
    """A clock that has seen `(time, acknowledged, whole)`."""
    made = Acknowledgements()
    for now, acknowledged, whole in observed:
        made.observe(acknowledged, whole=whole, now=now)
    return made


@pytest.mark.parametrize(
    ("observed", "has", "may_end", "is_left_everywhere"),
    [
        pytest.param([(10, 2, True)], False, False, False, id="an older table"),
        pytest.param([(10, 3, True)], True, False, True, id="just acknowledged: requests under way go on"),
        pytest.param([(10, 3, True), (10 + DRAIN_SECONDS, 3, True)], True, True, True, id="drained"),
        pytest.param([(12, 4, True)], True, False, True, id="by a newer table"),
        pytest.param([(9, 3, True), (11, 3, True)], True, True, True, id="acknowledged before it was left"),
        pytest.param(
            [(10, 2, True), (10 + GIVE_UP_SECONDS, 2, True)], False, True, False, id="an unload gives up"
        ),
        pytest.param(
            [(10 + GIVE_UP_SECONDS, AWAY, True)],
            False,
            True,
            True,
            id="no data plane ever: both give up",
        ),
        pytest.param([(10, 3, False)], True, False, False, id="one that may have an older table is away"),
        pytest.param(
            [(10, 3, True), (11, AWAY, True)], True, True, False, id="all went away: a status forgives it"
        ),
        pytest.param(
            [(10, 3, True), (11, AWAY, True), (11 + REJOIN_SECONDS, AWAY, True)],
            False,
            True,
            False,
            id="all are away for too long",
        ),
        pytest.param(
            [(10, 3, True), (11, 2, True)], True, True, False, id="one came back with an older table"
        ),
    ],
)
def test_the_answers(observed, has, may_end, is_left_everywhere):
    found = clock(*observed)
    assert found.has(LEFT.revision) is has
    assert found.may_end(LEFT) is may_end
    assert found.is_left_everywhere(LEFT) is is_left_everywhere


def test_before_the_first_table_nothing_is_acknowledged():
    found = clock((0, 0, True))
    assert not found.has(0)
    assert not found.is_left_everywhere(Departure(0, 0.0))
    assert not found.is_acknowledged(Departure(1, float("inf")))
    assert not found.may_end(Departure(1, float("inf")))


def test_what_is_acknowledged_within_a_pass_drains_from_then_on():
    found = clock((10, 2, True))
    found.hear(3)
    assert found.end(LEFT) == LEFT.since + DRAIN_SECONDS
    assert not found.has(LEFT.revision)


@pytest.mark.parametrize(
    ("observed", "ending", "evicting", "deadline"),
    [
        pytest.param([(10, 2, True)], [], [], None, id="nothing is waited for"),
        pytest.param([(10, 2, True)], [LEFT], [], 10 + GIVE_UP_SECONDS, id="an acknowledgement"),
        pytest.param([(10, 3, True)], [LEFT], [], 10 + DRAIN_SECONDS, id="a drain"),
        pytest.param([(10, 2, True)], [], [LEFT], None, id="an eviction waits for the data plane alone"),
        pytest.param([(10, 2, False)], [], [LEFT], 10 + LOOK_SECONDS, id="whether they are whole"),
        pytest.param([(10, AWAY, True)], [], [LEFT], 10 + GIVE_UP_SECONDS, id="no data plane was ever there"),
        pytest.param([(10, 3, True), (11, AWAY, True)], [], [], 10 + REJOIN_SECONDS, id="a short absence"),
        pytest.param([(10, 2, True)], [Departure(1, float("inf"))], [], None, id="no table was published"),
    ],
)
def test_when_an_answer_changes_by_itself(observed, ending, evicting, deadline):
    assert clock(*observed).deadline(ending, evicting) == deadline


PASSES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 1.0, 4.0, 11.0]), st.integers(0, 4), st.booleans()), max_size=12
)


@given(PASSES, st.integers(1, 4), st.integers(0, 12))
def test_an_unload_never_waits_for_ever_and_never_takes_its_leave_back(passes, revision, at):
    found, now, departure, ended = Acknowledgements(), 0.0, None, False
    for count, (seconds, acknowledged, whole) in enumerate(passes):
        now += seconds
        found.observe(acknowledged, whole=whole, now=now)
        if departure is None and count >= at:
            departure = Departure(revision, now)
        if departure is not None:
            assert found.may_end(departure) or not ended
            ended = found.may_end(departure)
            assert ended or now < departure.since + GIVE_UP_SECONDS + DRAIN_SECONDS
            assert not found.is_left_everywhere(departure) or acknowledged >= revision or now >= 10.0


@given(PASSES, st.lists(st.integers(1, 4), max_size=3))
def test_forgetting_changes_no_answer_that_is_waited_for(passes, revisions):
    """Nor that about the first table, nor any about a table that is newer than what was waited for."""
    keeping, forgetting, now = Acknowledgements(), Acknowledgements(), 0.0
    departures = [Departure(revision, 0.0) for revision in revisions]
    newest = 0
    for seconds, acknowledged, whole in passes:
        now += seconds
        newest = max(newest, acknowledged)
        for each in (keeping, forgetting):
            each.observe(acknowledged, whole=whole, now=now)
        forgetting.forget(departures)
        for each in (*departures, Departure(1, 0.0), Departure(newest, now), Departure(newest + 1, now)):
            assert keeping.end(each) == forgetting.end(each)
            assert keeping.is_acknowledged(each) == forgetting.is_acknowledged(each)


@given(PASSES, st.integers(1, 4))
def test_no_answer_changes_before_its_deadline(passes, revision):
    found, now = Acknowledgements(), 0.0
    for seconds, acknowledged, whole in passes:
        now += seconds
        found.observe(acknowledged, whole=whole, now=now)
    departure = Departure(revision, now)
    deadline = found.deadline([departure], [departure])
    before = found.has(revision), found.may_end(departure), found.is_left_everywhere(departure)
    if passes and deadline is not None:
        acknowledged, whole = passes[-1][1:]
        found.observe(acknowledged, whole=whole, now=(now + deadline) / 2)
        after = found.has(revision), found.may_end(departure), found.is_left_everywhere(departure)
        assert before == after
