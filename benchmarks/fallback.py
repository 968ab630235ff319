"""Does a request fail while models move, one by one, from another mesh to a namespace of their own?

`bailie up` with two namespaces: `old` serves the models; `new` names the mesh of `old` as its `fallbackMesh`
and has the same models, which cannot be loaded yet. Callers ask the mesh of `new` throughout, for each model
over REST and over gRPC, one request after the other. The models of `new` are mended one by one: each caller
must see answers of `old`, then of `new`, and no failure. At the end `fallbackMesh` is taken away. Ends
everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL, SELDON_RUNTIME
from bailie.inference.client import GrpcClient, RestClient, ServerUnreachable
from bailie.kube.client import Client
from bailie.local.demo import model_manifest
from bailie.local.readiness import condition
from bailie.wellknown import headers
from benchmarks.laptop import Laptop, laptop, until
from benchmarks.results import add_json, keep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bailie.inference.client import InferenceClient
    from bailie.local.traffic import Expectation

OLD, NEW = "old", "new"
RUNTIME = "seldon"
CONDITION = "ServedHere"


@dataclass(slots=True)
class Caller:
    """One model over one protocol: its failures, and the versions that answered, each time that changed."""

    client: InferenceClient
    expectation: Expectation
    sent: int = 0
    failures: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    slowest: float = 0.0

    async def ask(self, pause: float) -> None:
        """Asks again and again, until cancelled."""
        while True:
            begun = time.monotonic()
            await self._once()
            self.slowest = max(self.slowest, time.monotonic() - begun)
            await asyncio.sleep(pause)

    async def _once(self) -> None:
        self.sent += 1
        try:
            answer = await self.client.infer(self.expectation.model, self.expectation.request())
        except ServerUnreachable as error:
            self.failures.append(f"{self.expectation.model}: {error}")
            return
        if problem := self.expectation.wrong(answer):
            self.failures.append(f"{self.expectation.model}: {problem}")
        version = answer.headers.get(headers.ROUTE, "")
        if not self.versions or self.versions[-1] != version:
            self.versions.append(version)


class Move:
    """The two namespaces: models move from `old` to `new`."""

    def __init__(self, client: Client, running: Laptop, old: str, new: str) -> None:
        self._client, self._models, self._old, self._new = client, running.models, old, new

    async def prepare(self, names: Sequence[str]) -> None:
        """Has the old namespace serve the models, and the new one pass all of them on."""
        for name in names:
            await self._client.create(model_manifest(self._old, name, self._models, artifact="iris"))
        for name in names:
            await self._ready(self._old, name)
        await self._name_mesh({"namespace": self._old})
        for name in names:
            await self._client.create(model_manifest(self._new, name, self._models, artifact="absent"))
        await self.served_here(len(names))

    async def move(self, name: str) -> float:
        """Mends a model of the new namespace; returns the seconds until it is ready."""
        begun = time.monotonic()
        uri = {"spec": {"storageUri": str(self._models / "iris")}}
        await self._client.patch(MODEL, name, self._new, uri)
        await self._ready(self._new, name)
        return time.monotonic() - begun

    async def served_here(self, elsewhere: int) -> None:
        """Waits until the status counts so many names that the old mesh answers for."""

        async def look() -> bool:
            runtime = await self._client.get(SELDON_RUNTIME, RUNTIME, self._new)
            told = (runtime.get("status") or {}).get("fallback") or {}
            here = condition(runtime, CONDITION)["status"] == "True"
            return told.get("names") == elsewhere and here == (elsewhere == 0)

        await until(look, f"{elsewhere} names answered by {self._old}")

    async def end(self) -> None:
        """Takes the mesh away."""
        await self._name_mesh(None)

        async def look() -> bool:
            return "fallback" not in (await self._client.get(SELDON_RUNTIME, RUNTIME, self._new))["status"]

        await until(look, "no mesh is named any more")

    async def _name_mesh(self, mesh: dict[str, str] | None) -> None:
        await self._client.patch(SELDON_RUNTIME, RUNTIME, self._new, {"spec": {"fallbackMesh": mesh}})

    async def _ready(self, namespace: str, name: str) -> None:
        async def look() -> bool:
            return bool(
                condition(await self._client.get(MODEL, name, namespace), "Ready")["status"] == "True"
            )

        await until(look, f"model {name} of {namespace} ready")


async def measure(
    running: Laptop, options: argparse.Namespace, *, old: str = OLD, new: str = NEW
) -> dict[str, Any]:
    """Moves all models under load and returns the figures."""
    names = [f"moved-{number}" for number in range(options.models)]
    address = running.inference(new)
    clients = RestClient(address["http"]), GrpcClient(address["grpc"])
    callers = [Caller(client, running.expectation(name, "iris")) for name in names for client in clients]
    async with Client.from_kubeconfig(running.kubeconfig) as client:
        move = Move(client, running, old, new)
        await move.prepare(names)
        async with asyncio.TaskGroup() as group:
            pause = len(callers) / options.rate
            asking = [group.create_task(caller.ask(pause)) for caller in callers]
            await until(lambda: _all_asked(callers), "all callers have an answer")
            moved = [await move.move(name) for name in names]
            await move.served_here(0)
            await move.end()
            await asyncio.sleep(options.pause)
            for task in asking:
                task.cancel()
    for each in clients:
        await each.close()
    return {
        "requests": sum(caller.sent for caller in callers),
        "failures": [failure for caller in callers for failure in caller.failures],
        "callers without exactly one switch": [
            f"{caller.expectation.model}: {' '.join(caller.versions)}"
            for caller in callers
            if len(caller.versions) != 2
        ],
        "slowest, s": max(caller.slowest for caller in callers),
        "mended to ready, s": sorted(moved),
        "load average": os.getloadavg(),
    }


async def _all_asked(callers: Sequence[Caller]) -> bool:
    return all(caller.versions for caller in callers)


def told(figures: dict[str, Any]) -> Iterator[str]:
    """Yields the figures as lines."""
    failures, moved = figures["failures"], figures["mended to ready, s"]
    yield f"{figures['requests']} requests, {len(failures)} failed, slowest {figures['slowest, s']:.2f} s"
    yield f"callers without exactly one switch: {figures['callers without exactly one switch']}"
    yield f"a model ready after {moved[len(moved) // 2]:.2f} s (median), {moved[-1]:.2f} s (worst)"
    yield f"load average: {figures['load average']}"
    yield from failures[:3]


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks fallback", description=__doc__)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds after fallbackMesh is taken away")
    parser.add_argument("--rate", type=float, default=250.0, help="requests per second over all models")
    add_json(parser)
    options = parser.parse_args(arguments)
    with laptop(namespaces=(OLD, NEW)) as running:
        figures = asyncio.run(measure(running, options))
    print("\n".join(told(figures)), flush=True)
    keep(options, figures)
