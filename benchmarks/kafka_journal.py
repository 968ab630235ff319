"""What the journal of pipelines costs, and what callers notice when its broker is away.

    python -m benchmarks kafka-journal [--rounds 12] [--seconds 1.5] [--connections 1 4] [--away 60]

A real MLServer, Envoy, two pipeline gateways, and the tests' broker of Kafka's protocol. Requests of three
steps go to the gateway with a journal and to the one without in short rounds, in turns. Then the broker is
stopped, requests go on, and the broker comes back: each record is in its topic, or counted as dropped. Ends
with 1 if a request fails, a record is missing, or the median of the ratios is above 1.1.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import plain_http
from tests.support.broker import Broker, running_broker
from tests.support.waiting import until_true

from bailie.gateway.publisher import Gateway
from bailie.routing.table import Backend, ReplicaEndpoint, Route, RoutingTable
from bailie.wellknown import ports
from benchmarks import load, stack
from benchmarks.data_plane import BODY
from benchmarks.pipelines import GATEWAY_LOG, STEPS, THREE, pipeline_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import httpx
    import psutil

    Pair = tuple[load.Measured, load.Measured]

WITHOUT, WITH = "127.77.0.1", "127.77.0.2"
PLAIN, JOURNALLED = "plain", "journalled"
RECORDS = 8
"""Of a request of three steps: inputs and outputs of the pipeline and of each step."""
MOST = 1.1
QUEUE = 5_000


@contextmanager
def gateway_of(
    folder: Path, name: str, address: str, *, envoy: int, brokers: str = ""
) -> Iterator[psutil.Process]:
    """Runs a gateway with one pipeline in a folder of its own; without `brokers` it keeps no journal."""
    own = folder / name
    own.mkdir()
    kafka = {"bootstrap.servers": brokers, "producer": {"queue.buffering.max.messages": QUEUE}}
    with pipeline_gateway(own, envoy, {name: THREE}, address, kafka=kafka if brokers else None) as running:
        yield running


def table(http: int, rpc: int) -> RoutingTable:
    """Returns routes of the steps, which are one model, and of both pipelines."""
    server = ReplicaEndpoint("mlserver-0", "127.0.0.1", http, rpc)
    entries = {name: Route((Backend(stack.MODEL, 1, (server,)),)) for name in STEPS}
    for name, address in ((PLAIN, WITHOUT), (JOURNALLED, WITH)):
        runs = ReplicaEndpoint(f"{name}-0", address, 9000, 9000)
        entries[f"{name}.pipeline"] = Route((Backend(f"{name}.pipeline_1", 1, (runs,)),))
    return RoutingTable("bench", entries)


async def counted(client: httpx.AsyncClient) -> dict[str, float]:
    """Returns the figures of the journal, by the end of their names."""
    text = (await client.get(f"http://{WITH}:{ports.HEALTH}/metrics")).text
    found = [line.split() for line in text.splitlines() if line.startswith("bailie_journal_")]
    return {name.removeprefix("bailie_journal_"): float(value) for name, value in found}


async def settled(client: httpx.AsyncClient) -> dict[str, float]:
    """Waits until no record waits for the broker, and returns the figures."""

    async def quiet() -> dict[str, float]:
        found = await counted(client)
        return {} if found["waiting"] else found

    return await until_true(quiet, seconds=120)


async def one(port: int, name: str, connections: int, seconds: float) -> load.Measured:
    """Returns one round of a pipeline."""
    path = f"/v2/models/{name}.pipeline/infer"
    return await load.rest(port, path, BODY, connections=connections, seconds=seconds)


async def compared(port: int, connections: int, options: argparse.Namespace) -> float:
    """Prints both variants' figures, and returns the median of the ratios of their medians."""
    pairs: list[Pair] = []
    for number in range(options.rounds):
        order = (PLAIN, JOURNALLED) if number % 2 else (JOURNALLED, PLAIN)
        found = {name: await one(port, name, connections, options.seconds) for name in order}
        pairs.append((found[PLAIN], found[JOURNALLED]))
    ratio = statistics.median(kept.p50 / plain.p50 for plain, kept in pairs)
    rates = statistics.median(kept.rate / plain.rate for plain, kept in pairs)
    for name, measured in zip((PLAIN, JOURNALLED), zip(*pairs, strict=True), strict=True):
        p50, p99 = (
            statistics.median(getattr(each, figure) for each in measured) for figure in ("p50", "p99")
        )
        print(f"{connections} connections, {name:10} p50 {p50:.3f} ms, p99 {p99:.3f} ms")
    print(f"  with a journal {ratio:.3f} of the p50 and {rates:.3f} of the rate without", flush=True)
    return ratio


async def outage(port: int, broker: Broker, gateway: psutil.Process, away: float) -> bool:
    """Takes the broker away under load, and returns whether every record is written or counted."""
    async with plain_http.async_client() as client:
        before = await settled(client)
        memory = gateway.memory_info().rss
        broker.stop()
        answered = await one(port, JOURNALLED, 2, away)
        most = gateway.memory_info().rss
        await asyncio.to_thread(broker.start)
        after = await settled(client)
    requests = len(answered.latencies)
    written, dropped = (after[name] - before[name] for name in ("records_total", "dropped_total"))
    print(f"{away:.0f} s without the broker: {requests} requests answered, p50 {answered.p50:.3f} ms")
    print(f"  {written:.0f} records written, {dropped:.0f} dropped, of {RECORDS * requests}")
    print(f"  memory {memory / 2**20:.0f} MiB before, {most / 2**20:.0f} MiB at the end", flush=True)
    return written + dropped == RECORDS * requests


async def measure(options: argparse.Namespace) -> bool:
    """Starts everything, prints the results, and returns whether all bars are kept."""
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        broker = running.enter_context(running_broker(folder / "broker"))
        stack.train(folder)
        http, rpc, _ = await running.enter_async_context(stack.mlserver(folder))
        gateway = Gateway()
        gateway.publish(table(http, rpc))
        port = await running.enter_async_context(stack.bailie_envoy(folder, gateway))
        running.enter_context(gateway_of(folder, PLAIN, WITHOUT, envoy=port))
        process = running.enter_context(
            gateway_of(folder, JOURNALLED, WITH, envoy=port, brokers=broker.address)
        )
        for name in (PLAIN, JOURNALLED):
            ready = f"http://127.0.0.1:{port}/v2/models/{name}.pipeline/ready"
            await stack.answers(ready, folder / name / GATEWAY_LOG)
        ratios = [await compared(port, each, options) for each in options.connections]
        whole = await outage(port, broker, process, options.away)
        return whole and max(ratios) <= MOST


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks kafka-journal", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one round")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--away", type=float, default=60.0, help="seconds without the broker")
    if not asyncio.run(measure(parser.parse_args(arguments))):
        raise SystemExit(1)
