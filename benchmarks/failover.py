"""How soon does another scheduler act when the leader goes, and what is the worse for it?

`bailie up` with three schedulers and 20 models that get 200 requests a second throughout. The leader is
killed, ended or stopped again and again; a Model applied at the same moment must become ready by the next
one. At the end the agent's log is compared with what was applied: each version loaded once, and none
unloaded that was wanted. Ends everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import statistics
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import LEASE, MODEL, POD
from bailie.kube.client import Client
from bailie.local.demo import model_manifest
from bailie.local.readiness import condition, process_id
from benchmarks.laptop import NAMESPACE, Laptop, laptop, until
from benchmarks.results import add_json, keep
from benchmarks.steady import steady

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LEASE_NAME = "seldon-scheduler"
MODELS = 20
LINE = re.compile(r"^(?P<at>\S+Z) \[\w+ *\] (?P<event>.*?) {2,}(?P<pairs>.*)$")


def lines(path: Path) -> Iterator[tuple[datetime, str, dict[str, str]]]:
    """Yields the log lines of a container, of its former processes too: moment, event, values."""
    for each in (path.with_suffix(".previous.log"), path):
        if each.exists():
            for line in each.read_text(errors="replace").splitlines():
                if found := LINE.match(line):
                    pairs = dict(pair.split("=", 1) for pair in found["pairs"].split() if "=" in pair)
                    yield datetime.fromisoformat(found["at"]), found["event"], pairs


class Stack:
    """The namespace under test."""

    def __init__(self, client: Client, laptop: Laptop, schedulers: int) -> None:
        self.client, self.models, self._count = client, laptop.models, schedulers
        self.logs = laptop.state / "logs" / NAMESPACE
        self.applied: set[str] = set()
        self.deleted: set[str] = set()

    async def schedulers(self) -> dict[str, tuple[int | None, bool]]:
        """Returns pid and readiness of each scheduler's pod."""
        labels = "app.kubernetes.io/name=seldon-scheduler"
        found = {}
        for pod in (await self.client.list(POD, NAMESPACE, labels=labels)).items:
            statuses = pod.get("status", {}).get("containerStatuses", [])
            pid = process_id(statuses[0]) if statuses else None
            found[pod["metadata"]["name"]] = (pid, condition(pod, "Ready")["status"] == "True")
        return found

    async def lease(self) -> dict[str, Any]:
        """Returns the lease's spec."""
        return dict((await self.client.get(LEASE, LEASE_NAME, NAMESPACE))["spec"])

    async def leader(self) -> tuple[str, int]:
        """Waits until all schedulers are ready; returns the leader's pod and pid."""

        async def look() -> tuple[str, int] | None:
            found, holder = await self.schedulers(), (await self.lease()).get("holderIdentity", "")
            pid, _ = found.get(holder, (None, False))
            settled = len(found) == self._count and all(ready for _, ready in found.values())
            return (holder, pid) if settled and pid else None

        found = await until(look, "every scheduler ready")
        assert found is not None
        return found

    async def apply(self, name: str) -> None:
        """Applies a Model."""
        self.applied.add(name)
        await self.client.create(model_manifest(NAMESPACE, name, self.models, artifact="iris"))

    async def ready(self, name: str) -> None:
        """Waits until a Model is ready."""

        async def look() -> bool:
            return bool(condition(await self.client.get(MODEL, name, NAMESPACE), "Ready")["status"] == "True")

        await until(look, f"model {name} ready")

    async def delete(self, name: str) -> None:
        """Deletes a Model."""
        self.deleted.add(name)
        await self.client.delete(MODEL, name, NAMESPACE)

    def commanded(self, name: str) -> datetime:
        """Returns when a scheduler sent the load of a Model."""
        paths = self.logs.glob("seldon-scheduler-*/scheduler.log")
        return min(
            at
            for p in paths
            for at, event, pairs in lines(p)
            if event == "load sent" and pairs["model"] == name
        )

    def complaints(self) -> list[str]:
        """Compares the agents' logs with what was applied: returns what was done twice or wrongly."""
        loads: dict[str, int] = {}
        unloads: set[str] = set()
        found = []
        for path in self.logs.glob("mlserver-*/agent.log"):
            for _, event, pairs in lines(path):
                if event == "model moved" and pairs["state"] == "loading":
                    loads[pairs["server_name"]] = loads.get(pairs["server_name"], 0) + 1
                elif event == "model moved" and pairs["state"] == "unloaded":
                    unloads.add(pairs["server_name"].rpartition("_")[0])
                elif event.startswith("command of an older epoch"):
                    found.append(f"a command of epoch {pairs['epoch']} came after {pairs['seen']}")
        found += [f"{name} was loaded {count} times" for name, count in loads.items() if count > 1]
        found += [f"{name} was never loaded" for name in self.applied if f"{name}_1" not in loads]
        found += [f"{name} was unloaded, but not deleted" for name in unloads - self.deleted]
        return found


async def undisturbed(stack: Stack, times: int) -> list[dict[str, float]]:
    """Returns the seconds from applying a Model to Ready under the same load, with the leader left alone."""
    found = []
    for number in range(times):
        await stack.leader()
        started, name = time.monotonic(), f"undisturbed-{number}"
        await stack.apply(name)
        await stack.ready(name)
        found.append({"ready": time.monotonic() - started})
        await stack.delete(name)
    return found


async def change_leader(stack: Stack, how: signal.Signals, name: str) -> dict[str, float]:
    """Sends the leader a signal and returns seconds: to the next term, to its first load, to Ready."""
    _, pid = await stack.leader()
    before, started, clock = await stack.lease(), time.time(), time.monotonic()
    os.kill(pid, how)
    await stack.apply(name)
    await stack.ready(name)
    ready, after = time.monotonic() - clock, await stack.lease()
    if after["leaseTransitions"] <= before["leaseTransitions"]:
        raise RuntimeError("the leader is the one of before")
    led = datetime.fromisoformat(after["acquireTime"]).timestamp() - started
    loaded = stack.commanded(name).timestamp() - started
    await stack.delete(name)
    return {"leads": led, "load sent": loaded, "ready": ready}


async def rounds(stack: Stack, how: signal.Signals, times: int) -> list[dict[str, float]]:
    """Changes the leader; its pod is replaced, so that back-off does not grow from round to round."""
    found = []
    for number in range(times):
        pod, _ = await stack.leader()
        found.append(await change_leader(stack, how, f"{how.name.lower()}-{number}"))
        await stack.client.delete(POD, pod, NAMESPACE, grace_seconds=0)
    return found


async def stop_and_continue(stack: Stack, seconds: float) -> dict[str, Any]:
    """Stops the leader's process for `seconds`, continues it, and returns what it said after."""
    pod, pid = await stack.leader()
    stopped = time.monotonic()
    try:
        found: dict[str, Any] = await change_leader(stack, signal.SIGSTOP, "while-stopped")
        await asyncio.sleep(max(0.0, stopped + seconds - time.monotonic()))
        term = _term(await stack.lease())
    finally:
        os.kill(pid, signal.SIGCONT)
    woken = time.time()
    await stack.apply("after-waking")
    await stack.ready("after-waking")
    await asyncio.sleep(5)
    log = stack.logs / pod / "scheduler.log"
    said = [event for at, event, _ in lines(log) if at.timestamp() > woken and event.endswith(" sent")]
    found["leader unchanged by the one that woke"] = _term(await stack.lease()) == term
    found["commands of the one that woke"] = len(said)
    return found


def _term(lease: dict[str, Any]) -> tuple[str, int]:
    return lease["holderIdentity"], lease["leaseTransitions"]


async def measure(laptop: Laptop, options: argparse.Namespace) -> dict[str, Any]:
    """Runs all rounds under load and returns the figures."""
    async with Client.from_kubeconfig(laptop.kubeconfig) as client:
        stack = Stack(client, laptop, options.schedulers)
        for number in range(MODELS):
            await stack.apply(f"steady-{number}")
        for number in range(MODELS):
            await stack.ready(f"steady-{number}")
        expected = [laptop.expectation(f"steady-{number}", "iris") for number in range(MODELS)]
        with steady(laptop.inference()) as traffic:
            traffic.send(expected, options.rate)
            started = time.monotonic()
            figures: dict[str, Any] = {
                "left alone": await undisturbed(stack, options.ends),
                "killed": await rounds(stack, signal.SIGKILL, options.kills),
                "ended": await rounds(stack, signal.SIGTERM, options.ends),
            }
            if options.stop_seconds:
                figures["stopped"] = await stop_and_continue(stack, options.stop_seconds)
            spent = time.monotonic() - started
            await traffic.stop()
            tally = traffic.take()
        figures["requests"] = tally.figures(spent)
        figures["failures"] = tally.failures
        figures["load average"] = os.getloadavg()
        figures["agents' logs"] = stack.complaints()
    return figures


def told(figures: dict[str, Any]) -> Iterator[str]:
    """Yields the figures as lines."""
    for kind in ("left alone", "killed", "ended"):
        for what in figures[kind][0] if figures[kind] else ():
            values = [each[what] for each in figures[kind]]
            yield (
                f"leader {kind}, seconds until {what}: median {statistics.median(values):.2f}, "
                f"worst {max(values):.2f} of {len(values)}"
            )
    for name in ("stopped", "requests", "agents' logs", "load average"):
        yield f"{name}: {figures.get(name)}"
    yield from figures["failures"][:3]


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks failover", description=__doc__)
    parser.add_argument("--schedulers", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20, help="leaders killed with SIGKILL")
    parser.add_argument("--ends", type=int, default=20, help="leaders ended with SIGTERM")
    parser.add_argument("--stop-seconds", type=float, default=30.0, help="SIGSTOP of a leader; 0 for none")
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second over all models")
    add_json(parser)
    options = parser.parse_args(arguments)
    with laptop("--scheduler-replicas", str(options.schedulers)) as running:
        figures = asyncio.run(measure(running, options))
    print("\n".join(told(figures)), flush=True)
    keep(options, figures)
