"""Latency and throughput of Bailie's data plane, against MLServer direct and a static Envoy.

    python -m benchmarks data-plane [--rounds 12] [--seconds 1.5] [--json FILE]

All run at the same time and take turns in short rounds, in another order each time, so that a busy moment
of the machine falls on all of them alike. A ratio is the median of the ratios of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bailie._gen import inference_pb2 as pb
from bailie.gateway.publisher import Gateway
from bailie.routing.table import Backend, ReplicaEndpoint, Route, RoutingTable
from benchmarks import load, stack
from benchmarks.results import add_json, keep

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW = [5.1, 3.5, 1.4, 0.2]
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [ROW]}]}).encode()
VARIANTS = ("direct", "static", "bailie")


@dataclass(frozen=True, slots=True)
class Target:
    """Where one variant listens, and the model's name there."""

    http: int
    rpc: int
    model: str


def rpc_request(model: str) -> pb.ModelInferRequest:
    """Returns the request of `BODY` for gRPC."""
    contents = pb.InferTensorContents(fp64_contents=ROW)
    tensor = pb.ModelInferRequest.InferInputTensor(name="x", shape=[1, 4], datatype="FP64", contents=contents)
    return pb.ModelInferRequest(model_name=model, inputs=[tensor])


async def once(target: Target, protocol: str, connections: int, seconds: float) -> load.Measured:
    """Runs one round on one target."""
    if protocol == "REST":
        path = f"/v2/models/{target.model}/infer"
        return await load.rest(target.http, path, BODY, connections=connections, seconds=seconds)
    request = rpc_request(target.model)
    return await load.rpc(target.rpc, request, target.model, connections=connections, seconds=seconds)


Rounds = dict[str, list[load.Measured]]


async def compare(
    targets: dict[str, Target], protocol: str, connections: int, options: argparse.Namespace
) -> Rounds:
    """Returns each variant's rounds."""
    rounds: Rounds = {name: [] for name in targets}
    for target in targets.values():
        await once(target, protocol, connections, 1.0)
    for _ in range(options.rounds):
        for name in random.sample(sorted(targets), len(targets)):
            rounds[name].append(await once(targets[name], protocol, connections, options.seconds))
    return rounds


def ratios(rounds: Rounds, over: str, under: str, figure: str) -> list[float]:
    """Returns `figure` of `over` divided by that of `under`, per round, in the order of their size."""
    pairs = zip(rounds[over], rounds[under], strict=True)
    return sorted(getattr(a, figure) / getattr(b, figure) for a, b in pairs)


def summary(rounds: Rounds) -> dict[str, object]:
    """Returns medians per variant, and Bailie's ratios with their quartiles."""
    found: dict[str, object] = {
        name: {
            figure: round(statistics.median(getattr(r, figure) for r in measured), 3)
            for figure in ("p50", "p99", "rate")
        }
        for name, measured in rounds.items()
    }
    for under in ("static", "direct"):
        for figure in ("p50", "rate"):
            sizes = ratios(rounds, "bailie", under, figure)
            low, middle, high = statistics.quantiles(sizes, n=4)
            found[f"bailie/{under} {figure}"] = [round(x, 3) for x in (low, middle, high)]
    return found


def table(results: dict[str, dict[str, object]]) -> str:
    """Returns the results for people."""
    lines = [f"{'':16} {'variant':8} {'p50 ms':>8} {'p99 ms':>8} {'req/s':>8}"]
    for case, result in results.items():
        for name in VARIANTS:
            row = result[name]
            assert isinstance(row, dict)
            lines.append(f"{case:16} {name:8} {row['p50']:8.3f} {row['p99']:8.3f} {row['rate']:8.0f}")
        for key, value in result.items():
            if key.startswith("bailie/"):
                assert isinstance(value, list)
                lines.append(
                    f"{case:16} {key:24} {value[1]:.3f}  (quartiles {value[0]:.3f} … {value[2]:.3f})"
                )
    return "\n".join(lines)


async def measure(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Starts everything and returns the summary of each case."""
    results = {}
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        stack.train(folder)
        http, rpc, _ = await running.enter_async_context(stack.mlserver(folder))
        static = await running.enter_async_context(stack.static_envoy(folder, http, rpc))
        gateway = Gateway()
        replica = ReplicaEndpoint("mlserver-0", "127.0.0.1", http, rpc)
        entries = {"iris": Route((Backend(stack.MODEL, 1, (replica,)),))}
        gateway.publish(RoutingTable("bench", entries))
        bailie = await running.enter_async_context(stack.bailie_envoy(folder, gateway))
        targets = {
            "direct": Target(http, rpc, stack.MODEL),
            "static": Target(static, static, stack.MODEL),
            "bailie": Target(bailie, bailie, "iris"),
        }
        for protocol in options.protocols:
            for connections in options.connections:
                rounds = await compare(targets, protocol, connections, options)
                results[f"{protocol} {connections} conn."] = summary(rounds)
    return results


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks data-plane", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one round")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--protocols", nargs="+", default=["REST", "gRPC"], choices=["REST", "gRPC"])
    add_json(parser)
    options = parser.parse_args(arguments)
    results = asyncio.run(measure(options))
    print(table(results))
    keep(options, results)
