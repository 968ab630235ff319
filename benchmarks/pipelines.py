"""What a pipeline costs: one step against the model direct, three steps against the caller's three calls.

    python -m benchmarks pipelines [--rounds 12] [--seconds 1.5] [--connections 1 16] [--protocols rest grpc]

A real MLServer, Envoy and pipeline gateway, and beside them three that call the same three steps over REST: a
router of another make (`router`), the least that reads a request and calls its steps (`least_gateway`), and
one that passes prepared bytes on and looks at none (`bare_sockets`), the floor of any gateway in Python's
event loop. The variants take turns in short rounds, in another order each time; a ratio or difference is the
median of those of the rounds. The processor time is the gateway's, or that of what stands in its place.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
from tests.support.ports import free_port

from bailie.gateway.publisher import Gateway
from bailie.pipelinegateway.plan_file import write_plans
from bailie.pipelinegateway.plans import PlanSource
from bailie.routing.table import Backend, ReplicaEndpoint, Route, RoutingTable
from bailie.wellknown import variables
from benchmarks import load, stack
from benchmarks.data_plane import BODY, rpc_request
from benchmarks.figures import Figures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ADDRESSES = tuple(f"127.{net}.{os.getpid() >> 8 & 255}.{os.getpid() & 255}" for net in (77, 78))
"""Loopback addresses of this run's own, for gateways have fixed ports."""
ADDRESS = ADDRESSES[0]
STEPS = ("a", "b", "c")
ROUTER, LEAST, SOCKETS = "three, router", "three, least", "three, sockets"
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
SPECS = {"one": ONE, "three": THREE}
GATEWAY_LOG, ROUTER_LOG = "gateway.log", "router.log"
OWN = {"direct": "a", "one step": "one.pipeline", "three steps": "three.pipeline"}
PROGRAMS = {LEAST: "least_gateway", SOCKETS: "bare_sockets"}
"""Files of this folder that stand in the gateway's place."""
BESIDE = {ROUTER: "router", **{variant: name.replace("_", "-") for variant, name in PROGRAMS.items()}}
VARIANTS = OWN | BESIDE
"""The name that each variant is asked by; those beside know REST alone."""

ONE_STEP_MS = {"rest": 0.6, "grpc": 1.0}
PROCESSOR_MS = {"rest": 0.10, "grpc": 0.25}
"""Of a request through three steps, where several come at a time."""
THREE_STEPS, THREE_STEPS_RATE = 1.15, 0.85
OWN_MIB = 40.0

Rounds = dict[str, list[load.Measured]]


class Case(NamedTuple):
    """Requests one after another on so many connections, by one protocol."""

    connections: int
    protocol: str

    def __str__(self) -> str:
        return f"{self.protocol}, {self.connections} connection{'s' if self.connections > 1 else ''}"


class Processes(NamedTuple):
    """The processes that are measured; `beside` by variant."""

    gateway: psutil.Process
    beside: Mapping[str, psutil.Process]

    def of(self, variant: str) -> psutil.Process:
        """Returns the process whose processor time is that of a variant."""
        return self.beside.get(variant, self.gateway)


@contextmanager
def pipeline_gateway(
    folder: Path,
    envoy: int,
    specs: Mapping[str, Any] = SPECS,
    address: str = ADDRESS,
    *,
    kafka: Mapping[str, Any] | None = None,
) -> Iterator[psutil.Process]:
    """Runs the process with version 1 of pipelines, by name, which it has from its file in an own folder.

    `kafka` is the configuration of a broker; without it the gateway knows none.
    """
    plans = folder / "plans"
    plans.mkdir()
    write_plans(plans / "plans.json", [PlanSource(name, 1, spec) for name, spec in specs.items()])
    if kafka:
        (plans / "kafka.json").write_text(json.dumps(kafka))
    environment = {
        "PATH": os.defpath,
        variables.POD_NAME: "seldon-pipelinegateway-0",
        variables.POD_NAMESPACE: "bench",
        variables.POD_IP: address,
        variables.SCHEDULER_HOST: address,
        variables.ENVOY_HOST: "127.0.0.1",
        variables.ENVOY_PORT: str(envoy),
        variables.PIPELINES_FOLDER: str(plans),
        variables.KAFKA_FILE: str(plans / "kafka.json"),
        variables.DRAIN_SECONDS: "1",
    }
    command = [sys.executable, "-m", "bailie", "pipelinegateway"]
    with stack.process(command, folder / GATEWAY_LOG, env=environment) as running:
        yield psutil.Process(running.pid)


@contextmanager
def router(folder: Path, port: int, envoy: int) -> Iterator[psutil.Process]:
    """Runs the router of another make at a port."""
    python = stack.mlserver_environment() / "bin" / "python"
    urls = [f"http://127.0.0.1:{envoy}/v2/models/{step}/infer" for step in STEPS]
    script = Path(__file__).with_name("router.py")
    with stack.process([str(python), str(script), str(port), *urls], folder / ROUTER_LOG) as running:
        yield psutil.Process(running.pid)


@contextmanager
def program(name: str, folder: Path, place: tuple[str, int], models: int) -> Iterator[psutil.Process]:
    """Runs a program of this folder that calls three steps, at an address and a port."""
    script = Path(__file__).with_name(f"{name}.py")
    words = [sys.executable, str(script), place[0], str(place[1]), str(models), str(len(STEPS))]
    with stack.process(words, folder / f"{name}.log") as running:
        yield psutil.Process(running.pid)


def table(http: int, rpc: int, beside: Mapping[str, int]) -> RoutingTable:
    """Returns routes of the steps, which are one model, of the pipelines, and by name of the ports beside."""
    server = ReplicaEndpoint("mlserver-0", "127.0.0.1", http, rpc)
    runs = ReplicaEndpoint("seldon-pipelinegateway-0", ADDRESS, 9000, 9000)
    entries = {name: Route((Backend(stack.MODEL, 1, (server,)),)) for name in STEPS}
    for name, port in beside.items():
        replica = ReplicaEndpoint(f"{name}-0", "127.0.0.1", port, port)
        entries[name] = Route((Backend(f"{name}_1", 1, (replica,)),))
    entries |= {
        f"{name}.pipeline": Route((Backend(f"{name}.pipeline_1", 1, (runs,)),)) for name in ("one", "three")
    }
    return RoutingTable("bench", entries)


async def round_of(port: int, name: str, case: Case, seconds: float) -> load.Measured:
    """Returns one round of a variant."""
    if case.protocol == "grpc":
        request = rpc_request(name)
        return await load.rpc(port, request, name, connections=case.connections, seconds=seconds)
    path = f"/v2/models/{name}/infer"
    return await load.rest(port, path, BODY, connections=case.connections, seconds=seconds)


async def rounds_of(
    port: int, case: Case, *, options: argparse.Namespace, processes: Processes
) -> tuple[Rounds, dict[str, float]]:
    """Returns each variant's rounds, and the processor time of its process by variant."""
    names = list(VARIANTS if case.protocol == "rest" else OWN)
    found: Rounds = {name: [] for name in names}
    cpu = dict.fromkeys(names, 0.0)
    for _ in range(options.rounds):
        for name in random.sample(names, len(names)):
            process = processes.of(name)
            before = stack.cpu_seconds(process)
            found[name].append(await round_of(port, VARIANTS[name], case, options.seconds))
            cpu[name] += stack.cpu_seconds(process) - before
    return found, cpu


def median(rounds: Rounds, name: str, figure: str) -> float:
    """Returns the median of a figure over the rounds."""
    return float(statistics.median(getattr(each, figure) for each in rounds[name]))


def ratio(rounds: Rounds, one: str, other: str, figure: str) -> float:
    """Returns the median of the ratios of a figure in each round."""
    pairs = zip(rounds[one], rounds[other], strict=True)
    return float(statistics.median(getattr(a, figure) / getattr(b, figure) for a, b in pairs))


def judge(found: Figures, case: Case, rounds: Rounds, cpu: Mapping[str, float]) -> None:
    """Notes the figures of one case beside their bars."""
    for name in [name for name in rounds if name != "direct"]:
        each = 1e3 * cpu[name] / sum(len(every.latencies) for every in rounds[name])
        what = f"{case}, {name}, processor time a request"
        if name == "three steps" and case.connections > 1:
            found.figure(what, each, PROCESSOR_MS[case.protocol], " ms")
        else:
            found.note(what, each, " ms")
    three = ratio(rounds, "three steps", "direct", "p50") / 3
    rate = ratio(rounds, "three steps", "direct", "rate") * 3
    if case.connections == 1:
        pairs = zip(rounds["one step"], rounds["direct"], strict=True)
        more = statistics.median(one.p50 - direct.p50 for one, direct in pairs)
        found.figure(f"{case}, one step, p50 beyond direct", more, ONE_STEP_MS[case.protocol], " ms")
        found.figure(f"{case}, three steps, p50 of that of three calls", three, THREE_STEPS)
    else:
        found.note(f"{case}, three steps, p50 of that of three calls", three)
        found.figure(
            f"{case}, three steps, rate of a third of the direct", rate, THREE_STEPS_RATE, least=True
        )
    if ROUTER in rounds:
        for figure in ("p50", "rate"):
            value = ratio(rounds, "three steps", ROUTER, figure)
            found.note(f"{case}, three steps, {figure} of the router's", value)
        for variant, what in ((LEAST, "the least gateway"), (SOCKETS, "prepared bytes alone")):
            floor = ratio(rounds, variant, "direct", "p50") / 3
            found.note(f"{case}, {what}, p50 of that of three calls", floor)


def told(case: Case, rounds: Rounds) -> str:
    """Returns the latencies and rates for people."""
    lines = [f"{case}:"]
    for name in rounds:
        p50, p99, rate = (median(rounds, name, figure) for figure in ("p50", "p99", "rate"))
        lines.append(f"  {name:13} p50 {p50:7.3f} ms  p99 {p99:7.3f} ms  {rate:6.0f} req/s")
    return "\n".join(lines)


async def measure(options: argparse.Namespace) -> Figures:
    """Starts everything, prints the results of each case, and returns the figures."""
    figures = Figures()
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        stack.train(folder)
        http, rpc, _ = await running.enter_async_context(stack.mlserver(folder))
        plane, beside = Gateway(), {name: free_port() for name in BESIDE.values()}
        plane.publish(table(http, rpc, beside))
        port = await running.enter_async_context(stack.bailie_envoy(folder, plane))
        processes = Processes(
            running.enter_context(pipeline_gateway(folder, port)),
            {ROUTER: running.enter_context(router(folder, beside["router"], port))}
            | {
                variant: running.enter_context(
                    program(name, folder, ("127.0.0.1", beside[BESIDE[variant]]), port)
                )
                for variant, name in PROGRAMS.items()
            },
        )
        url = f"http://127.0.0.1:{port}/v2/models"
        await stack.answers(f"{url}/three.pipeline/ready", folder / GATEWAY_LOG)
        await stack.answers(f"{url}/router/ready", folder / ROUTER_LOG)
        for variant, name in PROGRAMS.items():
            await stack.answers(f"{url}/{BESIDE[variant]}/ready", folder / f"{name}.log")
        for case in itertools.starmap(Case, itertools.product(options.connections, options.protocols)):
            rounds, cpu = await rounds_of(port, case, options=options, processes=processes)
            print(told(case, rounds), flush=True)
            judge(figures, case, rounds, cpu)
        memory = processes.gateway.memory_full_info()
    figures.figure("memory of the gateway's own", memory.uss / 2**20, OWN_MIB, " MiB")
    figures.note("memory of the gateway, with pages that other processes share", memory.rss / 2**20, " MiB")
    return figures


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Returns the options of a run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pipelines", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one round")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--protocols", nargs="+", default=["rest", "grpc"])
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    print("\n".join(asyncio.run(measure(options_of(arguments))).lines))
