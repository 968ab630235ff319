"""What a request to a pipeline costs beside many other pipelines: few and many in turn, within one run.

    python -m benchmarks pipeline-numbers [--few 10] [--many 1000] [--rounds 30] [--seconds 1]

Two data planes before one MLServer, each an Envoy with the routes and a gateway with the plans of so many
pipelines. One pipeline of three steps is asked of each in turn, in short rounds; a ratio is the median of
those of the rounds. With `--instant` the models answer at once, so that the planes alone are measured.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bailie.gateway.publisher import Gateway
from bailie.routing.table import Backend, ReplicaEndpoint, Route, RoutingTable
from bailie.wellknown import ports
from benchmarks import load, stack
from benchmarks.figures import Figures
from benchmarks.instant_models import instant_models
from benchmarks.pipelines import ADDRESSES, GATEWAY_LOG, STEPS, THREE, Case, pipeline_gateway, round_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psutil

ASKED = "p-0.pipeline"
MANY_P50 = 1.05
_CASE = Case(1, "rest")


class _Plane(NamedTuple):
    """An Envoy's port, and the gateway behind it."""

    port: int
    gateway: psutil.Process


def table(number: int, model: ReplicaEndpoint, gateway: ReplicaEndpoint) -> RoutingTable:
    """Returns routes to the models of the steps, and to so many pipelines."""
    entries = {name: Route((Backend(stack.MODEL, 1, (model,)),)) for name in STEPS}
    for at in range(number):
        name = f"p-{at}.pipeline"
        entries[name] = Route((Backend(f"{name}_1", 1, (gateway,)),))
    return RoutingTable("bench", entries)


async def _plane(
    running: AsyncExitStack, folder: Path, number: int, *, model: ReplicaEndpoint, address: str
) -> _Plane:
    runs = ReplicaEndpoint("seldon-pipelinegateway-0", address, ports.SERVER_HTTP, ports.SERVER_HTTP)
    plane = Gateway()
    plane.publish(table(number, model, runs))
    port = await running.enter_async_context(stack.bailie_envoy(folder, plane))
    specs = {f"p-{at}": THREE for at in range(number)}
    gateway = running.enter_context(pipeline_gateway(folder, port, specs, address))
    await stack.answers(f"http://127.0.0.1:{port}/v2/models/{ASKED}/ready", folder / GATEWAY_LOG)
    return _Plane(port, gateway)


async def _models(running: AsyncExitStack, folder: Path, *, instant: bool) -> ReplicaEndpoint:
    """Returns where the models are."""
    if instant:
        port = (await running.enter_async_context(instant_models())).port
        return ReplicaEndpoint("mlserver-0", "127.0.0.1", port, port)
    stack.train(folder)
    http, rpc, _ = await running.enter_async_context(stack.mlserver(folder))
    return ReplicaEndpoint("mlserver-0", "127.0.0.1", http, rpc)


async def measure(options: argparse.Namespace) -> Figures:
    """Starts everything and returns the figures."""
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        model = await _models(running, folder, instant=options.instant)
        for number in (options.few, options.many):
            (folder / str(number)).mkdir()
        planes = [
            await _plane(running, folder / str(number), number, model=model, address=address)
            for number, address in zip((options.few, options.many), ADDRESSES, strict=True)
        ]
        rounds: dict[_Plane, list[load.Measured]] = {each: [] for each in planes}
        for each in planes:
            await round_of(each.port, ASKED, _CASE, options.seconds)
        for _ in range(options.rounds):
            for each in random.sample(planes, len(planes)):
                rounds[each].append(await round_of(each.port, ASKED, _CASE, options.seconds))
        return _judged(options, planes, rounds)


def _judged(
    options: argparse.Namespace, planes: Sequence[_Plane], rounds: dict[_Plane, list[load.Measured]]
) -> Figures:
    found = Figures()
    few, many = (rounds[each] for each in planes)
    for number, measured in ((options.few, few), (options.many, many)):
        found.note(f"p50 of one beside {number}", statistics.median(each.p50 for each in measured), " ms")
    ratio = statistics.median(b.p50 / a.p50 for a, b in zip(few, many, strict=True))
    found.figure(f"p50 of one beside {options.many}, of that beside {options.few}", ratio, MANY_P50)
    for number, each in zip((options.few, options.many), planes, strict=True):
        memory = each.gateway.memory_full_info().uss / 2**20
        found.note(f"memory of the gateway's own with {number}", memory, " MiB")
    return found


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Returns the options of a run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pipeline-numbers", description=__doc__)
    parser.add_argument("--few", type=int, default=10)
    parser.add_argument("--many", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one round")
    parser.add_argument("--instant", action="store_true", help="models that answer at once")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    print("\n".join(asyncio.run(measure(options_of(arguments))).lines))
