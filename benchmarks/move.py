"""What do callers notice of `bailie migrate apply`, `rollback` and `finish`, and how long does each take?

`bailie up` with two namespaces: `mesh` has the central scheduler, `team` has models on two servers and gets
requests throughout, half REST and half gRPC. The commands run as users run them: apply, verify and rollback
again and again, one apply killed (-9) in its middle and run once more, then apply and finish. At the end pods
and agents' logs are compared with those of before. Ends everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bailie.kube.client import Client
from benchmarks.hand_over import CENTRAL, TEAM, Team, disturbances
from benchmarks.laptop import Laptop, laptop
from benchmarks.steady import steady

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KILLED = -9
_KILL_AT = 'patch SeldonRuntime seldon in namespace team: {"spec":{"schedulerNamespace":null}}'
"""The line of `apply` after which it is killed: the hand-over has just begun."""


class Commands:
    """`bailie migrate …` for the team, each with the seconds that it took."""

    def __init__(self, running: Laptop) -> None:
        self._running = running
        self.seconds: dict[str, list[float]] = {}

    async def run(self, verb: str, *options: str) -> str:
        """Runs a command to its end and returns its words. Raises RuntimeError where it fails."""
        started = time.monotonic()
        process = await self._start(verb, *options)
        _, told = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"{verb} ended with {process.returncode}: {told.decode()}")
        self.seconds.setdefault(verb, []).append(time.monotonic() - started)
        return told.decode()

    async def killed(self, verb: str, *options: str, after: str = _KILL_AT) -> int:
        """Runs a command and kills it once it has said the line `after`; returns how it ended."""
        process = await self._start(verb, *options)
        assert process.stderr is not None
        async for line in process.stderr:
            if after in line.decode():
                process.kill()
                break
        return await process.wait()

    async def _start(self, verb: str, *options: str) -> asyncio.subprocess.Process:
        words = (sys.executable, "-m", "bailie", "migrate", verb, TEAM, *options)
        return await asyncio.create_subprocess_exec(
            *words,
            "--state-dir",
            str(self._running.state),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


async def measure(running: Laptop, options: argparse.Namespace) -> dict[str, Any]:
    """Moves the team back and forth under load and returns the figures."""
    async with Client.from_kubeconfig(running.kubeconfig) as client:
        team, commands = Team(client, running), Commands(running)
        models = await team.prepare(options.models)
        expected = [running.expectation(name, "iris") for name in models]
        await team.change(CENTRAL, "probe-first")  # where people come from
        before = await team.seen()
        with steady(running.inference(TEAM)) as traffic:
            traffic.send(expected, options.rate)
            started = time.monotonic()
            for _ in range(options.rounds):
                await commands.run("apply", "--yes")
                await commands.run("verify")
                await commands.run("rollback", "--yes")
            ended = await commands.killed("apply", "--yes")
            again = await commands.run("apply", "--yes")
            await commands.run("verify")
            await commands.run("finish", "--yes")
            spent = time.monotonic() - started
            await traffic.stop()
            tally = traffic.take()
        holder = await team.holder()
        disturbed = disturbances(before, await team.seen())
    return {
        "seconds": commands.seconds,
        "the killed command ended with": ended,
        "the next one said": again.splitlines(),
        "the scheduler at the end": holder,
        "requests": tally.figures(spent),
        "failures": tally.failures,
        **disturbed,
        "load average": os.getloadavg(),
    }


def told(figures: dict[str, Any]) -> Iterator[str]:
    """Yields the figures as lines."""
    for verb, seconds in figures["seconds"].items():
        yield f"{verb}: worst {max(seconds):.1f} s of {len(seconds)}"
    for name, value in figures.items():
        if name not in {"seconds", "failures", "the next one said"}:
            yield f"{name}: {value}"
    yield from figures["failures"][:3]


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks move", description=__doc__)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3, help="moves there and back")
    parser.add_argument("--rate", type=float, default=250.0, help="requests per second over all models")
    parser.add_argument("--json", type=Path, help="write the results here too")
    options = parser.parse_args(arguments)
    with laptop(namespaces=(CENTRAL, TEAM)) as running:
        figures = asyncio.run(measure(running, options))
    print("\n".join(told(figures)), flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
