"""`bailie migrate` from a central scheduler, under traffic; one command is killed."""

import argparse
import asyncio

import pytest
from benchmarks import move
from benchmarks.laptop import laptop

pytestmark = pytest.mark.e2e


def test_a_move_fails_no_request_even_if_the_command_is_killed():
    options = argparse.Namespace(models=4, rounds=0, rate=50.0)
    with laptop(namespaces=(move.CENTRAL, move.TEAM)) as running:
        figures = asyncio.run(move.measure(running, options))
    assert figures["failures"] == []
    assert figures["requests"]["sent"] > 100
    assert figures["the killed command ended with"] == move.KILLED
    assert figures["the scheduler at the end"].startswith("seldon-scheduler-")
    assert figures["pods restarted or replaced"] == 0
    assert figures["loads and unloads besides the new Models'"] == 0
