"""Options and fixtures for all tests."""

from __future__ import annotations

import signal

import pytest
import structlog
from hypothesis import settings
from tests.support.golden import Golden

# The same examples in every run, and no deadline for one: a busy machine is no bug.
# `--hypothesis-profile=default` looks for new ones.
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")


def pytest_configure() -> None:
    """SIGTERM (of a CI, of `timeout`) ends the run as ^C does, so that no process is left behind."""
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n 2 --dist loadgroup` a file stays on one worker, and all end-to-end tests share one stack."""
    for item in items:
        package = item.path.parent.name
        item.add_marker(
            pytest.mark.xdist_group(package if package == "e2e" else f"{package}/{item.path.stem}")
        )


@pytest.fixture(autouse=True)
def _logs_as_before():
    """Commands that run in this process set up its logs, on a standard error that is closed after them."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.path.parent / "golden", request.config.getoption("--update-golden"))
