"""An embedded API of its own for each test: a node takes the Pods of every namespace."""

from __future__ import annotations

import pytest
from tests.support.api import running_api
from tests.support.node import NAMESPACE

from bailie.workloads.node.records import kill_orphans


@pytest.fixture(autouse=True)
def _nothing_left_running(tmp_path):
    """Ends the processes of pods whose node was killed by a test that then failed."""
    yield
    kill_orphans(tmp_path, adopted=())


@pytest.fixture
def api(tmp_path):
    """A running embedded API with one namespace."""
    with running_api(tmp_path) as running:
        running.namespace(NAMESPACE)
        yield running
