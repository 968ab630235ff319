"""A short form of `python -m benchmarks gateway-fuzz`."""

from __future__ import annotations

from itertools import islice

from benchmarks.gateway_fuzz import fuzz
from tests.support.gateway_attacks import Attacks


async def test_callers_that_are_no_envoy_harm_nobody():
    outcome = await fuzz(5, seed=7)
    assert outcome.failures == []
    assert len(outcome.attacks) == 6
    assert {"rest", "grpc"} <= outcome.answered.keys()


def test_a_seed_is_always_the_same():
    made = {seed: list(islice(Attacks(seed), 100)) for seed in (3, 4)}
    assert made[3] == list(islice(Attacks(3), 100))
    assert made[3] != made[4]
