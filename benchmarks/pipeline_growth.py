"""What more pipelines cost: the next one's way to Ready, a request to one, and the memory of the gateway.

    python -m benchmarks pipeline-growth [--few 10] [--many 1000] [--more 10] [--requests 500]

`bailie up` with three models, and pipelines of three steps over them. Requests to one pipeline, and to a
model of it in turn, are timed with few pipelines and with many (`pipeline-numbers` has both at one time).
Then more pipelines are applied one by one, each after the one before is Ready. Ends all that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from typing import TYPE_CHECKING, Any

import psutil

from bailie.api.kinds import MODEL, PIPELINE
from bailie.inference.client import RestClient
from bailie.kube.client import Client
from bailie.local.demo import model_manifest
from bailie.local.readiness import condition
from benchmarks.figures import Figures
from benchmarks.laptop import NAMESPACE, Laptop, laptop, until
from benchmarks.results import add_json, keep

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bailie.local.traffic import Expectation

STEPS = ("a", "b", "c")
PATIENCE = 600.0
_AT_A_TIME = 8
_MIB = 1 << 20
_GATEWAY = "pipelinegateway"
READY_MS, MANY_MIB = 500.0, 150.0


def pipeline(name: str, steps: Sequence[str] = STEPS, **fields: object) -> dict[str, Any]:
    """Returns a Pipeline whose steps each have the request's data and wait for the step before."""
    waiting = [
        {"name": step, **({"triggers": [f"{steps[at - 1]}.outputs"]} if at else {})}
        for at, step in enumerate(steps)
    ]
    return {
        "apiVersion": PIPELINE.api_version,
        "kind": PIPELINE.kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"steps": waiting, "output": {"steps": [steps[-1]]}, **fields},
    }


class Pipelines:
    """The models and pipelines of the namespace."""

    def __init__(self, client: Client, models: Path) -> None:
        self.client, self._models = client, models

    async def serve_models(self) -> None:
        """Has the models of the steps answer."""
        for name in STEPS:
            await self.client.create(model_manifest(NAMESPACE, name, self._models, artifact="iris"))
        for name in STEPS:
            await until(lambda name=name: self.model_ready(name), f"model {name} ready")  # type: ignore[misc]

    async def model_ready(self, name: str) -> bool:
        """Says whether the newest spec of a Model answers."""
        return _ready(await self.client.get(MODEL, name, NAMESPACE))

    async def ready(self, name: str) -> bool:
        """Says whether the newest spec of a Pipeline answers."""
        return _ready(await self.client.get(PIPELINE, name, NAMESPACE))

    async def add(self, names: Sequence[str]) -> float:
        """Applies pipelines, several at a time; returns the seconds until all are Ready."""
        begun, turns = time.monotonic(), asyncio.Semaphore(_AT_A_TIME)

        async def create(name: str) -> None:
            async with turns:
                await self.client.create(pipeline(name))

        await asyncio.gather(*map(create, names))

        async def all_ready() -> bool:
            found = (await self.client.list(PIPELINE, NAMESPACE)).items
            return sum(map(_ready, found)) == len(found)

        await until(all_ready, f"{len(names)} pipelines ready", PATIENCE)
        return time.monotonic() - begun

    async def add_one(self, name: str) -> float:
        """Applies a pipeline; returns the seconds until it is Ready."""
        begun = time.monotonic()
        await self.client.create(pipeline(name))
        await until(lambda: self.ready(name), f"pipeline {name} ready")
        return time.monotonic() - begun


def _ready(manifest: dict[str, Any]) -> bool:
    status = manifest.get("status") or {}
    newest = status.get("observedGeneration") == manifest["metadata"].get("generation")
    return bool(newest and condition(manifest, "Ready")["status"] == "True")


async def latencies(client: RestClient, asked: Sequence[Expectation], requests: int) -> list[float]:
    """Returns the median in ms of requests to each, in turn and one after the other.

    Raises RuntimeError for a wrong answer.
    """
    taken: dict[str, list[float]] = {each.model: [] for each in asked}
    for _ in range(requests):
        for each in asked:
            begun = time.perf_counter()
            answer = await client.infer(each.model, each.request())
            taken[each.model].append(time.perf_counter() - begun)
            if problem := each.wrong(answer):
                raise RuntimeError(problem)
    return [1e3 * statistics.median(each) for each in taken.values()]


def gateways(state: Path) -> list[psutil.Process]:
    """Returns the pipeline gateways of a laptop, which have its folder in their environment."""
    own = [each for each in psutil.process_iter(["cmdline"]) if _GATEWAY in (each.info["cmdline"] or ())]
    return [each for each in own if str(state) in str(each.environ())]


async def measure(running: Laptop, options: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures."""
    asked = [running.expectation(name, "iris") for name in ("p-0.pipeline", STEPS[0])]
    rest = RestClient(running.inference()["http"])
    names = [f"p-{number}" for number in range(options.many + options.more)]
    async with Client.from_kubeconfig(running.kubeconfig) as client:
        pipelines = Pipelines(client, running.models)
        await pipelines.serve_models()
        await pipelines.add(names[: options.few])
        await latencies(rest, asked, options.requests)  # connections and processors get warm
        few, model = await latencies(rest, asked, options.requests)
        took = await pipelines.add(names[options.few : options.many])
        many, model_then = await latencies(rest, asked, options.requests)
        memory = max(each.memory_info().rss for each in gateways(running.state))
        one_more = [await pipelines.add_one(name) for name in names[options.many :]]
    await rest.close()
    return {
        "pipelines": options.many,
        "all ready, s": took,
        "one more ready, ms": sorted(1e3 * seconds for seconds in one_more),
        "p50 with few, ms": few,
        "p50 with many, ms": many,
        "of a model's, with many over with few": (many / model_then) / (few / model),
        "memory of the gateway, MiB": memory / _MIB,
        "load average": os.getloadavg(),
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures of a `bailie up` that ends with it."""
    with laptop() as running:
        return asyncio.run(measure(running, options))


def judged(figures: dict[str, Any]) -> Figures:
    """Returns the figures beside their bars."""
    found = Figures()
    more = figures["one more ready, ms"]
    few, many = figures["p50 with few, ms"], figures["p50 with many, ms"]
    ratio = figures["of a model's, with many over with few"]
    count = figures["pipelines"]
    found.note(f"{count} pipelines of three steps, the last ready after", figures["all ready, s"], " s")
    found.figure(f"one more beside {count}, applied to Ready, median", more[len(more) // 2], READY_MS, " ms")
    found.note("the slowest of these", more[-1], " ms")
    found.note(f"p50 of one beside {count}, of that beside few some minutes before", many / few)
    found.note("the same, each measured by the p50 of a model asked in turn", ratio)
    memory = figures["memory of the gateway, MiB"]
    found.figure(f"memory of the gateway with {count}, resident", memory, MANY_MIB, " MiB")
    return found


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Returns the options of a run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pipeline-growth", description=__doc__)
    parser.add_argument("--few", type=int, default=10)
    parser.add_argument("--many", type=int, default=1_000)
    parser.add_argument("--more", type=int, default=10, help="pipelines applied one by one at the end")
    parser.add_argument("--requests", type=int, default=500, help="requests of one measurement")
    add_json(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    options = options_of(arguments)
    figures = run(options)
    print("\n".join(judged(figures).lines), f"load average: {figures['load average']}", sep="\n", flush=True)
    keep(options, figures)
