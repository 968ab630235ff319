"""An embedded API without a node: objects only."""

from __future__ import annotations

import pytest
from tests.support.api import running_api

from bailie.kube.client import Client


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path) as running:
        yield running


@pytest.fixture
async def admin(api):
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        yield client
