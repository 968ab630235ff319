"""The number of replicas under long or random histories of load."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scaling.simulation import Simulation
from tests.scaling.test_replicas import IN_FLIGHT, MOST_OVERSHOOT, burst

from bailie.scaling import Bounds, ReplicaScaler, Sample, targets_of


def test_ten_times_the_load_is_answered_by_more_replicas_within_seconds_and_not_by_too_many() -> None:
    for seed in range(5):
        run = Simulation(IN_FLIGHT, burst(100), seed=seed)
        run.run(400)
        assert run.first(2, 100) <= 6
        assert run.first(9, 100) <= 12
        assert max(run.counts(100)) <= 9 * MOST_OVERSHOOT


def test_a_constant_load_with_waves_changes_the_number_once_at_most() -> None:
    for rate in (20, 35, 60, 70, 90, 150, 235):
        run = Simulation(IN_FLIGHT, lambda at, rate=rate: rate * (1 + 0.2 * math.sin(at / 7)), replicas=3)  # type: ignore[misc]
        run.run(1000)
        assert len(run.counts(400)) <= 2, (rate, run.counts(400))


def test_a_new_leader_goes_on_with_the_number_that_is_there() -> None:
    before = Simulation(IN_FLIGHT, lambda _: 540, replicas=7)
    before.run(400)
    after = Simulation(IN_FLIGHT, lambda _: 540, replicas=before.history[-1][1].replicas)
    after.run(400)
    assert before.counts() == after.counts() == [7]


def test_two_and_one_do_not_take_turns() -> None:
    run = Simulation(IN_FLIGHT, lambda at: 79 if (at // 30) % 2 else 62)
    run.run(3000)
    assert len(run.counts()) <= 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([None, 0, 0, 0, 3, 40, 400]), st.integers(1, 60)), max_size=5),
    st.sampled_from(["in-flight=8", "rps=20", "latency=50ms", "in-flight=4 rps=100"]),
    st.integers(1, 2),
)
def test_a_model_that_rests_goes_on_as_if_it_had_been_looked_at(
    history: list[tuple[int | None, int]], asked: str, least: int
) -> None:
    rests, looks, bounds = ReplicaScaler(least), ReplicaScaler(least), Bounds(least, 9)
    targets, _ = targets_of(asked)
    now = rested = 0.0
    for rate, samples in history:
        for _ in range(samples):
            now += 2.0
            sample = None if rate is None else Sample(at=now, seconds=2, ended=2 * rate, busy=0.2 * rate)
            decision = rests.rest(now, sample, bounds=bounds, targets=targets)
            rested += decision is not None
            decision = decision or rests.decide(
                now, sample, bounds=bounds, targets=targets, ready=rests.replicas
            )
            assert decision == looks.decide(now, sample, bounds=bounds, targets=targets, ready=looks.replicas)
    if history and history[-1] == (0, 60) and least == rests.replicas:
        assert rested
