"""The load of a Model from samples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.scaling.load import LoadWindow, Sample

SAMPLES = st.lists(
    st.tuples(st.floats(0, 1e4), st.integers(0, 10_000), st.floats(0, 100), st.booleans(), st.booleans()),
    min_size=1,
    max_size=40,
)


def window(*samples: Sample, warm: bool = True, crowded: bool = False) -> LoadWindow:
    made = LoadWindow()
    for sample in samples:
        made.add(sample, warm=warm, crowded=crowded)
    return made


def steady(count: int, *, rate: float, duration: float, in_flight: float, begin: float = 0.0) -> list[Sample]:
    ended = int(rate * 2)
    return [
        Sample(at=begin + 2 * n, seconds=2, in_flight=in_flight, ended=ended, busy=ended * duration)
        for n in range(1, count + 1)
    ]


def test_a_window_without_samples_has_no_average() -> None:
    assert LoadWindow().over(60) is None


def test_the_load_is_arrivals_times_duration() -> None:
    average = window(*steady(30, rate=100, duration=0.05, in_flight=3)).over(60)
    assert average is not None
    assert average.load == pytest.approx(5.0)
    assert (average.arrived, average.ended, average.duration) == pytest.approx((100, 100, 0.05))


def test_a_queue_does_not_count_as_load() -> None:
    made = window(*steady(30, rate=100, duration=0.05, in_flight=5))
    for sample in steady(10, rate=100, duration=3.0, in_flight=300, begin=60):
        made.add(sample, warm=True, crowded=True)
    average = made.over(6)
    assert average is not None
    assert average.load == pytest.approx(5.0)
    assert average.present == pytest.approx(300)


def test_arrivals_are_what_ended_and_what_is_there_more() -> None:
    made = window(Sample(at=2, seconds=2, in_flight=5, ended=10, busy=1))
    made.add(Sample(at=4, seconds=2, in_flight=25, ended=10, busy=1), warm=True, crowded=False)
    average = made.over(2)
    assert average is not None
    assert average.arrived == pytest.approx(15.0)


def test_a_load_is_unknown_before_the_first_time_without_a_queue_and_nothing_without_requests() -> None:
    crowded = window(*steady(3, rate=100, duration=1, in_flight=100), crowded=True).over(60)
    cold = window(*steady(3, rate=100, duration=1, in_flight=100), warm=False).over(60)
    assert crowded is not None
    assert cold is not None
    assert (crowded.load, crowded.duration) == (None, 1.0)
    assert (cold.load, cold.duration) == (None, None)
    idle = window(*steady(3, rate=0, duration=0, in_flight=0)).over(60)
    assert idle is not None
    assert idle.load == 0


def test_requests_of_minutes_count_by_their_presence() -> None:
    made = window(Sample(at=2, seconds=2, in_flight=3, ended=1, busy=90))
    made.add(Sample(at=4, seconds=2, in_flight=13, ended=0), warm=True, crowded=False)
    average = made.over(2)
    assert average is not None
    assert (average.load, average.present) == (13, 13)


def test_some_refusals_in_milliseconds_do_not_change_the_usual_duration() -> None:
    made = window(*steady(20, rate=100, duration=0.1, in_flight=10))
    for sample in steady(3, rate=100, duration=0.001, in_flight=0, begin=40):
        made.add(sample, warm=True, crowded=False)
    average = made.over(6)
    assert average is not None
    # What is there at their end is less by ten than before.
    assert average.load == pytest.approx((290 + 300 + 300 + 10) / 9 * 0.1, rel=0.05)


def test_samples_leave_after_a_minute() -> None:
    made = window(*steady(30, rate=100, duration=0.1, in_flight=0))
    for sample in steady(30, rate=0, duration=0, in_flight=0, begin=60):
        made.add(sample, warm=True, crowded=False)
    average = made.over(60)
    assert average is not None
    assert (average.load, average.arrived, average.duration) == (0, 0, None)


@given(SAMPLES)
def test_averages_are_never_negative_and_never_above_the_largest(
    values: list[tuple[float, int, float, bool, bool]],
) -> None:
    made = LoadWindow()
    for number, (in_flight, ended, each, warm, crowded) in enumerate(values, 1):
        sample = Sample(at=2.0 * number, seconds=2, in_flight=in_flight, ended=ended, busy=ended * each)
        made.add(sample, warm=warm, crowded=crowded)
    average = made.over(60)
    assert average is not None
    assert min(average.load or 0, average.present, average.arrived, average.ended) >= 0
    assert average.ended <= max(ended for _, ended, *_ in values) / 2 + 1e-6
