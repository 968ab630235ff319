"""What do callers notice of `bailie migrate apply`, `rollback` and `finish`, and how long does each take?

`bailie up` with two namespaces: `mesh` has the central scheduler, `team` has models on two servers and gets
requests throughout, half REST and half gRPC. The commands run as users run them: apply, verify and rollback
again and again, one apply killed (-9) in its middle and run once more, then apply and finish. At the end pods
and agents' logs are compared with those of before. Ends everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

from bailie.kube.client import Client
from benchmarks.hand_over import CENTRAL, TEAM, Team, disturbances
from benchmarks.laptop import laptop
from benchmarks.move_commands import Commands
from benchmarks.results import add_json, keep
from benchmarks.steady import steady

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.laptop import Laptop

KILLED = -9
_KILL_AT = '  patch SeldonRuntime seldon in namespace team: {"spec":{"schedulerNamespace":null}}'
"""The line of `apply` after which it is killed: the hand-over has just begun."""


async def measure(running: Laptop, options: argparse.Namespace) -> dict[str, Any]:
    """Moves the team back and forth under load and returns the figures."""
    async with Client.from_kubeconfig(running.kubeconfig) as client:
        team = Team(client, running)
        commands = Commands(TEAM, "--state-dir", str(running.state))
        models = await team.prepare(options.models)
        expected = [running.expectation(name, "iris") for name in models]
        before = await team.seen()
        with steady(running.inference(TEAM)) as traffic:
            traffic.send(expected, options.rate)
            started = time.monotonic()
            for _ in range(options.rounds):
                await commands.run("apply", "--yes")
                await commands.run("verify")
                await commands.run("rollback", "--yes")
            ended = await commands.killed("apply", "--yes", after=_KILL_AT)
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
    add_json(parser)
    options = parser.parse_args(arguments)
    with laptop(namespaces=(CENTRAL, TEAM)) as running:
        figures = asyncio.run(measure(running, options))
    print("\n".join(told(figures)), flush=True)
    keep(options, figures)
