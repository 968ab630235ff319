"""A short form of `python -m benchmarks api-fuzz`: what once found something, and some seconds of a seed."""

from __future__ import annotations

from itertools import islice

from benchmarks.api_fuzz import fuzz
from tests.support.fuzz_requests import Requests


def test_the_api_answers_whatever_it_is_asked():
    result = fuzz(2, seed=7)
    # How long `/healthz` takes beside other work of the machine is for the long form to say.
    failures = [failure for failure in result.failures if not failure.startswith("/healthz took")]
    assert failures == []
    assert sum(result.statuses.values()) > 1000
    assert {200, 201, 400, 404, 422} <= result.statuses.keys()
    assert result.health


def test_a_seed_is_always_the_same():
    assert list(islice(Requests(3), 300)) == list(islice(Requests(3), 300))
    assert list(islice(Requests(3), 300)) != list(islice(Requests(4), 300))
