"""One embedded API per module; tests take a namespace of their own."""

from __future__ import annotations

import itertools

import pytest
from tests.support.api import running_api

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """A running embedded API."""
    with running_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def namespace(api):
    """A fresh namespace."""
    name = f"test-{next(_numbers)}"
    api.namespace(name)
    return name
