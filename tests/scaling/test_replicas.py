"""The number of replicas under simulated load, and what is known to go wrong in other autoscalers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scaling.simulation import Simulation

from bailie.scaling import Bounds, LoadMeasure, LoadTarget, Reason, ReplicaScaler, Sample, targets_of

if TYPE_CHECKING:
    from collections.abc import Callable

IN_FLIGHT = (LoadTarget(LoadMeasure.IN_FLIGHT, 8.0),)
MOST_OVERSHOOT = 1.25


def burst(begin: float, end: float = math.inf) -> Callable[[float], float]:
    """Returns a rate of a little less than one replica, and of ten times as much in between."""
    return lambda at: 700.0 if begin <= at < end else 70.0


def gone(at: float) -> Callable[[float], float]:
    return lambda now: 400.0 if now < at else 0.0


@pytest.mark.parametrize(("arrived", "replicas"), [(18, 1), (22, 3)])
def test_a_burst_is_seen_in_one_sample_of_many_requests(arrived: int, replicas: int) -> None:
    scaler, targets, bounds = ReplicaScaler(1), (LoadTarget(LoadMeasure.RATE, 4.0),), Bounds(1, 9)
    for at, ended in ((2.0, 2), (4.0, 2), (6.0, 2), (8.0, arrived)):
        sample = Sample(at=at, seconds=2, ended=ended, busy=0.01 * ended)
        decision = scaler.decide(at, sample, bounds=bounds, targets=targets, ready=1)
    assert decision.replicas == replicas


def test_a_look_between_two_reports_changes_nothing() -> None:
    run = Simulation(IN_FLIGHT, lambda _: 70)
    run.run(100)
    steady = run.history[-1][1]
    assert run.scaler.decide(101, None, bounds=run.bounds, targets=IN_FLIGHT, ready=1) == steady
    late = run.scaler.decide(115, None, bounds=run.bounds, targets=IN_FLIGHT, ready=1)
    assert late.reason is Reason.UNMEASURED


def test_a_load_that_is_gone_ends_at_the_least_after_five_minutes_and_not_earlier() -> None:
    run = Simulation(IN_FLIGHT, gone(100), replicas=5)
    run.run(500)
    fewer = next(at for at, decision, _ in run.history if at > 100 and decision.replicas < 5)
    least = next(at for at, decision, _ in run.history if at > 100 and decision.replicas == 1)
    assert 400 <= fewer <= least <= 430
    assert run.history[-1][1].reason is Reason.STEADY


def test_a_small_load_that_one_replica_carries_stays_with_one() -> None:
    run = Simulation((LoadTarget(LoadMeasure.IN_FLIGHT, 1.0),), lambda _: 8)
    run.run(900)
    assert run.counts() == [1]


def test_requests_per_second_are_divided_among_replicas() -> None:
    run = Simulation((LoadTarget(LoadMeasure.RATE, 50.0),), lambda at: 20 if at < 60 else 400)
    run.run(200)
    assert run.counts()[-1] == 8
    assert "400.0 requests a second, 50 for each" in run.history[-1][1].text


def test_slow_answers_bring_replicas_until_they_are_fast() -> None:
    run = Simulation((LoadTarget(LoadMeasure.LATENCY, 0.2),), lambda at: 60 if at < 60 else 300)
    run.run(400)
    # Four carry the arrivals; a fifth and a sixth work the queue off.
    assert 4 <= run.counts()[-1] <= 6


def test_a_model_that_is_slow_by_itself_gets_no_replicas_for_its_duration() -> None:
    run = Simulation((LoadTarget(LoadMeasure.LATENCY, 0.05),), lambda _: 2)
    run.run(300)
    assert run.counts() == [1]


def test_the_largest_of_several_targets_counts() -> None:
    targets, _ = targets_of("in-flight=8 rps=10")
    run = Simulation(targets, lambda _: 42)
    run.run(120)
    assert run.counts()[-1] == 5


def test_more_than_are_allowed_are_never_asked_for_and_the_reason_says_so() -> None:
    run = Simulation(IN_FLIGHT, burst(20), bounds=Bounds(1, 4))
    run.run(120)
    assert max(run.counts()) == 4
    assert run.history[-1][1].reason is Reason.AT_MOST
    assert "the most that are allowed" in run.history[-1][1].text


def test_a_change_of_the_bounds_counts_at_once() -> None:
    scaler = ReplicaScaler(9)
    assert scaler.decide(0, None, bounds=Bounds(2, 5), targets=IN_FLIGHT, ready=9).replicas == 5
    assert scaler.decide(1, None, bounds=Bounds(7, 9), targets=IN_FLIGHT, ready=5).replicas == 7


def test_no_measurement_changes_nothing_and_begins_the_five_minutes_anew() -> None:
    run = Simulation(IN_FLIGHT, gone(100), replicas=5, measured=lambda at: not 300 < at < 340)
    run.run(620)
    assert run.counts(100) == [5]
    assert {each.reason for at, each, _ in run.history if 312 < at < 338} == {Reason.UNMEASURED}
    run.run(680)
    assert run.counts()[-1] == 1


# What went wrong in other autoscalers.


def test_no_requests_at_all_are_no_load_and_not_a_lack_of_measurements() -> None:
    run = Simulation(IN_FLIGHT, lambda _: 0, replicas=6)
    run.run(330)
    assert run.counts()[-1] == 1


@pytest.mark.parametrize("begin", [50, 100])
def test_replicas_that_never_come_stop_growth_and_not_shrinking(begin: float) -> None:
    run = Simulation(IN_FLIGHT, lambda at: begin + at if at < 900 else 0, replicas=1, most_ready=2)
    run.run(880)
    late = [decision for at, decision, _ in run.history if at > 400]
    assert len({each.replicas for each in late}) == 1
    assert late[-1].reason is Reason.MISSING
    assert "only 2 of them answer" in late[-1].text
    run.run(1300)
    assert run.counts()[-1] == 1


def test_the_first_slow_requests_of_new_replicas_bring_no_more_of_them() -> None:
    run = Simulation(IN_FLIGHT, lambda at: 40 if at < 100 else 150, first_seconds=3.0)
    run.run(300)
    assert max(run.counts()) <= 3


def test_replicas_that_start_count_as_there() -> None:
    run = Simulation(IN_FLIGHT, lambda at: 70 if at < 60 else 250, start_seconds=30)
    run.run(89)
    assert run.counts()[-1] <= 4


@given(
    st.lists(
        st.one_of(
            st.none(), st.tuples(st.floats(0, 500), st.integers(0, 5000), st.floats(0, 5), st.integers(0, 12))
        ),
        max_size=250,
    ),
    st.integers(1, 4),
    st.integers(4, 12),
)
def test_every_history_stays_within_the_bounds_with_words(
    history: list[tuple[float, int, float, int] | None], least: int, most: int
) -> None:
    scaler, bounds = ReplicaScaler(least), Bounds(least, most)
    targets, _ = targets_of("in-flight=8 rps=100 latency=50ms")
    for number, values in enumerate(history, 1):
        now, sample, ready = 2.0 * number, None, least
        if values is not None:
            in_flight, ended, each, ready = values
            sample = Sample(at=now, seconds=2, in_flight=in_flight, ended=ended, busy=ended * each)
        decision = scaler.decide(now, sample, bounds=bounds, targets=targets, ready=ready)
        assert least <= decision.replicas <= most
        assert decision.text.startswith(f"{decision.replicas} replica")
        assert decision.fewer_in is None or 0 <= decision.fewer_in <= 300


@pytest.mark.parametrize("targets", [(), IN_FLIGHT])
def test_a_model_without_targets_or_samples_keeps_its_number(targets: tuple[LoadTarget, ...]) -> None:
    decision = ReplicaScaler(3).decide(0, None, bounds=Bounds(1, 9), targets=targets, ready=3)
    assert (decision.replicas, decision.reason) == (3, Reason.UNMEASURED)
