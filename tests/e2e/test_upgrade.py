"""The pods of a Server are replaced, as an upgrade does, while a model of two replicas answers."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from tests.support.grounds import SMALL, ground
from tests.support.waiting import until

from bailie.api.kinds import MODEL, SELDON_RUNTIME, SERVER, STATEFUL_SET

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SLOW = """
import asyncio
from mlserver import MLModel
from mlserver.types import InferenceResponse

class Slow(MLModel):
    async def load(self):
        await asyncio.sleep(15)
        return True

    async def predict(self, payload):
        output = {"name": "y", "shape": [1], "datatype": "INT64", "data": [1]}
        return InferenceResponse(model_name=self.name, outputs=[output])
"""
"""Longer to load than its server to start: the pod must not count as ready meanwhile."""
REQUEST = {"inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "data": [1]}]}
CHANGED = {"containers": [{"name": "mlserver", "env": [{"name": "CHANGED", "value": "1"}]}]}


async def test_no_request_fails_while_servers_are_replaced(tmp_path):
    async with ground(tmp_path) as place:
        if not place.embedded:
            pytest.skip("the model lies on this machine")
        namespace = await place.namespace("team")
        await place.helm("install", "setup", SMALL, namespace=namespace)
        await place.helm("install", "runtime", {}, namespace=namespace)
        servers = {"triton": {"enabled": False}, "mlserver": {"replicas": 2}}
        await place.helm("install", "servers", servers, namespace=namespace)
        await place.admin.create(slow(tmp_path / "slow", namespace))
        for kind, name in ((SELDON_RUNTIME, "seldon"), (SERVER, "mlserver"), (MODEL, "slow")):
            await place.until_ready(kind, name, namespace)
        answers = Counter()
        async with asyncio.TaskGroup() as group:
            calling = group.create_task(call(place, namespace, answers))
            await until(lambda: answers.total() > 20)
            servers["mlserver"]["podSpec"] = CHANGED
            await place.helm("upgrade", "servers", servers, namespace=namespace)
            await place.until(lambda: replaced(place.admin, namespace))
            await place.until_ready(MODEL, "slow", namespace)
            seen = answers.total()
            await until(lambda: answers.total() > seen + 20)
            calling.cancel()
        assert answers.keys() == {200}, answers


def slow(folder, namespace):
    folder.mkdir()
    (folder / "slow.py").write_text(SLOW)
    return {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Model",
        "metadata": {"name": "slow", "namespace": namespace},
        "spec": {"storageUri": str(folder), "requirements": ["python"], "memory": "1Mi", "replicas": 2},
    }


async def call(place, namespace, answers):
    while True:
        answers[(await place.infer(namespace, "slow", REQUEST)).status_code] += 1
        await asyncio.sleep(0.02)


async def replaced(admin, namespace):
    found = await admin.get(STATEFUL_SET, "mlserver", namespace)
    wanted, status = found["spec"]["replicas"], found.get("status", {})
    is_new = "CHANGED" in str(found["spec"]["template"])
    return is_new and status.get("updatedReplicas") == status.get("readyReplicas") == wanted
