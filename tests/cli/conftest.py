"""Fixtures of tests that look at what a command wrote."""

from __future__ import annotations

import pytest
from tests.support.operators import Audit


@pytest.fixture(scope="module")
def audit(tmp_path_factory):
    """The log of the embedded API of a module, which is started with its path."""
    return Audit(tmp_path_factory.mktemp("audit") / "audit.jsonl")
