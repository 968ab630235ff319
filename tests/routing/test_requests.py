"""Quantiles of times that were counted in buckets."""

from __future__ import annotations

import pytest

from bailie.routing.requests import quantile

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
