"""A namespace changes from a central scheduler to one of its own and back, by one field, under traffic."""

import argparse
import asyncio

import pytest
from benchmarks import hand_over
from benchmarks.laptop import laptop

pytestmark = pytest.mark.e2e


def test_a_change_of_the_scheduler_fails_no_request_and_restarts_nothing():
    options = argparse.Namespace(models=4, rounds=1, pause=1.0, rate=50.0)
    with laptop(namespaces=(hand_over.CENTRAL, hand_over.TEAM)) as running:
        figures = asyncio.run(hand_over.measure(running, options))
    assert figures["failures"] == []
    assert figures["requests"]["sent"] > 100
    assert figures["pods restarted or replaced"] == 0
    assert figures["loads and unloads besides the new Models'"] == 0
