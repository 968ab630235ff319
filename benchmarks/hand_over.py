"""What does a namespace notice when it changes from a central scheduler to one of its own, and back?

`bailie up` with two namespaces: `mesh` has the central scheduler, `team` has 20 models on two servers of one
replica each, which get 250 requests a second throughout, half REST and half gRPC. `schedulerNamespace` of the
team is emptied and set again; after each change a new Model must become ready by the scheduler that has the
namespace now. At the end the agents' logs and the pods are compared with those of before: nothing may have
been loaded twice, unloaded or restarted. With `--simulated` there are only schedulers, and simulated replicas
that have as many models as `--models` says. Ends everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from typing import TYPE_CHECKING, Any, TypeAlias

from bailie.api.kinds import LEASE, MODEL, POD, SELDON_RUNTIME, SERVER
from bailie.kube.client import Client
from bailie.kube.errors import NotFound
from bailie.local.demo import model_manifest
from bailie.local.readiness import condition
from bailie.wellknown import names
from benchmarks import simulated_hand_over
from benchmarks.failover import lines
from benchmarks.laptop import Laptop, laptop, until
from benchmarks.results import add_json, keep
from benchmarks.simulated_hand_over import TO_ITS_OWN, TO_THE_CENTRAL_ONE
from benchmarks.steady import steady

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CENTRAL, TEAM = "mesh", "team"
SERVERS = ("mlserver", "second")
RUNTIME = "seldon"
Seen: TypeAlias = "tuple[dict[str, Any], dict[str, int]]"


class Team:
    """The namespace that changes its scheduler."""

    def __init__(self, client: Client, laptop: Laptop) -> None:
        self.client, self._laptop = client, laptop

    async def prepare(self, models: int) -> list[str]:
        """Applies servers and Models, and has the central scheduler serve the team, where people come from;
        returns the Models. Where another measurement has left it so, nothing is left to do."""
        found = [f"steady-{number}" for number in range(models)]
        if await self.holder() == f"{CENTRAL}/{names.SCHEDULER}":
            return found
        served = {"spec": {"servesNamespaces": [TEAM]}}
        await self.client.patch(SELDON_RUNTIME, RUNTIME, CENTRAL, served)
        second = await self.client.get(SERVER, SERVERS[0], TEAM)
        metadata = {"name": SERVERS[1], "namespace": TEAM}
        await self.client.create({**second, "metadata": metadata, "status": {}})
        for number, name in enumerate(found):
            await self.apply(name, SERVERS[number % 2])
        for name in found:
            await self.ready(name)
        await self.change(CENTRAL, "probe-first")
        return found

    async def apply(self, name: str, server: str = SERVERS[0]) -> None:
        """Applies a Model to one of the servers."""
        model = model_manifest(TEAM, name, self._laptop.models, artifact="iris")
        await self.client.create({**model, "spec": {**model["spec"], "server": server}})

    async def ready(self, name: str) -> None:
        """Waits until a Model is ready."""

        async def look() -> bool:
            return bool(condition(await self.client.get(MODEL, name, TEAM), "Ready")["status"] == "True")

        await until(look, f"model {name} ready")

    async def holder(self) -> str:
        """Returns who has the Lease of the namespace's scheduler."""
        try:
            return str((await self.client.get(LEASE, names.SCHEDULER, TEAM))["spec"]["holderIdentity"])
        except NotFound:
            return ""

    async def processes(self) -> dict[str, Any]:
        """Returns uid and restarts of each pod of the team's servers and Envoys."""
        pods = (await self.client.list(POD, TEAM)).items
        return {
            pod["metadata"]["name"]: (
                pod["metadata"]["uid"],
                sum(each["restartCount"] for each in pod["status"]["containerStatuses"]),
            )
            for pod in pods
            if not pod["metadata"]["name"].startswith(names.SCHEDULER)
        }

    def moves(self) -> dict[str, int]:
        """Returns how often the agents have begun to load each version, and to unload any."""
        found: dict[str, int] = {}
        for path in (self._laptop.state / "logs" / TEAM).glob("*/agent.log"):
            for _, event, pairs in lines(path):
                if event == "model moved" and pairs["state"] in {"loading", "unloading"}:
                    name = f"{pairs['state']} {pairs['server_name']}"
                    found[name] = found.get(name, 0) + 1
        return found

    async def seen(self) -> Seen:
        """Returns the pods and the moves, to be compared with those of another moment."""
        return await self.processes(), self.moves()

    async def change(self, scheduler_namespace: str, probe: str) -> dict[str, float]:
        """Changes the scheduler; returns the seconds until it leads, and until a new Model is ready."""
        before, started = await self.holder(), time.monotonic()
        wanted = {"spec": {"schedulerNamespace": scheduler_namespace or None}}
        await self.client.patch(SELDON_RUNTIME, RUNTIME, TEAM, wanted)

        async def led() -> bool:
            return await self.holder() not in {"", before}

        await until(led, "another scheduler leads")
        leads = time.monotonic() - started
        await self.apply(probe)
        await self.ready(probe)
        return {"leads": leads, "new Model ready": time.monotonic() - started}


def disturbances(before: Seen, after: Seen) -> dict[str, int]:
    """Returns how many pods of servers and Envoys did not last, and how many models moved."""
    pods, moves = before
    return {
        "pods restarted or replaced": sum(pods[pod] != after[0].get(pod) for pod in pods),
        "loads and unloads besides the new Models'": sum(
            count - moves.get(name, 0) for name, count in after[1].items() if "probe" not in name
        ),
    }


async def measure(running: Laptop, options: argparse.Namespace) -> dict[str, Any]:
    """Changes the scheduler again and again under load and returns the figures."""
    async with Client.from_kubeconfig(running.kubeconfig) as client:
        team = Team(client, running)
        models = await team.prepare(options.models)
        expected = [running.expectation(name, "iris") for name in models]
        before = await team.seen()
        figures: dict[str, Any] = {TO_ITS_OWN: [], TO_THE_CENTRAL_ONE: []}
        with steady(running.inference(TEAM)) as traffic:
            traffic.send(expected, options.rate)
            started = time.monotonic()
            for number in range(options.rounds):
                for kind, target in ((TO_ITS_OWN, ""), (TO_THE_CENTRAL_ONE, CENTRAL)):
                    await asyncio.sleep(options.pause)
                    figures[kind].append(await team.change(target, f"probe-{number}-{target or TEAM}"))
            await asyncio.sleep(options.pause)
            spent = time.monotonic() - started
            await traffic.stop()
            tally = traffic.take()
        figures |= disturbances(before, await team.seen())
    figures["requests"] = tally.figures(spent)
    figures["failures"] = tally.failures
    figures["load average"] = os.getloadavg()
    return figures


def told(figures: dict[str, Any]) -> Iterator[str]:
    """Yields the figures as lines."""
    for kind in (TO_ITS_OWN, TO_THE_CENTRAL_ONE):
        for what in figures[kind][0]:
            values = [each[what] for each in figures[kind]]
            yield (
                f"{kind}, seconds until {what}: median {statistics.median(values):.2f}, "
                f"worst {max(values):.2f} of {len(values)}"
            )
    for name, value in figures.items():
        if name not in {TO_ITS_OWN, TO_THE_CENTRAL_ONE, "failures"}:
            yield f"{name}: {value}"
    yield from figures.get("failures", ())[:3]


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks hand-over", description=__doc__)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--simulated", action="store_true", help="on simulated replicas, without requests")
    parser.add_argument("--rounds", type=int, default=5, help="changes to its own and back")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two changes")
    parser.add_argument("--rate", type=float, default=250.0, help="requests per second over all models")
    add_json(parser)
    options = parser.parse_args(arguments)
    if options.simulated:
        figures = asyncio.run(simulated_hand_over.measure(options, lambda line: print(line, flush=True)))
    else:
        with laptop(namespaces=(CENTRAL, TEAM)) as running:
            figures = asyncio.run(measure(running, options))
    print("\n".join(told(figures)), flush=True)
    keep(options, figures)
