"""Which settings make MLServer answer fastest: each one against the next, on one connection and on 16.

    python -m benchmarks mlserver-settings [--rounds 10] [--seconds 1]

Like `data_plane`, in short rounds in turn. What is safe to set by default is in manifests/defaults.py.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import load, stack
from benchmarks.data_plane import Target, once

if TYPE_CHECKING:
    from collections.abc import Sequence

INLINE = {"PARALLEL_WORKERS": "0"}
SETTINGS = {
    "as shipped, no worker processes": INLINE,
    "DEBUG=false": {**INLINE, "DEBUG": "false"},
    "… and GZIP_ENABLED=false": {**INLINE, "DEBUG": "false", "GZIP_ENABLED": "false"},
    "… and no METRICS_ENDPOINT": {
        **INLINE,
        "DEBUG": "false",
        "GZIP_ENABLED": "false",
        "METRICS_ENDPOINT": "",
    },
    "DEBUG=false, one worker process": {"PARALLEL_WORKERS": "1", "DEBUG": "false"},
}


async def measure(options: argparse.Namespace) -> None:
    """Prints a line per setting and case."""
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        stack.train(folder)
        targets, processes = {}, {}
        for name, settings in SETTINGS.items():
            http, rpc, processes[name] = await running.enter_async_context(stack.mlserver(folder, settings))
            targets[name] = Target(http, rpc, stack.MODEL)
        print(f"{'':50} {'p50 ms':>8} {'p99 ms':>8} {'req/s':>8} {'CPU ms':>8}")
        for protocol in ("REST", "gRPC"):
            for connections in options.connections:
                rounds: dict[str, list[load.Measured]] = {name: [] for name in targets}
                spent: dict[str, list[float]] = {name: [] for name in targets}
                for _ in range(options.rounds):
                    for name in random.sample(sorted(targets), len(targets)):
                        before = stack.cpu_seconds(processes[name])
                        run = await once(targets[name], protocol, connections, options.seconds)
                        rounds[name].append(run)
                        used = stack.cpu_seconds(processes[name]) - before
                        spent[name].append(1e3 * used / len(run.latencies))
                for name, measured in rounds.items():
                    figures = [
                        statistics.median(getattr(run, figure) for run in measured)
                        for figure in ("p50", "p99", "rate")
                    ]
                    line = f"{protocol} {connections:2} {name:42}"
                    line += f" {figures[0]:8.3f} {figures[1]:8.3f} {figures[2]:8.0f}"
                    print(f"{line} {statistics.median(spent[name]):8.3f}")


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks mlserver-settings", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one round")
    asyncio.run(measure(parser.parse_args(arguments)))
