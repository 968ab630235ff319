"""What a pipeline costs: one step against the model direct, three steps against the caller's three calls.

    python -m benchmarks pipelines [--rounds 12] [--seconds 1.5] [--connections 1 16] [--protocols rest grpc]

A real MLServer, Envoy and pipeline gateway. The variants take turns in short rounds, in another order each
time; a ratio or difference is the median of those of the rounds. The processor time is the gateway's own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bailie.gateway.publisher import Gateway
from bailie.pipelinegateway.plan_file import write_plans
from bailie.pipelinegateway.plans import PlanSource
from bailie.routing.table import Backend, ReplicaEndpoint, Route, RoutingTable
from bailie.wellknown import variables
from benchmarks import load, stack
from benchmarks.data_plane import BODY, rpc_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ADDRESS = "127.77.0.1"
STEPS = ("a", "b", "c")
ONE = {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}
THREE = {
    "steps": [
        {"name": "a"},
        {"name": "b", "triggers": ["a.outputs"]},
        {"name": "c", "triggers": ["b.outputs"]},
    ],
    "output": {"steps": ["c"]},
}
"""Each step has the request's data and waits for the step before, so that any model can be a step."""
VARIANTS = {"direct": "a", "one step": "one.pipeline", "three steps": "three.pipeline"}

Rounds = dict[str, list[load.Measured]]


@contextmanager
def pipeline_gateway(folder: Path, envoy: int) -> Iterator[psutil.Process]:
    """Runs the process with both pipelines, which it has from its file."""
    plans = folder / "plans"
    plans.mkdir()
    write_plans(plans / "plans.json", [PlanSource("one", 1, ONE), PlanSource("three", 1, THREE)])
    environment = {
        "PATH": os.defpath,
        variables.POD_NAME: "seldon-pipelinegateway-0",
        variables.POD_NAMESPACE: "bench",
        variables.POD_IP: ADDRESS,
        variables.SCHEDULER_HOST: ADDRESS,
        variables.ENVOY_HOST: "127.0.0.1",
        variables.ENVOY_PORT: str(envoy),
        variables.PIPELINES_FOLDER: str(plans),
        variables.DRAIN_SECONDS: "1",
    }
    command = [sys.executable, "-m", "bailie", "pipelinegateway"]
    with stack.process(command, folder / "gateway.log", env=environment) as running:
        yield psutil.Process(running.pid)


def table(http: int, rpc: int) -> RoutingTable:
    """Returns routes of the steps, which are one model, and of the pipelines."""
    server = ReplicaEndpoint("mlserver-0", "127.0.0.1", http, rpc)
    runs = ReplicaEndpoint("seldon-pipelinegateway-0", ADDRESS, 9000, 9000)
    entries = {name: Route((Backend(stack.MODEL, 1, (server,)),)) for name in STEPS}
    entries |= {
        f"{name}.pipeline": Route((Backend(f"{name}.pipeline_1", 1, (runs,)),)) for name in ("one", "three")
    }
    return RoutingTable("bench", entries)


async def round_of(port: int, name: str, protocol: str, *, connections: int, seconds: float) -> load.Measured:
    """Returns one round of a variant."""
    if protocol == "grpc":
        request = rpc_request(name)
        return await load.rpc(port, request, name, connections=connections, seconds=seconds)
    path = f"/v2/models/{name}/infer"
    return await load.rest(port, path, BODY, connections=connections, seconds=seconds)


async def rounds_of(
    port: int,
    connections: int,
    protocol: str,
    *,
    options: argparse.Namespace,
    cpu: dict[str, float],
    gateway: psutil.Process,
) -> Rounds:
    """Returns each variant's rounds, and adds the gateway's processor time by variant to `cpu`."""
    found: Rounds = {name: [] for name in VARIANTS}
    for _ in range(options.rounds):
        for name in random.sample(sorted(VARIANTS), len(VARIANTS)):
            before = stack.cpu_seconds(gateway)
            found[name].append(
                await round_of(
                    port, VARIANTS[name], protocol, connections=connections, seconds=options.seconds
                )
            )
            cpu[name] = cpu.get(name, 0.0) + stack.cpu_seconds(gateway) - before
    return found


def median(rounds: Rounds, name: str, figure: str) -> float:
    """Returns the median of a figure over the rounds."""
    return float(statistics.median(getattr(each, figure) for each in rounds[name]))


def told(head: str, rounds: Rounds, cpu: dict[str, float], gateway: psutil.Process) -> str:
    """Returns the results for people, under a head line."""
    pairs = list(zip(*(rounds[name] for name in VARIANTS), strict=True))
    more = statistics.median(one.p50 - direct.p50 for direct, one, _ in pairs)
    three = statistics.median(third.p50 / (3 * direct.p50) for direct, _, third in pairs)
    third_rate = statistics.median(third.rate / (direct.rate / 3) for direct, _, third in pairs)
    lines = [head]
    for name in VARIANTS:
        count = sum(len(each.latencies) for each in rounds[name])
        p50, p99, rate = (median(rounds, name, figure) for figure in ("p50", "p99", "rate"))
        each = 1e3 * cpu[name] / count
        lines.append(f"  {name:12} p50 {p50:7.3f} ms  p99 {p99:7.3f} ms  {rate:6.0f} req/s")
        lines.append(f"  {'':12} gateway {each:.3f} ms of processor time a request")
    memory = gateway.memory_full_info()
    lines.append(f"  one step: direct + {more:.3f} ms")
    lines.append(f"  three steps: {three:.3f} of three calls, {third_rate:.3f} of a third of the direct rate")
    own, all_pages = memory.uss / 2**20, memory.rss / 2**20
    lines.append(f"  gateway: {own:.0f} MiB of its own, {all_pages:.0f} MiB resident")
    return "\n".join(lines)


async def measure(options: argparse.Namespace) -> None:
    """Starts everything, and prints the results."""
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        stack.train(folder)
        http, rpc, _ = await running.enter_async_context(stack.mlserver(folder))
        gateway = Gateway()
        gateway.publish(table(http, rpc))
        port = await running.enter_async_context(stack.bailie_envoy(folder, gateway))
        process = running.enter_context(pipeline_gateway(folder, port))
        await stack.answers(f"http://127.0.0.1:{port}/v2/models/three.pipeline/ready", folder / "gateway.log")
        for connections, protocol in product(options.connections, options.protocols):
            cpu: dict[str, float] = {}
            rounds = await rounds_of(port, connections, protocol, options=options, cpu=cpu, gateway=process)
            print(told(f"{connections} connections, {protocol}", rounds, cpu, process), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pipelines", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one round")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--protocols", nargs="+", default=["rest", "grpc"])
    asyncio.run(measure(parser.parse_args(arguments)))
