"""A few random sequences; `python -m benchmarks chaos --sequences 500` plays many more."""

from __future__ import annotations

import pytest
from tests.support.chaos.sequence import run_sequence
from tests.support.chaos.stage import restartable_api

# An API and connections that end in the middle leave sockets to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def api():
    with restartable_api() as api:
        yield api


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_invariant_holds_after_a_random_sequence(api, seed):
    outcome = run_sequence(seed, api, acts=12)
    assert outcome.broken == [], f"{outcome}"
