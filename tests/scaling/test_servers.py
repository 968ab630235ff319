"""The number of replicas of a Server over time: up at once, down after five minutes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailie.scaling import Bounds, ServerReason, ServerScaler, ServerState, asleep

BOUNDS = Bounds(1, 6)


class Story:
    """A scaler, looked at every ten seconds. The spec has the number that it decided at the look before."""

    def __init__(self, replicas: int = 1) -> None:
        self.scaler, self.replicas, self.now = ServerScaler(), replicas, 0.0
        self.seen: list[tuple[float, int, ServerReason]] = []

    def run(
        self,
        seconds: float,
        needed: int | None,
        waiting: tuple[str, ...] = (),
        absent: frozenset[int] = frozenset(),
        bounds: Bounds = BOUNDS,
    ) -> str:
        """Goes on for so long; returns the newest words."""
        end, text = self.now + seconds, ""
        while self.now < end:
            self.now += 10
            self.scaler.observe(self.now, absent)
            state = ServerState(replicas=self.replicas, needed=needed, waiting=waiting)
            decision = self.scaler.decide(self.now, state, bounds)
            self.replicas, text = decision.replicas, decision.text
            self.seen.append((self.now, decision.replicas, decision.reason))
        return text

    @property
    def reason(self) -> ServerReason:
        return self.seen[-1][2]


def test_more_are_asked_for_at_once_and_the_reason_names_the_models() -> None:
    story = Story()
    assert story.run(10, 3, ("iris", "wine")) == "3 replicas: iris, wine wait for a place"
    assert (story.replicas, story.reason) == (3, ServerReason.WAITING)
    assert story.run(10, 3, ("iris", "wine")) == "3 replicas: iris, wine wait for replicas that start"
    assert story.run(10, 3) == "3 replicas: the models need them"
    assert story.reason is ServerReason.STEADY


def test_only_a_few_models_are_named() -> None:
    assert "a, b, c and 2 more wait for a place" in Story().run(10, 2, tuple("abcde"))
    assert "a waits for a place" in Story().run(10, 2, ("a",))


def test_fewer_come_after_five_minutes_of_it_and_not_earlier() -> None:
    story = Story(4)
    story.run(100, 4)
    assert "2 would do, once that has been so for 5 minutes" in story.run(290, 2)
    assert (story.replicas, story.reason) == (4, ServerReason.HOLDING)
    story.run(20, 2)
    assert (story.replicas, story.seen[-1][2]) == (2, ServerReason.STEADY)
    assert ServerReason.FEWER in {reason for _, _, reason in story.seen}


def test_a_need_in_between_begins_the_five_minutes_anew() -> None:
    story = Story(4)
    story.run(250, 1)
    story.run(10, 4)
    story.run(290, 1)
    assert story.replicas == 4
    story.run(20, 3)
    assert story.replicas == 3


def test_the_number_goes_down_to_the_most_that_five_minutes_needed() -> None:
    story = Story(5)
    story.run(200, 1)
    story.run(10, 3)
    story.run(100, 1)
    assert story.replicas == 3
    story.run(210, 1)
    assert story.replicas == 1


@pytest.mark.parametrize(("needed", "replicas"), [(9, 6), (0, 1)])
def test_the_bounds_hold(needed: int, replicas: int) -> None:
    story = Story(3)
    story.run(400, needed, ("iris",) if needed > 3 else ())
    assert story.replicas == replicas


def test_more_than_are_allowed_are_told() -> None:
    story = Story(6)
    assert story.run(10, 7, ("iris",)) == "6 replicas, the most that are allowed: iris waits for a place"
    assert story.reason is ServerReason.AT_MOST


def test_a_change_of_the_bounds_counts_at_once() -> None:
    story = Story(5)
    story.run(10, 5, bounds=Bounds(1, 3))
    assert story.replicas == 3
    story.run(10, 1, bounds=Bounds(4, 6))
    assert story.replicas == 4


def test_a_replica_that_never_gets_ready_stops_growth_and_not_shrinking() -> None:
    story = Story(1)
    story.run(10, 2, ("iris",))
    story.run(300, 2, ("iris",), frozenset({1}))
    assert story.reason is ServerReason.STEADY
    text = story.run(30, 3, ("iris", "wine"), frozenset({1}))
    assert (story.replicas, story.reason) == (2, ServerReason.MISSING)
    assert "no more while number 1 has not been ready for 5 minutes: iris, wine wait for a place" in text
    story.run(310, 1, (), frozenset({1}))
    assert story.replicas == 1


def test_a_replica_that_is_ready_again_lets_the_server_grow() -> None:
    story = Story(2)
    story.run(320, 2, ("iris",), frozenset({1}))
    assert story.reason is ServerReason.MISSING
    story.run(10, 3, ("iris",))
    assert story.replicas == 3


def test_without_any_replica_nothing_is_known_and_nothing_changes() -> None:
    story = Story(3)
    story.run(250, 1)
    assert "none has reported yet" in story.run(100, None, absent=frozenset({0, 1, 2}))
    assert (story.replicas, story.reason) == (3, ServerReason.UNKNOWN)
    story.run(290, 1)
    assert story.replicas == 3


def test_a_number_that_a_person_writes_holds_for_five_minutes() -> None:
    story = Story(2)
    story.run(600, 2)
    story.replicas = 5
    story.run(290, 2)
    assert story.replicas == 5
    story.run(30, 2)
    assert story.replicas == 2


def test_a_decision_that_is_not_written_yet_stays_decided() -> None:
    story = Story(4)
    while story.replicas == 4:
        story.run(10, 2)
    story.replicas = 4
    story.run(10, 2)
    assert (story.replicas, story.reason) == (2, ServerReason.FEWER)


def test_the_next_look_is_due_when_time_alone_decides() -> None:
    scaler = ServerScaler()
    scaler.observe(100, frozenset({1}))
    assert scaler.due(100) == 400
    decision = scaler.decide(100, ServerState(replicas=3, needed=1), BOUNDS)
    assert (decision.fewer_in, scaler.due(110)) == (300, 400)
    scaler.observe(410, frozenset())
    scaler.decide(410, ServerState(replicas=3, needed=3), BOUNDS)
    assert scaler.due(410) == float("inf")


# What went wrong in other autoscalers, for Servers.


def test_two_and_one_do_not_take_turns() -> None:
    story = Story(2)
    for _ in range(30):
        story.run(100, 1)
        story.run(20, 2)
    assert {replicas for _, replicas, _ in story.seen} == {2}


def test_no_model_at_all_is_a_need_of_the_least() -> None:
    story = Story(6)
    story.run(310, 1)
    assert story.replicas == 1


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(0, 9)),
            st.sets(st.integers(0, 5)),
            st.booleans(),
            st.integers(0, 120),
        ),
        max_size=60,
    )
)
def test_every_history_stays_within_the_bounds_with_words(
    history: list[tuple[int | None, set[int], bool, int]],
) -> None:
    scaler, replicas, now = ServerScaler(), 2, 0.0
    for needed, absent, waits, seconds in history:
        now += seconds
        scaler.observe(now, frozenset(absent))
        state = ServerState(replicas=replicas, needed=needed, waiting=("iris",) if waits else ())
        decision = scaler.decide(now, state, BOUNDS)
        assert BOUNDS.least <= decision.replicas <= BOUNDS.most
        assert decision.text.startswith(f"{decision.replicas} replica")
        assert decision.fewer_in is None or 0 <= decision.fewer_in <= 300
        if decision.replicas > replicas:
            assert needed is not None
            assert needed >= decision.replicas
        replicas = decision.replicas


@pytest.mark.parametrize(
    ("replicas", "needless", "awaited", "expected"),
    [
        (2, False, False, None),
        (2, False, True, None),
        (2, True, False, (0, ServerReason.ASLEEP)),
        (2, True, True, (0, ServerReason.ASLEEP)),
        (0, False, False, (0, ServerReason.ASLEEP)),
        (0, False, True, (1, ServerReason.WAITING)),
    ],
)
def test_a_server_sleeps_while_no_request_needs_it_and_wakes_for_one_model(
    replicas, needless, awaited, expected
):
    waiting = ("iris", "rose") if awaited else ()
    found = asleep(replicas, needless=needless, awaited=waiting, after="10m")
    assert found is None or ("iris, rose wait" in found.text) == (found.replicas > 0)
    assert (found and (found.replicas, found.reason)) == expected
