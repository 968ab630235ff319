"""Where tests find the inference server's environment (`make test` sets it up and says where)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def mlserver_environment() -> Path:
    """Returns the environment that has MLServer; the test is skipped where there is none."""
    value = os.environ.get("BAILIE_MLSERVER_ENV")  # noqa: TID251 - the settings of the tests
    if not value:
        pytest.skip("BAILIE_MLSERVER_ENV names no environment with MLServer")
    return Path(value)


def clients_environment() -> Path:
    """Returns the environment that has other projects' clients; the test is skipped where there is none."""
    value = os.environ.get("BAILIE_CLIENTS_ENV")  # noqa: TID251 - the settings of the tests
    if not value:
        pytest.skip("BAILIE_CLIENTS_ENV names no environment with clients (`make test-clients`)")
    return Path(value)
