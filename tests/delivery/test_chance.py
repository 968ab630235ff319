"""A finding is told from chance: against exact sums, and over many looks at candidates that are just good
enough."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.delivery.chance import CERTAIN, RARE, enough_for, highest, is_above


def exact(found, of, share):
    """The chance of `found` or more, by its definition."""
    return math.fsum(
        math.comb(of, each) * share**each * (1 - share) ** (of - each) for each in range(found, of + 1)
    )


@given(st.integers(1, 60), st.data(), st.floats(0.001, 0.5))
def test_a_finding_counts_when_its_exact_chance_is_rare(of, data, share):
    found = data.draw(st.integers(0, of))
    chance = exact(found, of, share)
    if not math.isclose(chance, RARE, rel_tol=1e-3):
        assert is_above(found, of, share) == (chance < RARE)


@pytest.mark.parametrize(
    ("found", "of", "limit", "above"),
    [
        (0, 0, 0.01, False),
        (1, 1, 0.01, False),
        (2, 2, 0.01, False),
        (4, 4, 0.01, True),
        (5, 10, 0.01, True),
        (10, 1000, 0.01, False),
        (50, 1000, 0.01, True),
        (10_100, 1_000_000, 0.01, False),
        (11_000, 1_000_000, 0.01, True),
        (3, 3, 1.0, False),
        (1, 1000, 0.0, True),
        (0, 1000, 0.0, False),
    ],
)
def test_few_failures_condemn_nobody_and_many_do(found, of, limit, above):
    assert is_above(found, of, limit) is above


def test_at_the_limit_ten_thousand_looks_condemn_nobody():
    dice = random.Random(7)
    found = of = 0
    for _ in range(10_000):
        found += sum(dice.random() < 0.02 for _ in range(5))
        of += 5
        assert not is_above(found, of, 0.02)


@given(st.integers(0, 10_000), st.data())
def test_the_bound_is_above_the_share_and_falls_with_more_requests(of, data):
    found = data.draw(st.integers(0, of))
    bound = highest(found, of)
    assert (found / of if of else 1.0) <= bound + 1e-9 <= 1.0 + 1e-9
    assert highest(10 * found, 10 * of) <= bound + 1e-9


@pytest.mark.parametrize(("limit", "needed"), [(0.01, 268), (0.02, 133), (0.05, 52), (0.1, 25), (0.5, 3)])
def test_so_many_good_requests_show_that_a_limit_is_kept(limit, needed):
    assert enough_for(limit) == needed
    assert highest(0, needed, CERTAIN) <= limit < highest(0, needed - 1, CERTAIN)
