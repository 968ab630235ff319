"""One of two pipeline gateways is killed under load: who notices?

Called by `pipeline_bounds`. Two gateways behind an Envoy run a pipeline of three steps, whose models take a
while, count their calls by the request's id, and are never to see a call of one request twice.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import psutil
from tests.support import plain_http

from bailie.gateway.publisher import Gateway
from bailie.routing.table import Backend, ReplicaEndpoint, Route, RoutingTable
from bailie.wellknown import ports
from benchmarks import stack
from benchmarks.data_plane import BODY
from benchmarks.instant_models import instant_models
from benchmarks.pipelines import ADDRESSES, GATEWAY_LOG, STEPS, THREE, pipeline_gateway

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RATE = 100.0
STEP_SECONDS = 0.02
NEXT_SECONDS = 1.0
"""The longest time of a request that begins after the kill."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its moments of the monotonic clock, and its answer."""

    begun: float
    ended: float
    status: int
    text: str


@dataclass
class KillOutcome:
    """What callers and models saw."""

    killed: float
    dead: float
    """The moment at which the process was gone."""
    requests: Sequence[Asked]
    repeated: list[str] = field(default_factory=list)
    """Calls that a model saw twice."""

    @property
    def failures(self) -> list[Asked]:
        """The requests without an answer of the pipeline."""
        return [each for each in self.requests if each.status != 200]

    @property
    def in_flight(self) -> int:
        """Requests in progress while the gateway ended."""
        return sum(each.begun <= self.dead and each.ended >= self.killed for each in self.requests)

    @property
    def slowest_after(self) -> float:
        """The longest time of a request that began after the kill, in seconds."""
        return max(each.ended - each.begun for each in self.requests if each.begun > self.dead)

    def summary(self) -> str:
        """One line for people."""
        return (
            f"{len(self.requests)} requests, {self.in_flight} in flight at the kill,"
            f" {len(self.failures)} failed, {len(self.repeated)} calls repeated;"
            f" slowest after it {1e3 * self.slowest_after:.0f} ms"
        )

    def wrong(self) -> list[str]:
        """Returns what may not be however busy the machine is."""
        found = [f"a model was called again: {each}" for each in self.repeated]
        late = [each for each in self.failures if each.begun > self.dead + NEXT_SECONDS]
        found += [f"failed though it began long after the kill: {each}" for each in late]
        silent = [each for each in self.failures if each.status != 503 or '"error"' not in each.text]
        return found + [f"no 503 with words: {each}" for each in silent]


def routes(model_port: int) -> RoutingTable:
    """Returns routes to the models, and to the pipeline on two gateways."""
    served = ReplicaEndpoint("mlserver-0", "127.0.0.1", model_port, model_port)
    runs = tuple(
        ReplicaEndpoint(f"seldon-pipelinegateway-{index}", address, ports.SERVER_HTTP, ports.SERVER_HTTP)
        for index, address in enumerate(ADDRESSES)
    )
    entries = {step: Route((Backend(f"{step}_1", 1, (served,)),)) for step in STEPS}
    entries["three.pipeline"] = Route((Backend("three.pipeline_1", 1, runs),))
    return RoutingTable("bench", entries)


async def kill(folder: Path, seconds: float, rate: float = RATE) -> KillOutcome:
    """Asks at a steady rate for so many seconds, and kills a gateway in the middle."""
    plane, processes = Gateway(), list[psutil.Process]()
    async with AsyncExitStack() as running:
        models = await running.enter_async_context(instant_models(STEP_SECONDS))
        plane.publish(routes(models.port))
        port = await running.enter_async_context(stack.bailie_envoy(folder, plane))
        for address in ADDRESSES:
            own = folder / address
            own.mkdir()
            processes.append(running.enter_context(pipeline_gateway(own, port, {"three": THREE}, address)))
        for address in ADDRESSES:
            await stack.answers(f"http://{address}:{ports.HEALTH}/ready", folder / address / GATEWAY_LOG)
        requests: list[Asked] = []
        async with (
            plain_http.async_client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
            asyncio.TaskGroup() as group,
        ):
            for number in range(int(rate * seconds)):
                if number == int(rate * seconds / 2):
                    killed = time.monotonic()
                    dead = group.create_task(_kill(processes[0]))
                group.create_task(_ask(client, number, requests))
                await asyncio.sleep(1 / rate)
        repeated = [f"{step} for {request}" for (request, step), count in models.calls.items() if count > 1]
    return KillOutcome(killed, dead.result(), requests, repeated)


async def _kill(process: psutil.Process) -> float:
    """Kills a process, and returns the moment at which it is gone."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    descriptor = os.pidfd_open(process.pid)
    loop.add_reader(descriptor, gone.set)
    process.kill()
    try:
        async with asyncio.timeout(stack.END_SECONDS):
            await gone.wait()
        return time.monotonic()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _ask(client: httpx.AsyncClient, number: int, requests: list[Asked]) -> None:
    begun = time.monotonic()
    headers = {"content-type": "application/json", "x-request-id": f"request-{number}"}
    try:
        answer = await client.post("/v2/models/three.pipeline/infer", content=BODY, headers=headers)
        status, text = answer.status_code, answer.text
    except httpx.HTTPError as error:
        status, text = 0, repr(error)
    requests.append(Asked(begun, time.monotonic(), status, text))
