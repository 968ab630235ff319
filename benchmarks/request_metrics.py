"""What counting requests costs, and whether it is exact.

    python -m benchmarks request-metrics [--part exact cost scale hot] [--requests 50000] [--models 10000]

`cost`: three Envoys before a server that answers at once take turns: one that counts nothing, one that
counts, and one that also reports to the scheduler. `scale`: memory and scrapes with many models, idle and
then all called. `hot` (`hot_models`): the share of a core that counting and scaling take while few of many
models are called. `exact` (`exact_counts`): REST and gRPC callers of a `bailie up` while models move; the
scheduler's counters must have each request once.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bailie.gateway.request_exposition import exposition
from benchmarks import exact_counts, hot_models, load, stack
from benchmarks.counting_envoys import CONNECTIONS, MEBIBYTE, Envoys, call_all
from benchmarks.laptop import until
from benchmarks.results import add_json, keep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bailie.gateway.request_counts import RequestCounts

VARIANTS = ("without", "counting", "reporting")
_REST_SECONDS = 20.0


async def cost(seconds: float, rounds: int) -> dict[str, float]:
    """Returns requests per second and microseconds of Envoy's processor time per request of each variant."""
    rates: dict[str, list[float]] = {each: [] for each in VARIANTS}
    spent: dict[str, list[float]] = {each: [] for each in VARIANTS}
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        envoys = Envoys(folder, 100)
        await envoys.start(running, VARIANTS)
        for _ in range(rounds):
            for variant in random.sample(VARIANTS, len(VARIANTS)):
                before = stack.cpu_seconds(envoys.process(variant))
                done = await load.rest(
                    envoys.ports[variant],
                    "/v2/models/model-7/infer",
                    b"{}",
                    connections=CONNECTIONS,
                    seconds=seconds,
                )
                cpu = stack.cpu_seconds(envoys.process(variant)) - before
                rates[variant].append(done.rate)
                spent[variant].append(1e6 * cpu / len(done.latencies))
    found = {f"{each} req/s": statistics.median(rates[each]) for each in VARIANTS}
    found |= {f"{each} CPU us": statistics.median(spent[each]) for each in VARIANTS}
    for each in VARIANTS[1:]:
        found[f"{each} / without, req/s"] = _ratio(rates[each], rates["without"])
        found[f"{each} - without, CPU us"] = statistics.median(
            ours - theirs for ours, theirs in zip(spent[each], spent["without"], strict=True)
        )
    return found


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


async def scale(count: int) -> dict[str, float]:
    """Returns memory and times with so many models: idle, and when all have been called."""
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        envoys = Envoys(folder, count)
        await envoys.start(running, ("without", "reporting"))
        gateway, counts = envoys.gateways["reporting"], envoys.counts
        idle = {each: envoys.memory(each) for each in ("without", "reporting")}
        gc.collect()
        ours = psutil.Process().memory_info().rss
        for variant in ("without", "reporting"):
            await call_all(envoys.ports[variant], count)
        await _counted(counts, count)
        hot = {each: envoys.memory(each) for each in ("without", "reporting")}
        grown = psutil.Process().memory_info().rss - ours
        counts.seconds.clear()
        at_rest = await _at_rest(envoys)
        start = time.process_time()
        text = "".join(exposition([gateway.shown_requests("bench")]))
        scrape = time.process_time() - start
        known = len(list(counts.series()))
        await call_all(envoys.ports["reporting"], count, "stranger")
        await _counted(counts, 2 * count)
        strangers = len(list(counts.series())) - known
    return {
        "series of as many unknown names": float(strangers),
        "Envoy without, idle, MiB": idle["without"],
        "Envoy reporting, idle, more MiB": idle["reporting"] - idle["without"],
        "Envoy without, hot, MiB": hot["without"],
        "Envoy reporting, hot, more MiB": hot["reporting"] - hot["without"],
        "Envoy without, at rest, of a core": at_rest["without"],
        "Envoy reporting, at rest, more": at_rest["reporting"] - at_rest["without"],
        "scheduler, one report, CPU ms": 1e3 * statistics.median(counts.seconds),
        "scheduler, more MiB": grown / MEBIBYTE,
        "scrape, CPU ms": 1e3 * scrape,
        "scrape, MiB": len(text) / MEBIBYTE,
        "scrape, lines": float(text.count("\n")),
    }


async def _at_rest(envoys: Envoys) -> dict[str, float]:
    """Returns the share of a core that each Envoy takes while nobody calls."""
    before = {each: stack.cpu_seconds(envoys.process(each)) for each in envoys.ports}
    await asyncio.sleep(_REST_SECONDS)
    return {each: (stack.cpu_seconds(envoys.process(each)) - before[each]) / _REST_SECONDS for each in before}


async def _counted(counts: RequestCounts, number: int) -> None:
    async def all_are() -> bool:
        return sum(each.requests for each in counts.series()) >= number

    await until(all_are, "all requests counted")


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks request-metrics", description=__doc__)
    names = ("exact", "cost", "scale", "hot")
    parser.add_argument("--part", nargs="+", default=names, choices=names, help="what is measured")
    parser.add_argument("--requests", type=int, default=50_000, help="of the exact part")
    parser.add_argument("--models", type=int, default=10_000, help="of the parts scale and hot")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn of the cost part")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each Envoy")
    add_json(parser)
    options = parser.parse_args(arguments)
    parts: dict[str, Callable[[], dict[str, float]]] = {
        "cost": lambda: asyncio.run(cost(options.seconds, options.rounds)),
        "scale": lambda: asyncio.run(scale(options.models)),
        "hot": lambda: asyncio.run(hot_models.measure(options.models)),
        "exact": lambda: exact_counts.measure(options.requests),
    }
    found: dict[str, Any] = {}
    for part in options.part:
        figures = parts[part]()
        for name, value in figures.items():
            print(f"{name:36} {value:12.2f}", flush=True)
        found |= figures
    keep(options, found)
    if found.get("requests sent") != found.get("requests counted"):
        raise SystemExit("a request was not counted, or counted twice")
