"""The exact part of `request_metrics`: callers of a `bailie up` through everything that moves counts.

Two models of six fit into the memory of one server, so most requests to these, one in a hundred of all, meet
an eviction. Meanwhile a model is rolled out, an Experiment begins, the scheduler is killed, and the Envoy is
restarted while no request is under way: requests in an Envoy that is killed are neither answered nor counted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families
from tests.support import plain_http

from bailie._gen import inference_pb2_grpc
from bailie.api.kinds import EXPERIMENT, MODEL, POD
from bailie.kube.client import Client
from benchmarks.laptop import NAMESPACE, Laptop, laptop, until
from benchmarks.overcommit import CROWDED, ROOMY, TRAIN, World, body, request

IN_ALL, IN_MEMORY, ROOMY_MODELS = 6, 2, 2
EVICTED_SHARE = 0.01
"""Of all requests: those to the models that do not fit, each of which takes half a second."""
_PATIENCE = 600.0
_SETTLE_SECONDS = 3.0
"""Longer than the time between two reports of an Envoy."""


@dataclass(slots=True)
class Callers:
    """Ask random names by REST and gRPC until so many requests have been answered."""

    urls: dict[str, str]
    names: list[str]
    requests: int
    answers: Counter[str] = field(default_factory=Counter)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    sent: int = 0

    async def run(self) -> None:
        """Four callers by REST and two by gRPC."""
        self.go_on.set()
        async with asyncio.TaskGroup() as group:
            for seed in range(6):
                group.create_task(self._by_rest(seed) if seed < 4 else self._by_grpc(seed))

    def _next(self, chance: random.Random) -> str:
        self.sent += 1
        self.under_way += 1
        evicted = chance.random() < EVICTED_SHARE
        return chance.choice(self.names[ROOMY_MODELS:] if evicted else self.names[:ROOMY_MODELS])

    def _answered(self, answer: str) -> None:
        self.under_way -= 1
        self.answers[answer] += 1

    async def _by_rest(self, seed: int) -> None:
        chance, content = random.Random(seed), body()
        while self.sent < self.requests:
            await self.go_on.wait()
            async with plain_http.async_client(base_url=self.urls["http"], timeout=120) as http:
                while self.go_on.is_set() and self.sent < self.requests:
                    name = self._next(chance)
                    answer = await http.post(f"/v2/models/{name}/infer", content=content)
                    self._answered(f"REST {answer.status_code}")

    async def _by_grpc(self, seed: int) -> None:
        chance = random.Random(seed)
        while self.sent < self.requests:
            await self.go_on.wait()
            options = [("grpc.use_local_subchannel_pool", 1), ("bench.number", seed)]
            async with grpc.aio.insecure_channel(self.urls["grpc"], options) as channel:
                stub: Any = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
                while self.go_on.is_set() and self.sent < self.requests:
                    name = self._next(chance)
                    metadata = (("seldon-model", name),)
                    try:
                        await stub.ModelInfer(request(name), metadata=metadata, timeout=120)
                        self._answered("gRPC OK")
                    except grpc.aio.AioRpcError as error:
                        self._answered(f"gRPC {error.code().name}")

    async def at(self, share: float) -> None:
        """Waits until that share of the requests has been sent."""
        await until(lambda: _holds(self.sent >= share * self.requests), f"{share} of the requests", _PATIENCE)

    async def paused(self) -> None:
        """Stops the callers, and waits for the last answer and its count."""
        self.go_on.clear()
        await until(lambda: _holds(not self.under_way), "no request under way", _PATIENCE)
        await asyncio.sleep(_SETTLE_SECONDS)


async def _holds(condition: bool) -> bool:
    return condition


async def _disturb(running: Laptop, callers: Callers, client: Client) -> None:
    """Does everything that moves counts, at its share of the requests."""
    await callers.at(0.15)
    spec = {"storageUri": str(running.models / str(IN_ALL - 1))}
    await client.patch(MODEL, f"{ROOMY}-0", NAMESPACE, {"spec": spec})
    await callers.at(0.3)
    candidates = [{"name": f"{ROOMY}-{number}", "weight": 50} for number in range(ROOMY_MODELS)]
    metadata = {"name": "share", "namespace": NAMESPACE}
    kind = {"apiVersion": EXPERIMENT.api_version, "kind": EXPERIMENT.kind}
    shared = {"default": f"{ROOMY}-0", "candidates": candidates}
    await client.create({**kind, "metadata": metadata, "spec": shared})
    await callers.at(0.45)
    _process(running, "schedulers").kill()
    await callers.at(0.7)
    await callers.paused()
    envoy = _process(running, "envoys")
    envoy.terminate()
    await asyncio.to_thread(envoy.wait, 60)
    await until(lambda: _answers(callers.urls["http"]), "the new Envoy answers")
    callers.go_on.set()


async def _answers(url: str) -> bool:
    """Says whether all names have their routes: that of the last one is enough."""
    try:
        async with plain_http.async_client() as http:
            return (await http.get(f"{url}/v2/models/{ROOMY}-1")).is_success
    except httpx.TransportError:
        return False


def _process(running: Laptop, component: str) -> psutil.Process:
    return psutil.Process(running.status()["namespaces"][NAMESPACE][component][0]["pid"])


async def _counted(client: Client) -> int:
    """Returns the requests that the scheduler's counters have."""
    total = 0
    for pod in (await client.list(POD, NAMESPACE)).items:
        if pod["metadata"]["name"].startswith("seldon-scheduler"):
            async with plain_http.async_client() as http:
                text = (await http.get(f"http://{pod['status']['podIP']}:9006/metrics")).text
            total += sum(
                int(each.value)
                for family in text_string_to_metric_families(text)
                for each in family.samples
                if each.name == "seldon_model_infer_total"
            )
    return total


async def _measure(running: Laptop, requests: int) -> dict[str, float]:
    async with Client.from_kubeconfig(running.kubeconfig) as client:
        world = World(client, running.models)
        await world.crowd(IN_MEMORY)
        names = [await world.add(ROOMY, number) for number in range(ROOMY_MODELS)]
        names += [await world.add(CROWDED, number) for number in range(IN_ALL)]
        await world.ready(names)
        callers = Callers(running.inference(), names, requests)
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(callers.run())
            group.create_task(_disturb(running, callers, client))
        seconds = time.monotonic() - start
        await until(lambda: _has_all(client, callers.sent), "all requests are counted")
        await asyncio.sleep(_SETTLE_SECONDS)
        print(f"{requests} requests in {seconds:.0f} s: {dict(callers.answers)}", flush=True)
        return {"requests sent": callers.sent, "requests counted": await _counted(client)}


async def _has_all(client: Client, number: int) -> bool:
    return await _counted(client) >= number


def measure(requests: int) -> dict[str, float]:
    """Returns the requests that were sent, and those that were counted."""
    with laptop(training=("-c", TRAIN, str(IN_ALL))) as running:
        return asyncio.run(_measure(running, requests))
