"""Each pattern from its charts to an answer. Operator, schedulers, Envoys, agents, MLServers are processes.

The embedded API has what the charts render and grants what they grant. The operator runs as the pod of its
Deployment and drives StatefulSets and Deployments; controllers of the test make Pods of these, as a cluster's
would, and the node runs them.
"""

from __future__ import annotations

import contextlib
import sys

import httpx
import pytest
from tests.support.api import running_api
from tests.support.controllers import cluster_controllers
from tests.support.node import running_node
from tests.support.patterns import HOME, PATTERNS, TEAMS
from tests.support.waiting import until_true

from bailie.api.kinds import MODEL, SELDON_RUNTIME, SERVER, SERVICE
from bailie.kube.client import Client
from bailie.local.settings import default_mlserver_environment
from bailie.manifests.runtime import MESH_SERVICE
from bailie.workloads.node.settings import Program

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PROGRAMS = {
    "bailie": Program(title="Bailie", argv=(sys.executable, "-m", "bailie")),
    "bailie-mlserver": Program(
        title="MLServer",
        argv=(str(default_mlserver_environment() / "bin" / "mlserver"), "start", "$(MLSERVER_MODELS_DIR)"),
    ),
}


@contextlib.asynccontextmanager
async def installed(pattern, folder):
    """Runs everything that the pattern's charts ask for; yields the administrator's client."""
    with running_api(folder / "api") as api:
        for namespace in (HOME, *TEAMS):
            api.namespace(namespace)
        async with (
            Client.from_kubeconfig(api.kubeconfig) as admin,
            running_node(api, folder / "node", programs=PROGRAMS),
            cluster_controllers(admin, pods=True),
        ):
            for manifest in pattern.manifests():
                await admin.apply(manifest, field_manager="helm")
            yield admin


async def until_ready(admin, kind, name, namespace, seconds=120):
    seen: dict = {}

    async def ready():
        seen.update(await admin.get(kind, name, namespace))
        conditions = seen.get("status", {}).get("conditions", [])
        return any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)

    try:
        await until_true(ready, seconds=seconds)
    except AssertionError:
        pytest.fail(f"{kind.kind} {namespace}/{name} is not ready: {seen.get('status')}")


async def data_plane(admin, namespace):
    service = await admin.get(SERVICE, MESH_SERVICE, namespace)
    port = next(port for port in service["spec"]["ports"] if port["name"] == "data")
    return f"http://127.0.0.1:{port['nodePort']}"


@pytest.mark.parametrize("pattern", PATTERNS[1:], ids=lambda pattern: pattern.name)
async def test_a_model_is_served_in_each_namespace(pattern, models, tmp_path):
    expected = models.expected["iris"]
    async with installed(pattern, tmp_path) as admin:
        for namespace in pattern.served:
            await admin.create(models.manifest("iris", namespace))
        for namespace in pattern.served:
            for kind, name in ((SELDON_RUNTIME, "seldon"), (SERVER, "mlserver"), (MODEL, "iris")):
                await until_ready(admin, kind, name, namespace)
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            for namespace in pattern.served:
                url = f"{await data_plane(admin, namespace)}/v2/models/iris/infer"
                answer = await client.post(url, json=expected.request())
                assert answer.status_code == 200, answer.text
                outputs = answer.json()["outputs"][0]["data"]
                assert outputs == pytest.approx(list(expected.outputs))
