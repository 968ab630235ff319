"""Do replicas follow the load, without a lost request?

`bailie up` with a server of four replicas and a Model whose target is 50 requests a second for each. It gets
15 requests a second, half REST and half gRPC, then ten times as many, while the leading scheduler is killed;
then none. Printed are the seconds until more replicas answer, the most replicas, the seconds until the least
are left, and the requests that failed. `--short` leaves out the five minutes before fewer. The parts
`servers` and `zero` are those of `server_scaling`, `asleep` is that of `sleeping_server`. Ends everything
that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL, SERVER
from bailie.kube.client import Client
from bailie.local.demo import model_manifest
from bailie.local.readiness import condition
from benchmarks import failover
from benchmarks.laptop import NAMESPACE, Laptop, laptop, seconds_until, until
from benchmarks.server_scaling import GrowingServer, Sleeper
from benchmarks.sleeping_server import SleepingServer
from benchmarks.steady import steady

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.steady import Steady, Tally

NAME = "iris"
REPLICAS = 4
USUAL, BURST, TARGET = 15.0, 150.0, 50
NEEDED = 3
HOLD_SECONDS = 300.0
PARTS = ("load", "servers", "zero", "asleep")


class Scaled:
    """The Model, its requests, and the claims that did not hold."""

    def __init__(self, client: Client, running: Laptop, requests: Steady) -> None:
        self._client, self._running, self._requests = client, running, requests
        self.sent = self.failed = self.broken = 0
        self.most = 0

    def judged(self, what: str, held: bool, detail: str) -> None:
        """Prints a line, and notes a claim that did not hold."""
        self.broken += not held
        print(f"{'ok  ' if held else 'NOT '} {what}: {detail}", flush=True)

    async def apply(self) -> None:
        """Applies the Model, and waits until it is ready."""
        await self._client.patch(SERVER, "mlserver", NAMESPACE, {"spec": {"replicas": REPLICAS}})
        await until(self._servers, f"{REPLICAS} replicas of the server")
        model = model_manifest(NAMESPACE, NAME, self._running.models)
        model["metadata"]["annotations"] = {"bailie.io/scale": f"rps={TARGET}"}
        model["spec"] |= {"maxReplicas": REPLICAS}
        await self._client.create(model)

        async def ready() -> bool:
            found = await self._client.get(MODEL, NAME, NAMESPACE)
            return bool(condition(found, "Ready")["status"] == "True")

        await until(ready, "the Model is ready")

    async def _servers(self) -> bool:
        found = await self._client.get(SERVER, "mlserver", NAMESPACE)
        states = (found.get("status") or {}).get("replicaStates") or ()
        return sum(bool(each["ready"]) for each in states) == REPLICAS

    async def _status(self) -> dict[str, Any]:
        status: dict[str, Any] = (await self._client.get(MODEL, NAME, NAMESPACE)).get("status") or {}
        self.most = max(self.most, status.get("desiredReplicas") or 0)
        return status

    async def answering(self, replicas: int, seconds: float) -> float:
        """Returns the seconds until so many replicas or more answer."""

        async def look() -> bool:
            return int((await self._status()).get("availableReplicas") or 0) >= replicas

        return await seconds_until(look, f"{replicas} replicas answer", seconds)

    async def fewest(self, seconds: float) -> float:
        """Returns the seconds until one replica is left."""

        async def look() -> bool:
            return int((await self._status()).get("availableReplicas") or 0) == 1

        return await seconds_until(look, "one replica is left", seconds)

    def ask(self, rate: float) -> None:
        """Asks so often a second from now on."""
        self._count(self._requests.take())
        self._requests.send([self._running.expectation(NAME, "iris")] if rate else [], rate or 1.0)

    async def end(self) -> None:
        """Waits for the last answers."""
        await self._requests.stop()
        self._count(self._requests.take())

    def _count(self, found: Tally) -> None:
        self.sent += found.sent
        self.failed += len(found.failures)
        for each in found.failures[:3]:
            print(f"     {each}")


async def measure_servers(options: argparse.Namespace) -> int:
    """Runs the parts about Servers and sleeping Models; returns how many claims did not hold."""
    schedulers = ("--scheduler-replicas", "2") if "asleep" in options.part else ()
    with laptop(*schedulers) as running, steady(running.inference()) as requests:
        async with Client.from_kubeconfig(running.kubeconfig) as client:
            trial = Scaled(client, running, requests)
            if "servers" in options.part:
                await GrowingServer(client, running, requests, trial.judged).measure(short=options.short)
            if "zero" in options.part:
                await Sleeper(client, running, trial.judged).measure(rounds=2 if options.short else 5)
            if "asleep" in options.part:
                await SleepingServer(client, running, trial.judged).measure(rounds=2 if options.short else 5)
            return trial.broken


async def measure(options: argparse.Namespace) -> int:
    """Runs the part about the load of a Model; returns how many claims did not hold."""
    with laptop("--scheduler-replicas", "2") as running, steady(running.inference()) as requests:
        async with Client.from_kubeconfig(running.kubeconfig) as client:
            trial = Scaled(client, running, requests)
            await trial.apply()
            trial.ask(USUAL)
            await asyncio.sleep(40)
            trial.ask(BURST)
            first = await trial.answering(2, 60)
            all_of_them = first + await trial.answering(NEEDED, 60)
            trial.judged("more replicas answer a burst within 10 s", first <= 10, f"{first:.1f} s")
            print(f"     {NEEDED} replicas after {all_of_them:.1f} s")
            _, leader = await failover.Stack(client, running, 2).leader()
            os.kill(leader, signal.SIGKILL)
            await asyncio.sleep(20)
            await trial.answering(NEEDED, 60)
            trial.judged("never more than needed", trial.most == NEEDED, f"{trial.most} of {NEEDED}")
            if not options.short:
                trial.ask(0)
                gone = time.monotonic()
                await trial.fewest(HOLD_SECONDS + 90)
                took = time.monotonic() - gone
                trial.judged("one replica after the load", 300 <= took <= 340, f"{took:.0f} s")
            await trial.end()
            detail = f"{trial.failed} of {trial.sent} failed"
            trial.judged("requests, a killed leader included", not trial.failed, detail)
            return trial.broken


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scaling", description=__doc__)
    parser.add_argument("--short", action="store_true", help="without the five minutes before fewer")
    parser.add_argument("--part", choices=PARTS, action="append", help="one part; may be given again")
    options = parser.parse_args(arguments)
    options.part = options.part or PARTS
    broken = asyncio.run(measure(options)) if "load" in options.part else 0
    broken += asyncio.run(measure_servers(options)) if {"servers", "zero", "asleep"} & {*options.part} else 0
    if broken:
        raise SystemExit(f"{broken} claims did not hold")
