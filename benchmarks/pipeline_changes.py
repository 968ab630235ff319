"""Does a request to a pipeline fail while all around it changes?

    python -m benchmarks pipeline-changes [--rate 100]

`bailie up` with two schedulers, three models and pipelines over them, one of which is asked at a steady rate.
Meanwhile: a rollout of a step's model, a change of the pipeline, gateways 2 -> 1 -> 3, the leading
scheduler killed, an Experiment over pipelines made and deleted. No request may fail, and no answer after
Ready may be of an older version. Ends everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import EXPERIMENT, MODEL, PIPELINE, SERVER
from bailie.inference.client import RestClient, ServerUnreachable
from bailie.kube.client import Client
from bailie.local.readiness import condition
from bailie.wellknown import headers, names
from benchmarks.failover import Stack
from benchmarks.figures import Figures
from benchmarks.laptop import NAMESPACE, Laptop, laptop, until
from benchmarks.pipeline_growth import Pipelines, pipeline
from benchmarks.results import add_json, keep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.local.traffic import Expectation

NAME, OTHER = "chain", "other"
CALLERS = 10
Act = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class PipelineCallers:
    """Callers at a steady rate: requests, failures, and the version that answered each request, in order."""

    client: RestClient
    asked: Expectation
    sent: int = 0
    failures: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    async def ask(self, pause: float) -> None:
        """Asks again and again, until cancelled: a request every `pause` seconds, however long one takes."""
        due = time.monotonic()
        while True:
            await self._once()
            due = max(due + pause, time.monotonic() - 1)
            await asyncio.sleep(max(due - time.monotonic(), 0))

    async def _once(self) -> None:
        self.sent += 1
        try:
            answer = await self.client.infer(self.asked.model, self.asked.request())
        except ServerUnreachable as error:
            self.failures.append(str(error))
            return
        if problem := self.asked.wrong(answer):
            self.failures.append(problem)
        self.versions.append(answer.headers.get(headers.PIPELINE_VERSION, ""))


class Changes:
    """Each change, and the wait for its end."""

    def __init__(self, client: Client, running: Laptop, callers: PipelineCallers) -> None:
        self._client, self._callers = client, callers
        self._schedulers = Stack(client, running, schedulers=2)
        self._pipelines = Pipelines(client, running.models)
        self.old: int = 0
        """Answers of an older version after Ready."""

    async def prepare(self) -> None:
        """Has two gateways answer for the pipelines."""
        await self._pipelines.serve_models()
        await self._pipelines.add([NAME, OTHER])
        await self._scale(2)

    async def rollout(self) -> None:
        """Changes the model of a step."""
        body = {"spec": {"parameters": [{"name": "changed", "value": "yes"}]}}
        await self._client.patch(MODEL, "b", NAMESPACE, body)
        await until(lambda: self._pipelines.model_ready("b"), "the new version of the model")

    async def change(self) -> None:
        """Changes the pipeline."""
        changed = pipeline(NAME)["spec"]
        changed["steps"][0]["joinWindowMs"] = 7_000
        await self._client.patch(PIPELINE, NAME, NAMESPACE, {"spec": changed})
        await until(lambda: self._pipelines.ready(NAME), "the new version of the pipeline")
        begun = len(self._callers.versions) + CALLERS  # those on their way at this moment do not count
        await until(self._many_more(begun), "answers of the new version")
        self.old += sum(each != "2" for each in self._callers.versions[begun:])

    async def scale(self) -> None:
        """Runs one gateway, then three."""
        await self._scale(1)
        await self._scale(3)

    async def kill(self) -> None:
        """Kills the leading scheduler, and waits until another one leads."""
        before, pid = await self._schedulers.leader()
        os.kill(pid, signal.SIGKILL)

        async def another() -> bool:
            return bool((await self._schedulers.lease()).get("holderIdentity", "") not in {"", before})

        await until(another, "another leader")
        await until(lambda: self._pipelines.ready(NAME), "the pipeline under another leader")

    async def share(self) -> None:
        """Shares the callers with another pipeline, and ends that."""
        candidates = [{"name": NAME, "weight": 1}, {"name": OTHER, "weight": 1}]
        spec = {"resourceType": "pipeline", "default": NAME, "candidates": candidates}
        metadata = {"name": "shared", "namespace": NAMESPACE}
        kind = {"apiVersion": EXPERIMENT.api_version, "kind": EXPERIMENT.kind}
        await self._client.create({**kind, "metadata": metadata, "spec": spec})

        async def ready() -> bool:
            found = await self._client.get(EXPERIMENT, "shared", NAMESPACE)
            return bool(condition(found, "Ready")["status"] == "True")

        await until(ready, "the experiment")
        await until(self._many_more(len(self._callers.versions)), "answers of both")
        await self._client.delete(EXPERIMENT, "shared", NAMESPACE)

    def _many_more(self, begun: int) -> Callable[[], Awaitable[bool]]:
        async def look() -> bool:
            return len(self._callers.versions) > begun + 100

        return look

    async def _scale(self, replicas: int) -> None:
        await self._client.patch(SERVER, names.PIPELINE_GATEWAY, NAMESPACE, {"spec": {"replicas": replicas}})

        async def there() -> bool:
            status = (await self._client.get(SERVER, names.PIPELINE_GATEWAY, NAMESPACE)).get("status") or {}
            ready = [each for each in status.get("replicaStates", ()) if each.get("ready")]
            return len(ready) == replicas == status.get("replicas")

        await until(there, f"{replicas} gateways")
        await until(lambda: self._pipelines.ready(NAME), "the pipeline after a change of the gateways")


async def measure(running: Laptop, options: argparse.Namespace) -> dict[str, Any]:
    """Makes each change under load and returns the figures."""
    client = RestClient(running.inference()["http"])
    callers = PipelineCallers(client, running.expectation(f"{NAME}.pipeline", "iris"))
    failed: dict[str, int] = {}
    async with Client.from_kubeconfig(running.kubeconfig) as api:
        changes = Changes(api, running, callers)
        await changes.prepare()
        acts: dict[str, Act] = {
            "rollout of a step's model": changes.rollout,
            "change of the pipeline": changes.change,
            "gateways 2 -> 1 -> 3": changes.scale,
            "scheduler killed": changes.kill,
            "experiment made and deleted": changes.share,
        }
        async with asyncio.TaskGroup() as group:
            begun = time.monotonic()
            asking = [group.create_task(callers.ask(CALLERS / options.rate)) for _ in range(CALLERS)]
            for what, act in acts.items():
                before = len(callers.failures)
                await act()
                failed[what] = len(callers.failures) - before
            seconds = time.monotonic() - begun
            for task in asking:
                task.cancel()
    await client.close()
    return {
        "requests": callers.sent,
        "requests per second": callers.sent / seconds,
        "failed": failed,
        "failures": callers.failures,
        "old answers after Ready": changes.old,
        "load average": os.getloadavg(),
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures of a `bailie up` that ends with it."""
    with laptop("--scheduler-replicas", "2") as running:
        return asyncio.run(measure(running, options))


def judged(figures: dict[str, Any]) -> Figures:
    """Returns the figures beside their bars."""
    found = Figures()
    found.note("requests a second while all changes", figures["requests per second"])
    found.nothing(f"failed of {figures['requests']} requests", figures["failures"])
    found.lines += [f"  {what}: {count} failed" for what, count in figures["failed"].items()]
    found.figure("answers of an old version after Ready", figures["old answers after Ready"], 0)
    return found


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Returns the options of a run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pipeline-changes", description=__doc__)
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    add_json(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    options = options_of(arguments)
    figures = run(options)
    print("\n".join(judged(figures).lines), f"load average: {figures['load average']}", sep="\n", flush=True)
    keep(options, figures)
