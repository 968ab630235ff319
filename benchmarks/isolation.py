"""Does the trouble of one part reach the others: an operator that is down, a namespace that is dead?

`bailie up` with ten namespaces, each with its own scheduler, Envoy, agent and MLServer; all of it real. First
the operator is killed again and again: in every namespace a Model is created, asked, changed and deleted
meanwhile. Then everything in one namespace is killed again and again: the others get requests throughout, and
the operator is given something to reconcile there. Ends everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import statistics
import time
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL, POD, SERVER
from bailie.inference.client import RestClient
from bailie.kube.client import Client
from bailie.kube.errors import NotFound
from bailie.local.demo import model_manifest
from bailie.local.readiness import condition, is_current, process_id
from bailie.local.settings import OPERATOR_NAMESPACE
from bailie.local.status import inference_address
from bailie.local.traffic import Tally, stream, wrong_answer
from benchmarks.laptop import Laptop, laptop, seconds_until
from benchmarks.results import add_json, keep

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

STEADY, PASSING = "steady", "passing"


class Stack:
    """All namespaces."""

    def __init__(self, client: Client, laptop: Laptop, namespaces: Sequence[str]) -> None:
        self.client, self.laptop, self.namespaces = client, laptop, tuple(namespaces)
        self._rest: dict[str, RestClient] = {}

    async def rest(self, namespace: str) -> RestClient:
        """Returns a client on the namespace's data plane."""
        if namespace not in self._rest:
            address = await inference_address(self.client, namespace)
            self._rest[namespace] = RestClient(f"http://{address}")
        return self._rest[namespace]

    async def close(self) -> None:
        """Closes the clients."""
        for client in self._rest.values():
            await client.close()

    async def apply(self, namespace: str, name: str, artifact: str) -> float:
        """Applies a Model and returns the seconds until it is ready."""
        manifest = model_manifest(namespace, name, self.laptop.models, artifact=artifact)
        await self.client.apply(manifest, field_manager="benchmark", force=True)

        async def ready() -> bool:
            model = await self.client.get(MODEL, name, namespace)
            return bool(condition(model, "Ready")["status"] == "True" and is_current(model))

        return await seconds_until(ready, f"{namespace}/{name} ready")

    async def delete(self, namespace: str, name: str) -> float:
        """Deletes a Model and returns the seconds until it is gone."""
        await self.client.delete(MODEL, name, namespace)

        async def gone() -> bool:
            with contextlib.suppress(NotFound):
                await self.client.get(MODEL, name, namespace)
                return False
            return True

        return await seconds_until(gone, f"{namespace}/{name} gone")

    async def pids(self, namespace: str) -> set[int]:
        """Returns the processes of all pods of the namespace."""
        pods = (await self.client.list(POD, namespace)).items
        statuses = [each for pod in pods for each in (pod.get("status") or {}).get("containerStatuses") or ()]
        return {pid for pid in map(process_id, statuses) if pid is not None}

    async def reconcile(self, namespace: str, number: int) -> float:
        """Changes a field of the Server that no pod sees; returns the seconds until the operator has."""
        changed = await self.client.patch(
            SERVER, "mlserver", namespace, {"spec": {"maxReplicas": 5 + number % 2}}
        )
        generation = changed["metadata"]["generation"]

        async def seen() -> bool:
            server = await self.client.get(SERVER, "mlserver", namespace)
            return bool((server.get("status") or {}).get("observedGeneration") == generation)

        return await seconds_until(seen, f"{namespace} reconciled")


@contextlib.asynccontextmanager
async def dead(stack: Stack, namespace: str) -> AsyncIterator[list[int]]:
    """Kills every process of the namespace as soon as it is there, until the block ends; yields the kills."""
    killed: list[int] = []

    async def kill() -> None:
        while True:
            for pid in await stack.pids(namespace):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
            await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(kill())
        yield killed
        task.cancel()


async def without_operator(stack: Stack, seconds: float) -> dict[str, Any]:
    """Returns how Models fare in every namespace while no operator lives."""
    ends = time.monotonic() + seconds
    found: dict[str, list[float]] = {"created": [], "changed": [], "deleted": []}
    wrong: list[str] = []

    async def cycles(namespace: str) -> None:
        while time.monotonic() < ends:
            for step, artifact in (("created", "iris"), ("changed", "petal-width")):
                found[step].append(await stack.apply(namespace, PASSING, artifact))
                expectation = stack.laptop.expectation(PASSING, artifact)
                problem = await wrong_answer(await stack.rest(namespace), expectation)
                wrong.extend([f"{namespace} {step}: {problem}"] if problem else [])
            found["deleted"].append(await stack.delete(namespace, PASSING))

    async with dead(stack, OPERATOR_NAMESPACE) as killed:
        await asyncio.gather(*map(cycles, stack.namespaces))
    return {"seconds": found, "wrong answers": wrong, "operators killed": len(killed)}


async def latencies(stack: Stack, namespaces: Sequence[str], seconds: float) -> list[float]:
    """Reconciles in one namespace after the other."""
    ends, found, number = time.monotonic() + seconds, [], 0
    while time.monotonic() < ends:
        found.append(await stack.reconcile(namespaces[number % len(namespaces)], number // len(namespaces)))
        number += 1
        await asyncio.sleep(0.2)
    return found


async def without_namespace(stack: Stack, seconds: float, rate: float) -> dict[str, Any]:
    """Returns what the others notice of a namespace in which nothing lives."""
    gone, *others = stack.namespaces
    stop = asyncio.Event()
    clients = {namespace: await stack.rest(namespace) for namespace in others}
    expectation = stack.laptop.expectation(STEADY, "iris")
    for namespace in others:
        await stack.reconcile(namespace, 1)  # the operator of before may be still on its way back
    async with asyncio.TaskGroup() as group:
        requests = group.create_task(stream(clients, expectation, per_second=rate, stop=stop))
        before = await latencies(stack, others, seconds / 2)
        async with dead(stack, gone) as killed:
            during = await latencies(stack, others, seconds)
        stop.set()
    rest = await stack.rest(gone)

    async def answers() -> bool:
        return not await wrong_answer(rest, expectation)

    return {
        "requests": _sum(requests.result().values()),
        "reconciled before": before,
        "reconciled during": during,
        "processes killed": len(killed),
        "answers again after, s": await seconds_until(answers, f"{gone} answers again", 300),
    }


def _sum(tallies: Any) -> dict[str, Any]:
    every: list[Tally] = list(tallies)
    failures = [failure for tally in every for failure in tally.failures]
    return {"sent": sum(tally.sent for tally in every), "failed": len(failures), "first": failures[:3]}


async def measure(laptop: Laptop, options: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures."""
    namespaces = _names(options.namespaces)
    async with Client.from_kubeconfig(laptop.kubeconfig) as client:
        stack = Stack(client, laptop, namespaces)
        try:
            for namespace in namespaces:
                await stack.apply(namespace, STEADY, "iris")
            figures = {
                "operator down": await without_operator(stack, options.seconds),
                "namespace down": await without_namespace(stack, options.seconds, options.rate),
            }
        finally:
            await stack.close()
    return {**figures, "load average": os.getloadavg()}


def _names(count: int) -> tuple[str, ...]:
    return tuple(f"team-{number}" for number in range(count))


def told(figures: dict[str, Any], namespaces: int) -> Iterator[str]:
    """Yields the figures as lines."""
    down = figures["operator down"]
    for step, values in down["seconds"].items():
        yield f"operator down, Models {step}: {_line(values)} in {namespaces} namespaces"
    wrong = down["wrong answers"]
    yield f"operator down: {len(wrong)} wrong answers {wrong[:3]}, killed {down['operators killed']} times"
    other = figures["namespace down"]
    for when in ("before", "during"):
        yield f"one namespace down, reconcile in the others {when}: {_line(other[f'reconciled {when}'])}"
    yield f"one namespace down, requests to the others: {other['requests']}"
    yield (
        f"killed {other['processes killed']} of its processes; "
        f"it answers again after {other['answers again after, s']:.1f} s"
    )
    yield f"load average: {figures['load average']}"


def _line(values: Sequence[float]) -> str:
    if not values:
        return "none"
    ordered = sorted(values)
    return (
        f"{len(values)}, median {statistics.median(values):.3f} s, "
        f"95 % below {ordered[int(len(ordered) * 0.95)]:.3f} s, worst {ordered[-1]:.3f} s"
    )


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks isolation", description=__doc__)
    parser.add_argument("--namespaces", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each is kept dead")
    parser.add_argument("--rate", type=float, default=5.0, help="requests per second to each namespace")
    add_json(parser)
    options = parser.parse_args(arguments)
    with laptop(namespaces=_names(options.namespaces)) as running:
        figures = asyncio.run(measure(running, options))
    print("\n".join(told(figures, options.namespaces)), flush=True)
    keep(options, figures)
