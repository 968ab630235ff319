"""Commands run in this process set up its logs; the tests that follow must not get them."""

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logs_as_before():
    """What is set up writes to the runner's standard error, which is closed after the command."""
    yield
    structlog.reset_defaults()
