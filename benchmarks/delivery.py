"""Deliveries under traffic: is a candidate that begins to fail taken back, and a good one promoted?

`bailie up` with two schedulers and two Models of which each fails or hangs while a file is there; 100
requests a second, half REST and half gRPC, to an Experiment that is a delivery. In turn, again and again: a
good candidate until it is promoted, one that begins to fail at 20 %, one that begins to hang, whose callers
leave after a second, and all of them with the leading scheduler killed on the way. Printed are the seconds
until the last failed request, and the requests that failed beside the candidate's share of all. Ends
everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import time
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import EXPERIMENT, MODEL
from bailie.kube.client import Client
from bailie.local.readiness import condition, is_current
from benchmarks import failover
from benchmarks.laptop import NAMESPACE, Laptop, laptop, until
from benchmarks.rollout import REQUEST
from benchmarks.share_callers import SIGMAS, ShareCallers, ShareNotes, ShareTask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

NAME = "delivered"
OLD, NEW = "of-old", "of-new"
BREAKABLE = """
import asyncio
from pathlib import Path
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput
class Breakable(MLModel):
    async def predict(self, payload):
        if Path({flag!r}).exists():
            if "hangs" in Path({flag!r}).read_text():
                await asyncio.sleep(60)
            raise RuntimeError("as the benchmark wants it")
        answer = ResponseOutput(name="out", shape=[1], datatype="INT64", data=[1])
        return InferenceResponse(model_name=self.name, outputs=[answer])
"""
RATE = 100.0
SHARE = 20
BACK_SECONDS = 10.0
PATIENCE = 1.0
"""Seconds after which a caller leaves who has no answer."""
WAYS = {"fail": "MoreErrors", "hang": "MoreCancelled"}
"""How a candidate goes wrong, and the reason for which it is taken back."""
GOOD = f"steps={SHARE}%:5s,50%:5s max-more-errors=2%"
LONG = f"steps={SHARE}%:1h max-more-errors=2%"


def breakable(folder: Path) -> Path:
    """Writes a Model that fails while a file beside its folder exists, or hangs where the file says so.

    Returns the path of that file.
    """
    flag = folder.with_name(f"{folder.name}-fails")
    folder.mkdir(parents=True)
    (folder / "breakable.py").write_text(BREAKABLE.format(flag=str(flag)))
    return flag


@dataclass(frozen=True, slots=True)
class Failing:
    """The requests of the seconds in which the candidate failed: until the last failed one, and how many."""

    seconds: float
    failed: int
    sent: int

    @property
    def allowed(self) -> float:
        """The most failed requests that the candidate's share of all explains."""
        share = SHARE / 100
        return self.sent * share + SIGMAS * sqrt(self.sent * share * (1 - share))


@dataclass(slots=True)
class Trial:
    """The objects of one run, its callers, and the claims that did not hold."""

    client: Client
    running: Laptop
    callers: ShareCallers
    flag: Path
    broken: int = 0

    def judged(self, what: str, held: bool, detail: str) -> None:
        """Prints a line, and notes a claim that did not hold."""
        self.broken += not held
        print(f"{'ok  ' if held else 'NOT '} {what}: {detail}", flush=True)

    async def apply(self, kind: Any, name: str, spec: Any, **annotations: str) -> None:
        """Applies an object without a wait."""
        metadata = {"name": name, "namespace": NAMESPACE, "annotations": annotations}
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}
        await self.client.apply(body, field_manager="delivery", force=True)

    async def model(self, name: str, folder: Path) -> None:
        """Applies a Model and waits until it is ready."""
        await self.apply(
            MODEL, name, {"storageUri": str(folder), "requirements": ["python"], "memory": "1Mi"}
        )

        async def ready() -> bool:
            found = await self.client.get(MODEL, name, NAMESPACE)
            return condition(found, "Ready")["status"] == "True" and is_current(found)

        await until(ready, f"Model {name} ready")

    async def deliver(self, steps: str) -> None:
        """Begins a delivery; the Experiment is made anew, so that nothing of the one before is left."""
        candidates = [{"name": OLD, "weight": 1}, {"name": NEW, "weight": 1}]
        spec = {"default": OLD, "candidates": candidates}
        await self.apply(EXPERIMENT, NAME, spec, **{"bailie.io/progressive": steps})

    async def says(self, reason: str, seconds: float = 120.0) -> str:
        """Waits until the condition has the reason; returns its message."""

        async def look() -> str:
            found = condition(await self.client.get(EXPERIMENT, NAME, NAMESPACE), "Delivered")
            return str(found.get("message") or " ") if found.get("reason") == reason else ""

        return await until(look, f"Delivered says {reason}", seconds)

    async def end(self) -> None:
        """Deletes the experiment."""
        await self.client.delete(EXPERIMENT, NAME, NAMESPACE)

    async def kill_leader(self) -> None:
        """Kills the leading scheduler."""
        _, pid = await failover.Stack(self.client, self.running, 2).leader()
        os.kill(pid, signal.SIGKILL)

    async def promoted(self, *, kill: bool) -> None:
        """A good candidate until all callers have it."""
        self.callers.notes = ShareNotes()
        begun = time.monotonic()
        await self.deliver(GOOD)
        await self.says("Step2")
        if kill:
            await self.kill_leader()
        await self.says("Promoted")
        took, settled = time.monotonic() - begun, time.monotonic() + 0.5
        await asyncio.sleep(1.5)
        late, failures = self.callers.notes.counted(settled), self.callers.notes.failures
        held = set(late) == {NEW} and not failures
        detail = f"after {took:.1f} s; then {dict(late)}, {len(failures)} failed {failures[:1]}"
        self.judged(f"a good candidate is promoted{_words(kill)}", held, detail)
        await self.end()

    async def taken_back(self, way: str, *, kill: bool) -> Failing:
        """A candidate that begins to go wrong at its share, until nobody sees that any more."""
        await self.deliver(LONG)
        await self.says("Step1")
        await asyncio.sleep(15)
        self.callers.notes = notes = ShareNotes()
        self.flag.write_text(f"{way}s")
        found = await failing(notes, lambda: self.says(WAYS[way]), self.kill_leader if kill else None)
        held = found.seconds <= BACK_SECONDS and found.failed <= found.allowed
        detail = f"{found.seconds:.1f} s, {found.failed} of {found.sent} requests failed"
        self.judged(
            f"a candidate that begins to {way} at {SHARE} % is taken back{_words(kill)}", held, detail
        )
        self.flag.unlink()
        await self.end()
        return found


async def failing(
    notes: ShareNotes,
    ended: Callable[[], Awaitable[object]],
    also: Callable[[], Awaitable[None]] | None = None,
) -> Failing:
    """Looks how many requests fail, and until when, from now until `ended` returns; `also` is done first."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_watched(notes, over))
        if also is not None:
            await also()
        await ended()
        await asyncio.sleep(1.0)
        over.set()
    return watching.result()


async def _watched(notes: ShareNotes, over: asyncio.Event) -> Failing:
    begun = time.monotonic()
    found = Failing(0.0, 0, 0)
    while not over.is_set():
        failed = len(notes.failures)
        if failed > found.failed:
            found = Failing(time.monotonic() - begun, failed, len(notes.seen) + failed)
        await asyncio.sleep(0.01)
    return found


def _words(kill: bool) -> str:
    return ", the leader killed on the way" if kill else ""


async def measure(options: argparse.Namespace) -> int:
    """Runs everything; returns how many claims did not hold."""
    with laptop("--scheduler-replicas", "2") as running:
        flag = breakable(running.models / "new")
        breakable(running.models / "old")
        where = running.inference()
        # By the default's name, whose callers are shared only while there is an experiment.
        task = ShareTask(http=where["http"], grpc=where["grpc"], name=OLD, request=REQUEST, patience=PATIENCE)
        async with Client.from_kubeconfig(running.kubeconfig) as client:
            callers = ShareCallers(task, rate=RATE, connections=15, grpc_connections=15)
            trial = Trial(client, running, callers, flag)
            for name, folder in ((OLD, "old"), (NEW, "new")):
                await trial.model(name, running.models / folder)
            async with asyncio.TaskGroup() as group:
                group.create_task(callers.run())
                await _rounds(trial, options.rounds)
                callers.stop()
            print(f"load average: {os.getloadavg()}", flush=True)
            return trial.broken


async def _rounds(trial: Trial, rounds: int) -> None:
    for kill in (False, True):
        found: dict[str, list[Failing]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            await trial.promoted(kill=kill)
            for way, failings in found.items():
                failings.append(await trial.taken_back(way, kill=kill))
        for way, failings in found.items():
            seconds = [each.seconds for each in failings]
            share = sum(each.failed for each in failings) / max(1, sum(each.sent for each in failings))
            print(
                f"     a candidate that begins to {way} is taken back{_words(kill)}:"
                f" median {statistics.median(seconds):.1f} s, longest {max(seconds):.1f} s;"
                f" {100 * share:.1f} % of the requests failed",
                flush=True,
            )


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks delivery", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is tried")
    broken = asyncio.run(measure(parser.parse_args(arguments)))
    if broken:
        raise SystemExit(f"{broken} claims did not hold")
