"""Quantiles of times that were counted in buckets."""

from __future__ import annotations

import pytest

from bailie.routing.requests import NO_TIMES, TIME_BOUNDS, RequestOutcomes, quantile

BOUNDS = (1.0, 2.0, 4.0)


@pytest.mark.parametrize(
    ("share", "counts", "value"),
    [
        (0.5, (0, 0, 0, 0), None),
        (0.5, (10, 0, 0, 0), 0.5),
        (0.5, (0, 10, 0, 0), 1.5),
        (0.95, (10, 10, 0, 0), 1.9),
        (0.5, (5, 0, 5, 0), 1.0),
        (0.75, (5, 0, 5, 0), 3.0),
        (0.99, (0, 0, 1, 99), 4.0),
        (1.0, (0, 4, 0, 0), 2.0),
    ],
)
def test_quantile(share, counts, value):
    assert quantile(share, counts, BOUNDS) == (value if value is None else pytest.approx(value))


def outcomes(requests=0, failures=0, others=0, slow=0):
    return RequestOutcomes(requests=requests, failures=failures, others=others, times=(*NO_TIMES[:-1], slow))


def test_outcomes_are_added_up_and_compared_with_those_before():
    total = outcomes(3, 1, 2, 1) + outcomes(4, 0, 1, 2)
    assert total == outcomes(7, 1, 3, 3)
    assert total.since(outcomes(3, 1, 2, 1)) == outcomes(4, 0, 1, 2)
    assert outcomes(2).since(outcomes(3)) == outcomes(), "the counts began anew"


def test_the_percentile_of_good_answers():
    assert outcomes().p95 is None
    assert outcomes(slow=1).p95 == TIME_BOUNDS[-1]
