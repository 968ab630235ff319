"""One broker for all tests of this package, each with topics of its own."""

from __future__ import annotations

from itertools import count

import pytest
from tests.support.broker import running_broker

_numbers = count(1)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    with running_broker(tmp_path_factory.mktemp("kafka")) as found:
        yield found


@pytest.fixture
def space():
    """Returns a namespace that no other test has."""
    return f"ns{next(_numbers)}"
