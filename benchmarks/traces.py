"""What traces of requests cost an Envoy, also where their collector is away.

    python -m benchmarks traces [--seconds 2] [--rounds 15]

Envoys before a server that answers at once take turns: one that traces nothing, two that record every
hundredth request and two that record every request, each time one of them for a collector that is away. No
request may fail. Printed are also the memory that the Envoys have taken by the end, and after how long the
collector has the trace of a request that comes alone.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import httpx
from tests.support.ports import free_port

from bailie.api.collector import Collector
from bailie.gateway.publisher import Gateway
from bailie.routing.table import ReplicaEndpoint
from benchmarks import load, stack
from benchmarks.routes import acknowledged, instant_server, models

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

_CONNECTIONS = 8
_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


async def cost(seconds: float, rounds: int) -> dict[str, float]:
    """Returns requests per second and microseconds of processor time per request, beside those without."""
    rates: dict[str, list[float]] = {}
    spent: dict[str, list[float]] = {}
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        arrived = asyncio.Event()
        ports = await _envoys(running, folder, arrived)
        for _ in range(rounds):
            for variant in random.sample(list(ports), len(ports)):
                process = stack.process_of(str(folder / variant / "bailie-envoy.json"))
                before = stack.cpu_seconds(process)
                path = "/v2/models/model-7/infer"
                done = await load.rest(ports[variant], path, b"{}", connections=_CONNECTIONS, seconds=seconds)
                cpu = stack.cpu_seconds(process) - before
                rates.setdefault(variant, []).append(done.rate)
                spent.setdefault(variant, []).append(1e6 * cpu / len(done.latencies))
        memory = {each: _megabytes(folder, each) for each in ports}
        late = [await _seen_after(ports["every"], arrived) for _ in range(rounds)]
    found = {f"{each} req/s": statistics.median(rates[each]) for each in ports}
    found |= {f"{each} MiB": memory[each] for each in ports}
    found |= {"a trace is seen after s, median": statistics.median(late), "at most": max(late)}
    found["without CPU us"] = statistics.median(spent["without"])
    for each in (name for name in ports if name != "without"):
        pairs = zip(rates[each], rates["without"], strict=True)
        found[f"{each} / without, req/s"] = statistics.median(one / other for one, other in pairs)
        pairs = zip(spent[each], spent["without"], strict=True)
        found[f"{each} - without, CPU us"] = statistics.median(one - other for one, other in pairs)
    for each in ("hundredth", "every"):
        pairs = zip(rates[f"{each}, away"], rates[each], strict=True)
        found[f"{each}, away / there, req/s"] = statistics.median(one / other for one, other in pairs)
    return found


def _megabytes(folder: Path, variant: str) -> float:
    return stack.process_of(str(folder / variant / "bailie-envoy.json")).memory_info().rss / 2**20


async def _seen_after(port: int, arrived: asyncio.Event) -> float:
    """Returns the seconds from the answer to one request until its span has come."""
    await asyncio.sleep(random.uniform(1.5, 2.5))
    arrived.clear()
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"http://127.0.0.1:{port}/v2/models/model-7/infer", content=b"{}")
        answer.raise_for_status()
    begun = time.monotonic()
    async with asyncio.timeout(30):
        await arrived.wait()
    return time.monotonic() - begun


async def _envoys(running: AsyncExitStack, folder: Path, arrived: asyncio.Event) -> dict[str, int]:
    """Starts the Envoys; returns the port of each variant. `arrived` is set when spans come."""
    server = await running.enter_async_context(instant_server(folder))
    table = models(100, ReplicaEndpoint("instant-0", "127.0.0.1", server, server))
    taking = await running.enter_async_context(_collector(arrived))
    collectors = {
        "without": None,
        "hundredth": Collector("127.0.0.1", taking, 0.01),
        "hundredth, away": Collector("127.0.0.1", free_port(), 0.01),
        "every": Collector("127.0.0.1", taking),
        "every, away": Collector("127.0.0.1", free_port()),
    }
    ports: dict[str, int] = {}
    for variant, collector in collectors.items():
        own = folder / variant
        own.mkdir()
        gateway = Gateway()
        revision = gateway.publish(replace(table, collector=collector))
        envoy = stack.bailie_envoy(own, gateway, workers=1, change={"stats_sinks": []})
        ports[variant] = await running.enter_async_context(envoy)
        await acknowledged(gateway, revision)
    return ports


@asynccontextmanager
async def _collector(arrived: asyncio.Event) -> AsyncIterator[int]:
    """Takes spans and forgets them; the value is the port."""

    async def export(_: bytes, __: object) -> bytes:
        arrived.set()
        return b""

    server = grpc.aio.server()
    handler = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handler),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks traces", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each Envoy")
    options = parser.parse_args(arguments)
    for name, value in asyncio.run(cost(options.seconds, options.rounds)).items():
        print(f"{name:36} {value:12.3f}", flush=True)
