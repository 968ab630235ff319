"""Samples of load from counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.control.load_samples import LoadSamples
from bailie.routing.requests import RequestTotals
from bailie.scaling import Sample

LOOKS = st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 1000), st.integers(0, 50)), max_size=20)


def test_a_sample_is_the_difference_of_two_looks():
    samples = LoadSamples()
    assert samples.take({"iris": RequestTotals(ended=10, seconds=1.0)}, 5.0) == {}
    found = samples.take(
        {"iris": RequestTotals(ended=16, seconds=1.5, in_flight=3), "wine": RequestTotals()}, 7.5
    )
    assert found == {"iris": Sample(at=7.5, seconds=2.5, in_flight=3, ended=6, busy=0.5)}
    assert set(samples.take({"wine": RequestTotals()}, 9.0)) == {"wine"}


def test_nothing_counted_is_no_sample_and_no_request_is_one():
    samples = LoadSamples()
    samples.take({"iris": RequestTotals()}, 1.0)
    assert samples.take({}, 3.0) == {}
    assert samples.take({"iris": RequestTotals()}, 5.0) == {}
    assert samples.take({"iris": RequestTotals()}, 7.0) == {"iris": Sample(at=7.0, seconds=2.0)}


@pytest.mark.parametrize("later", [RequestTotals(ended=9, seconds=5.0), RequestTotals(ended=11, seconds=0.5)])
def test_counts_that_begin_anew_make_no_sample(later):
    samples = LoadSamples()
    samples.take({"iris": RequestTotals(ended=10, seconds=1.0)}, 1.0)
    assert samples.take({"iris": later}, 3.0) == {}
    assert samples.take({"iris": later}, 5.0) == {"iris": Sample(at=5.0, seconds=2.0)}


@given(LOOKS)
def test_samples_are_never_negative(looks):
    samples = LoadSamples()
    for number, (ended, seconds, in_flight) in enumerate(looks, 1):
        totals = RequestTotals(ended=ended, seconds=seconds, in_flight=in_flight)
        for each in samples.take({"iris": totals}, float(number)).values():
            assert min(each.ended, each.busy, each.in_flight) >= 0
            assert each.seconds > 0
