"""Experiments under traffic: are the shares right, does a change or a mirror cost a request or time?

`bailie up` with two candidates that answer differently, and a second server for mirrors. In turn: 90/10 over
5,000 requests by each protocol; weights that change ten times a second under 200 requests a second; callers
who stay with a candidate while the other one is replaced; mirrors that are stopped, that take 10 s and that
fail; a plain model beside an experiment, in rounds by turns; and 1,000 more experiments. Ends everything that
it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import EXPERIMENT, MODEL, SERVER
from bailie.kube.client import Client
from bailie.local.readiness import condition, is_current
from benchmarks import aside
from benchmarks.laptop import NAMESPACE, Laptop, laptop, until
from benchmarks.rollout import ANSWERS, REQUEST, TRAIN
from benchmarks.share_callers import SIGMAS, ShareCallers, ShareNotes, ShareTask, asked, off

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.api.kinds import Kind

NAME = "ab"
MIRRORS = "shadows"
FAULTY = """
import asyncio
from mlserver import MLModel
from mlserver.errors import MLServerError
class Faulty(MLModel):
    async def predict(self, payload):
        {act}
"""
ACTS = {"slow": "await asyncio.sleep(10)", "failing": 'raise MLServerError("as the benchmark wants it")'}
MIRROR_ROUNDS = 5
MORE = 1_000


@dataclass(slots=True)
class Trial:
    """The objects of one run, and where its data plane is."""

    client: Client
    running: Laptop
    task: ShareTask
    failed: int = 0

    async def apply(self, kind: Kind, name: str, **spec: Any) -> None:
        """Applies an object without a wait."""
        metadata = {"name": name, "namespace": NAMESPACE}
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}
        await self.client.apply(body, field_manager="experiments", force=True)

    async def ready(self, kind: Kind, name: str) -> None:
        """Waits until the object is ready as it was applied last."""

        async def look() -> bool:
            found = await self.client.get(kind, name, NAMESPACE)
            return condition(found, "Ready")["status"] == "True" and is_current(found)

        await until(look, f"{kind.kind} {name} ready")

    async def model(self, name: str, artifact: str, server: str = "mlserver", **spec: Any) -> None:
        """Applies a Model and waits until it is ready."""
        uri = str(self.running.models / artifact)
        more = {"requirements": ["sklearn"], "memory": "10Mi", "server": server, **spec}
        await self.apply(MODEL, name, storageUri=uri, **more)
        await self.ready(MODEL, name)

    async def share(self, *, wait: bool = True, mirror: str = "", **weights: int) -> None:
        """Applies the experiment; `a=90` is the Model `ab-a`."""
        candidates = [{"name": f"ab-{name}", "weight": weight} for name, weight in weights.items()]
        more = {"mirror": {"name": mirror, "percent": 100}} if mirror else {}
        await self.apply(EXPERIMENT, NAME, default="ab-a", candidates=candidates, **more)
        if wait:
            await self.ready(EXPERIMENT, NAME)

    def judged(self, what: str, held: bool, detail: str) -> None:
        """Prints a line, and notes a claim that did not hold."""
        self.failed += not held
        print(f"{'ok  ' if held else 'NOT '} {what}: {detail}", flush=True)


async def shares(trial: Trial) -> None:
    """90/10 over 5,000 requests, by each protocol and each name."""
    await trial.share(a=90, b=10)
    for name in ("ab.experiment", "ab-a"):
        for protocol in ("REST", "gRPC"):
            task = replace(trial.task, name=name)
            notes = await asked(task, 5_000, over_grpc=protocol == "gRPC")
            worst = max(off(notes.counted(), {"ab-a": 90, "ab-b": 10}).values())
            held = worst <= SIGMAS and not notes.failures
            detail = f"{dict(notes.counted())}, {worst:.2f} sigma, {len(notes.failures)} failed"
            trial.judged(f"90/10 of {name} over {protocol}", held, detail)


async def changes(trial: Trial, seconds: float) -> None:
    """Ten changes of the weights a second; after the last, the share counts from 300 ms after Ready."""
    callers, count = ShareCallers(trial.task, rate=200, connections=16, grpc_connections=4), 0
    async with asyncio.TaskGroup() as group:
        group.create_task(callers.run())
        started = time.monotonic()
        while (due := started + count * 0.1) < started + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await trial.share(wait=False, a=100 + count % 50, b=10 + count % 90)
            count += 1
        spent = time.monotonic() - started
        await trial.share(a=3, b=1)
        settled = time.monotonic() + 0.3
        await asyncio.sleep(10.3)
        callers.stop()
    notes = callers.notes
    worst = max(off(notes.counted(settled), {"ab-a": 3, "ab-b": 1}).values())
    detail = f"{len(notes.failures)} of {len(notes.seen)} requests failed {notes.failures[:2]}"
    trial.judged(f"{count} changes in {spent:.0f} s", not notes.failures, detail)
    trial.judged("the share 300 ms after Ready", worst <= SIGMAS, f"{worst:.2f} sigma")


async def staying(trial: Trial) -> None:
    """Callers of each candidate by each protocol, while one is replaced six times."""
    await trial.share(a=50, b=50)
    callers = {
        model: ShareCallers(
            replace(trial.task, route=f":{model}_1:"), rate=50, connections=4, grpc_connections=2
        )
        for model in ("ab-a", "ab-b")
    }
    async with asyncio.TaskGroup() as group:
        for each in callers.values():
            group.create_task(each.run())
        for artifact in ("iris", "reversed") * 3:
            await trial.model("ab-b", artifact)
        await asyncio.sleep(1)
        for each in callers.values():
            each.stop()
    for model, each in callers.items():
        found = dict(each.notes.counted())
        held = set(found) == {model} and not each.notes.failures
        trial.judged(f"who stays with {model}", held, f"{found}, {len(each.notes.failures)} failed")


async def mirrored(trial: Trial, mirror: str, what: str) -> None:
    """Rounds without and with a mirror by turns: answers, and the 99th percentile of both."""
    quantiles: dict[bool, list[float]] = {False: [], True: []}
    wrong = failed = total = 0
    for number in range(2 * MIRROR_ROUNDS):
        on = number % 2 == 1
        await trial.share(a=1, b=0, mirror=mirror if on else "")
        notes = await _load(trial.task)
        quantiles[on].append(notes.quantile(0.99))
        wrong += sum(each.outputs != ANSWERS["iris"] for each in notes.seen)
        failed, total = failed + len(notes.failures), total + len(notes.seen)
    ratio = statistics.median(quantiles[True]) / statistics.median(quantiles[False])
    detail = f"{wrong + failed} of {total} answers changed"
    trial.judged(f"a mirror that is {what}", not wrong + failed, detail)
    times = ", ".join(f"{statistics.median(quantiles[on]) * 1e3:.1f} ms" for on in (False, True))
    trial.judged(f"p99 with a mirror that is {what}", ratio <= 1.1, f"{ratio:.2f} x ({times})")


async def _load(task: ShareTask, seconds: float = 6.0, rate: float = 100.0) -> ShareNotes:
    callers = ShareCallers(task, rate=rate, connections=4)
    async with asyncio.TaskGroup() as group:
        group.create_task(callers.run())
        await asyncio.sleep(seconds)
        callers.stop()
    return callers.notes


async def mirrors(trial: Trial) -> None:
    """A mirror that takes 10 s, one that fails, and one whose server is stopped.

    Their server takes no time from the others, as on a machine of its own.
    """
    await trial.apply(SERVER, MIRRORS, serverConfig="mlserver", replicas=1)
    for name, act in ACTS.items():
        folder = trial.running.models / name
        folder.mkdir()
        (folder / "faulty.py").write_text(FAULTY.format(act=act))
        await trial.model(name, name, MIRRORS, requirements=["python"])
    servers = trial.running.status()["namespaces"][NAMESPACE]["servers"]
    pids = [pod["pids"]["mlserver"] for each in servers if each["name"] == MIRRORS for pod in each["pods"]]
    for pid in pids:
        aside.wait_for_others(pid)
    await mirrored(trial, "slow", "slow (10 s)")
    await mirrored(trial, "failing", "failing (500)")
    await trial.share(a=1, b=0, mirror="failing")
    os.kill(pids[0], signal.SIGKILL)
    notes = await _load(trial.task, seconds=5.0)
    wrong = len(notes.failures) + sum(each.outputs != ANSWERS["iris"] for each in notes.seen)
    trial.judged("a mirror that is killed", not wrong, f"{wrong} of {len(notes.seen)} answers changed")


async def cost(trial: Trial, rounds: int = 20) -> float:
    """Returns the median of an experiment over that of two plain models on its server, by turns."""
    await trial.share(a=1, b=1)
    await trial.model("ab-c", "iris")
    plain, shared = replace(trial.task, name="ab-c"), replace(trial.task, name="ab.experiment")
    ratios = []
    for _ in range(rounds):
        named = await asked(plain, 150, over_grpc=False, connections=1, also=("ab-b",))
        drawn = await asked(shared, 150, over_grpc=False, connections=1)
        ratios.append(drawn.quantile(0.5) / named.quantile(0.5))
    return statistics.median(ratios)


async def plain(trial: Trial) -> None:
    """The cost of an experiment."""
    ratio = await cost(trial)
    trial.judged("p50 of an experiment over two plain models'", ratio <= 1.05, f"{ratio:.3f} x")


async def many(trial: Trial) -> None:
    """1,000 more experiments: the time of another, the memory of Envoy."""
    grown = _envoy_bytes(trial)
    candidates = [{"name": "ab-a", "weight": 90}, {"name": "ab-b", "weight": 10}]
    for number in range(MORE):
        await trial.apply(EXPERIMENT, f"more-{number}", candidates=candidates)
    await trial.ready(EXPERIMENT, f"more-{MORE - 1}")
    started = time.monotonic()
    await trial.apply(EXPERIMENT, "another", candidates=candidates)
    await trial.ready(EXPERIMENT, "another")
    spent, after = time.monotonic() - started, await cost(trial)
    each = (_envoy_bytes(trial) - grown) / MORE / 1024
    trial.judged(
        f"p50 of an experiment over two plain models' beside {MORE} experiments",
        after <= 1.05,
        f"{after:.3f} x",
    )
    trial.judged("Envoy's memory", each <= 64, f"{each:.1f} KiB for each experiment")
    trial.judged("one more, applied to ready", spent <= 1, f"{spent * 1e3:.0f} ms")


def _envoy_bytes(trial: Trial) -> int:
    pods = trial.running.status()["namespaces"][NAMESPACE]["envoys"]
    pages = int(Path(f"/proc/{pods[0]['pid']}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def measure(running: Laptop, options: argparse.Namespace) -> int:
    """Runs the wanted parts; returns how many claims did not hold."""
    async with Client.from_kubeconfig(running.kubeconfig) as client:
        where = running.inference()
        task = ShareTask(http=where["http"], grpc=where["grpc"], name="ab.experiment", request=REQUEST)
        trial = Trial(client, running, task)
        for name, artifact in (("ab-a", "iris"), ("ab-b", "reversed")):
            await trial.model(name, artifact)
        parts = {"shares": shares(trial), "changes": changes(trial, options.seconds)}
        parts |= {"staying": staying(trial), "mirrors": mirrors(trial)}
        parts |= {"plain": plain(trial), "many": many(trial)}
        for name, part in parts.items():
            if name in options.parts:
                await part
            else:
                part.close()
        print(f"load average: {os.getloadavg()}", flush=True)
        return trial.failed


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks experiments", description=__doc__)
    parts = ("shares", "changes", "staying", "mirrors", "plain", "many")
    parser.add_argument("parts", nargs="*", default=parts, help=f"of {', '.join(parts)}; all of them")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long weights change")
    options = parser.parse_args(arguments)
    with laptop(training=("-c", TRAIN)) as running:
        failed = asyncio.run(measure(running, options))
    if failed:
        raise SystemExit(f"{failed} claims did not hold")
