"""Does a pipeline gateway keep its bounds: its processor time, its memory, and answers while others fail?

    python -m benchmarks pipeline-bounds [cost] [large] [sides] [kill] [--seconds 4]

Real gateways before models that answer at once (`instant_models`), so that the gateway alone is measured.
`cost`: processor time of a small request, and for the same three steps of the least that reads it
(`least_gateway`) and of the reads and writes alone (`bare_sockets`). `large`: 1 MB of JSON through three
steps, then 10,000 requests of 64 KiB. `sides`: side branches that fail, sleep and are missing, behind an
Envoy. `kill`: one of two gateways behind an Envoy is killed (`gateway_kill`).
Ends with 1 if a bound is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bailie.gateway.publisher import Gateway
from bailie.routing.table import Backend, ReplicaEndpoint, Route, RoutingTable
from bailie.wellknown import ports
from benchmarks import load, stack
from benchmarks.data_plane import BODY
from benchmarks.figures import Figures
from benchmarks.gateway_kill import NEXT_SECONDS, kill
from benchmarks.instant_models import instant_models
from benchmarks.pipelines import ADDRESS, GATEWAY_LOG, PROGRAMS, pipeline_gateway, program

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psutil

CHAIN = {
    "steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}, {"name": "c", "inputs": ["b"]}],
    "output": {"steps": ["c"]},
}
SIDES = ("fail-x", "slow-x", "missing-x")
PLAIN = "plain"
CONNECTIONS = 16
SECONDS = 4.0
"""The length of one measurement."""
LARGE_BYTES, MIDDLE_BYTES = 1_000_000, 64 << 10
COST_MS, LARGE_MS = 0.10, 5.0
LARGE_MIB, GROWTH_MIB = 150.0, 5.0
SIDE_P99 = 1.1
PAUSE = 0.02
"""Seconds from an answer to a caller's next request."""
WARM_UP_SECONDS = 25.0
"""Until the gateway remembers as many traces as it ever does."""
_MIB = 1 << 20
_LOOK_SECONDS = 0.02


def sized(size: int) -> bytes:
    """Returns a request whose body has about so many bytes of JSON numbers."""
    pick = random.Random(1)
    data = [round(pick.random(), 6) for _ in range(size // 10)]
    tensor = {"name": "x", "shape": [1, len(data)], "datatype": "FP64", "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


async def asked(name: str, body: bytes, seconds: float) -> load.Measured:
    """Asks a pipeline of the gateway itself on several connections."""
    path = f"/v2/models/{name}.pipeline_1/infer"
    return await load.rest(
        ports.SERVER_HTTP, path, body, connections=CONNECTIONS, seconds=seconds, host=ADDRESS
    )


async def processor_ms(gateway: psutil.Process, name: str, body: bytes, seconds: float) -> float:
    """Returns the gateway's processor time of a request, in ms."""
    before = stack.cpu_seconds(gateway)
    measured = await asked(name, body, seconds)
    return 1e3 * (stack.cpu_seconds(gateway) - before) / len(measured.latencies)


async def cost(folder: Path, found: Figures, seconds: float) -> None:
    """Measures small requests, in the best of three rounds: other work on the machine makes it only worse."""
    async with instant_models() as models:
        with pipeline_gateway(folder, models.port) as gateway:
            await _ready(folder)
            await asked("three", BODY, seconds / 4)
            one = min([await processor_ms(gateway, "one", BODY, seconds / 4) for _ in range(3)])
            three = min([await processor_ms(gateway, "three", BODY, seconds / 4) for _ in range(3)])
        beside = {}
        for name in PROGRAMS.values():
            with program(name, folder, (ADDRESS, ports.SERVER_HTTP), models.port) as process:
                await stack.answers(f"http://{ADDRESS}:{ports.SERVER_HTTP}", folder / f"{name}.log")
                beside[name] = min(
                    [await processor_ms(process, "three", BODY, seconds / 4) for _ in range(3)]
                )
    found.note("one step, processor time a request", one, " ms")
    found.figure("three steps, processor time a request", three, COST_MS, " ms")
    for name, each in beside.items():
        found.note(f"three steps, {name.replace('_', ' ')} in its place", each, " ms")


async def large(
    folder: Path, found: Figures, seconds: float, *, requests: int = 10_000, warm_up: float = WARM_UP_SECONDS
) -> None:
    """Measures large requests: processor time, the most memory meanwhile, and growth."""
    async with instant_models() as models:
        with pipeline_gateway(folder, models.port, {"chain": CHAIN}) as gateway:
            await _ready(folder)
            body, most = sized(MIDDLE_BYTES), [0]
            await asked("chain", body, warm_up)
            before = gateway.memory_info().rss
            done = 0
            while done < requests:
                done += len((await asked("chain", body, seconds)).latencies)
            growth = (gateway.memory_info().rss - before) / _MIB
            async with asyncio.TaskGroup() as group:
                look = group.create_task(_most_memory(gateway, most))
                each = await processor_ms(gateway, "chain", sized(LARGE_BYTES), seconds)
                look.cancel()
    found.figure(f"growth after {done} requests of 64 KiB", growth, GROWTH_MIB, " MiB")
    found.figure("1 MB through three steps, processor time", each, LARGE_MS, " ms")
    found.figure("1 MB, 16 in flight, most memory", most[0] / _MIB, LARGE_MIB, " MiB")


async def _most_memory(process: psutil.Process, most: list[int]) -> None:
    """Keeps the largest resident memory of a process in `most`, until cancelled."""
    while True:
        most[0] = max(most[0], process.memory_info().rss)
        await asyncio.sleep(_LOOK_SECONDS)


def side_specs() -> dict[str, Any]:
    """Returns a pipeline of one step, and the same with each side branch."""
    output = {"steps": ["a"]}
    specs: dict[str, Any] = {PLAIN: {"steps": [{"name": "a"}], "output": output}}
    for side in SIDES:
        specs[f"beside-{side}"] = {"steps": [{"name": "a"}, {"name": side}], "output": output}
    return specs


def side_routes(model_port: int) -> RoutingTable:
    """Returns routes to the models, but the missing one, and to the pipelines."""
    served = ReplicaEndpoint("mlserver-0", "127.0.0.1", model_port, model_port)
    runs = ReplicaEndpoint("seldon-pipelinegateway-0", ADDRESS, ports.SERVER_HTTP, ports.SERVER_HTTP)
    entries = {step: Route((Backend(f"{step}_1", 1, (served,)),)) for step in ("a", *SIDES[:2])}
    entries |= {
        f"{name}.pipeline": Route((Backend(f"{name}.pipeline_1", 1, (runs,)),)) for name in side_specs()
    }
    return RoutingTable("bench", entries)


async def sides(folder: Path, found: Figures, seconds: float, rounds: int = 8) -> None:
    """Asks a pipeline with and without side branches that do harm, in turn.

    Callers pause: those of a closed loop would wait for the processor that one more call takes.
    """
    plane = Gateway()
    measured: dict[str, list[load.Measured]] = {name: [] for name in side_specs()}
    async with AsyncExitStack() as running:
        models = await running.enter_async_context(instant_models(0.001))
        plane.publish(side_routes(models.port))
        port = await running.enter_async_context(stack.bailie_envoy(folder, plane))
        running.enter_context(pipeline_gateway(folder, port, side_specs()))
        await _ready(folder)
        for _ in range(rounds):
            for name in random.sample(list(measured), len(measured)):
                path = f"/v2/models/{name}.pipeline/infer"
                one = load.paced_rest(port, path, BODY, connections=2, seconds=seconds / 2, pause=PAUSE)
                measured[name].append(await one)
    right = {body for each in measured[PLAIN] for body in each.bodies}
    for side in SIDES:
        beside = measured[f"beside-{side}"]
        other = [str(body) for each in beside for body in each.bodies if body not in right]
        found.nothing(f"{side}: changed answers", other)
        p99 = _together(beside).p99 / _together(measured[PLAIN]).p99
        found.figure(f"{side}: p99, of that without it", p99, SIDE_P99, "")


def _together(rounds: Sequence[load.Measured]) -> load.Measured:
    latencies = sorted(latency for each in rounds for latency in each.latencies)
    return load.Measured(latencies, sum(each.seconds for each in rounds))


async def killed(folder: Path, found: Figures, seconds: float) -> None:
    """Kills one of two gateways under load."""
    outcome = await kill(folder, seconds)
    found.lines.append(outcome.summary())
    failed, in_flight = len(outcome.failures), outcome.in_flight
    found.figure("one of two gateways killed: failed, of those in flight", failed, in_flight)
    found.figure("slowest request after that", outcome.slowest_after, NEXT_SECONDS, " s")
    found.nothing("repeated calls, and failures without 503 and words", outcome.wrong())


async def _ready(folder: Path) -> None:
    await stack.answers(f"http://{ADDRESS}:{ports.HEALTH}/ready", folder / GATEWAY_LOG)


PARTS = {"cost": cost, "large": large, "sides": sides, "kill": killed}


async def measure(parts: Sequence[str], seconds: float) -> list[Figures]:
    """Runs the parts, prints the figures of each, and returns them."""
    measured = []
    for part in parts:
        found = Figures()
        with tempfile.TemporaryDirectory() as folder:
            await PARTS[part](Path(folder), found, seconds)
        print("\n".join([f"{part}:", *(f"  {line}" for line in found.lines)]), flush=True)
        measured.append(found)
    return measured


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pipeline-bounds", description=__doc__)
    parser.add_argument("parts", nargs="*", default=[*PARTS], help=f"of {', '.join(PARTS)}; all of them")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of one measurement")
    options = parser.parse_args(arguments)
    measured = asyncio.run(measure(options.parts, options.seconds))
    missed = [each for found in measured for each in found.missed]
    for each in missed:
        print(f"missed: {each}", file=sys.stderr)
    if missed:
        sys.exit(1)
