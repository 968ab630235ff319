"""Pipeline gateways as replicas of a namespace of the embedded API, whose traces are read as on a laptop."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from tests.pipelinegateway.client import ask, running
from tests.pipelinegateway.models import serving

from bailie.pipelinegateway.run import trace_server
from bailie.wellknown import ports

MERGE = {"content-type": "application/merge-patch+json"}


@dataclass
class Replica:
    """A gateway whose port for traces is open at an address of its own."""

    engine: object
    port: int

    async def ask(self, key="p_1", **named):
        return await ask(self.port, key, **named)


@asynccontextmanager
async def replicas(api, folder, specs, addresses, *, shown=None):
    """Runs a gateway for each address, with a Pod in namespace `a`; `shown`: its address by the API."""
    found = []
    async with AsyncExitStack() as stack:
        models = await stack.enter_async_context(serving())
        for address in addresses:
            own = folder / address
            own.mkdir()
            engine, port = await stack.enter_async_context(running(own, models, specs))
            await stack.enter_async_context(trace_server(engine).serve(address, ports.PIPELINE_TRACES))
            stack.enter_context(pod_of(api, f"seldon-pipelinegateway-{len(found)}", address, shown))
            found.append(Replica(engine, port))
        yield found


@contextmanager
def pod_of(api, name, address, shown=None):
    """Has the Pod of a gateway while entered."""
    path = "/api/v1/namespaces/a/pods"
    labels = {"seldon-server-name": "seldon-pipelinegateway"}
    containers = [{"name": "agent", "image": "x", "ports": [{"containerPort": ports.PIPELINE_TRACES}]}]
    body = {"metadata": {"name": name, "labels": labels}, "spec": {"containers": containers}}
    api.request("POST", path, json=body)
    ready = [{"type": "Ready", "status": "True"}]
    status = {"phase": "Running", "podIP": shown or address, "conditions": ready}
    api.request("PATCH", f"{path}/{name}/status", json={"status": status}, headers=MERGE)
    api.node_gave("a", name, address)
    try:
        yield
    finally:
        api.request("DELETE", f"{path}/{name}?gracePeriodSeconds=0")
