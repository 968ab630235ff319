"""Models move from another mesh to a namespace one by one, under traffic over REST and gRPC."""

import argparse
import asyncio

import pytest
from benchmarks import fallback
from benchmarks.laptop import laptop

pytestmark = pytest.mark.e2e


def test_models_move_one_by_one_without_a_failed_request():
    options = argparse.Namespace(models=4, pause=1.0, rate=50.0)
    with laptop(namespaces=(fallback.OLD, fallback.NEW)) as running:
        figures = asyncio.run(fallback.measure(running, options))
    assert figures["failures"] == []
    assert figures["callers without exactly one switch"] == []
    assert figures["requests"] > 50
