"""Samples of load from counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.control.load_samples import LoadSamples
from bailie.routing.requests import RequestTotals
from bailie.scaling import Sample

LOOKS = st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 1000), st.integers(0, 50)), max_size=20)


def totals(until, ended=0, seconds=0.0, in_flight=0):
    return RequestTotals(until=until, ended=ended, seconds=seconds, in_flight=in_flight)


def test_a_sample_is_the_difference_of_two_looks():
    samples = LoadSamples()
    assert samples.take({"iris": totals(5.0, 10, 1.0)}) == {}
    found = samples.take({"iris": totals(7.5, 16, 1.5, 3), "wine": totals(7.5)})
    assert found == {"iris": Sample(at=7.5, seconds=2.5, in_flight=3, ended=6, busy=0.5)}
    assert set(samples.take({"wine": totals(9.0)})) == {"wine"}


def test_nothing_counted_is_no_sample_and_no_request_is_one():
    samples = LoadSamples()
    samples.take({"iris": totals(1.0)})
    assert samples.take({}) == {}
    assert samples.take({"iris": totals(5.0)}) == {}
    assert samples.take({"iris": totals(7.0)}) == {"iris": Sample(at=7.0, seconds=2.0)}


def test_a_look_without_a_new_report_makes_no_sample_and_loses_nothing():
    samples = LoadSamples()
    samples.take({"iris": totals(1.0, 10, 1.0)})
    assert samples.take({"iris": totals(1.0, 10, 1.0)}) == {}
    assert samples.take({"iris": totals(1.5, 14, 2.0)}) == {}, "one of many Envoys has reported"
    found = samples.take({"iris": totals(5.0, 30, 3.0)})
    assert found == {"iris": Sample(at=5.0, seconds=4.0, ended=20, busy=2.0)}


def test_models_without_a_request_share_one_sample():
    samples, names = LoadSamples(), [f"model-{number}" for number in range(9)]
    samples.take({name: totals(1.0) for name in names})
    found = samples.take({name: totals(3.0, *((4, 1.0) if name == "model-4" else ())) for name in names})
    assert len({id(each) for each in found.values()}) <= 3


@pytest.mark.parametrize("later", [(9, 5.0), (11, 0.5)])
def test_counts_that_begin_anew_make_no_sample(later):
    samples = LoadSamples()
    samples.take({"iris": totals(1.0, 10, 1.0)})
    assert samples.take({"iris": totals(3.0, *later)}) == {}
    assert samples.take({"iris": totals(5.0, *later)}) == {"iris": Sample(at=5.0, seconds=2.0)}


@given(LOOKS)
def test_samples_are_never_negative(looks):
    samples = LoadSamples()
    for number, (ended, seconds, in_flight) in enumerate(looks, 1):
        for each in samples.take({"iris": totals(float(number), ended, seconds, in_flight)}).values():
            assert min(each.ended, each.busy, each.in_flight) >= 0
            assert each.seconds > 0
