"""An embedded API of its own for each test: a node takes the Pods of every namespace."""

from __future__ import annotations

import pytest
from tests.support.api import running_api
from tests.support.node import NAMESPACE


@pytest.fixture
def api(tmp_path):
    """A running embedded API with one namespace."""
    with running_api(tmp_path) as running:
        running.namespace(NAMESPACE)
        yield running
