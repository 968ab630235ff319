"""What counting requests costs, and whether it is exact.

    python -m benchmarks request-metrics [--part exact cost scale] [--requests 50000] [--models 10000]

`cost`: three Envoys before a server that answers at once take turns: one that counts nothing, one that
counts, and one that also reports to the scheduler. `scale`: memory and scrapes with many models, idle and
then all called. `exact` (`exact_counts`): REST and gRPC callers of a `bailie up` while models move; the
scheduler's counters must have each request once.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import statistics
import tempfile
import time
from contextlib import AsyncExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bailie.gateway import listener, request_metrics
from bailie.gateway.publisher import Gateway
from bailie.gateway.request_counts import RequestCounts
from bailie.gateway.request_exposition import exposition
from bailie.routing.table import ReplicaEndpoint
from benchmarks import exact_counts, load, stack
from benchmarks.laptop import until
from benchmarks.routes import acknowledged, instant_server, models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bailie.gateway.request_reports import EnvoyReport

VARIANTS = ("without", "counting", "reporting")
CONNECTIONS = 8
MEBIBYTE = 2**20
_PATIENCE = 60.0
_REST_SECONDS = 20.0


class TimedCounts(RequestCounts):
    """Notes the processor time that each report took."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def take(self, report: EnvoyReport, now: float) -> frozenset[str]:
        """Adds a report as `RequestCounts` does."""
        start = time.process_time()
        used = super().take(report, now)
        self.seconds.append(time.process_time() - start)
        return used


@contextmanager
def without_loggers() -> Iterator[None]:
    """Makes listeners that do not count, for comparison: Bailie itself always counts."""
    module = vars(request_metrics)
    loggers = module["loggers"]
    listener.listener.cache_clear()
    module["loggers"] = list
    try:
        yield
    finally:
        module["loggers"] = loggers
        listener.listener.cache_clear()


class Envoys:
    """The Envoys of the variants, each with a gateway and a folder of its own, before one server."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count
        self.gateways: dict[str, Gateway] = {}
        self.counts = TimedCounts()
        self.ports: dict[str, int] = {}

    async def start(self, running: AsyncExitStack, variants: Sequence[str]) -> None:
        """Starts them; each has all routes when this returns."""
        server = await running.enter_async_context(instant_server(self._folder))
        replica = ReplicaEndpoint("instant-0", "127.0.0.1", server, server)
        for variant in variants:
            folder = self._folder / variant
            folder.mkdir()
            reports = variant == "reporting"
            gateway = self.gateways[variant] = Gateway(counts=self.counts if reports else None)
            revision = gateway.publish(models(self._count, replica))
            change: dict[str, Any] = {} if reports else {"stats_sinks": []}
            with without_loggers() if variant == "without" else nullcontext():
                envoy = stack.bailie_envoy(folder, gateway, workers=1, change=change)
                self.ports[variant] = await running.enter_async_context(envoy)
                await acknowledged(gateway, revision)

    def process(self, variant: str) -> psutil.Process:
        """Returns the process of a variant's Envoy."""
        return stack.process_of(str(self._folder / variant / "bailie-envoy.json"))

    def memory(self, variant: str) -> float:
        """Returns the memory of a variant's Envoy in MiB."""
        return float(self.process(variant).memory_info().rss) / MEBIBYTE


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
            await _call_all(envoys.ports[variant], count)
        await _counted(counts, count)
        hot = {each: envoys.memory(each) for each in ("without", "reporting")}
        grown = psutil.Process().memory_info().rss - ours
        counts.seconds.clear()
        at_rest = await _at_rest(envoys)
        start = time.process_time()
        text = exposition([gateway.shown_requests("bench")])
        scrape = time.process_time() - start
        known = len(list(counts.series()))
        await _call_all(envoys.ports["reporting"], count, "stranger")
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


async def _call_all(port: int, count: int, kind: str = "model") -> None:
    """Calls each name once."""
    names = iter(range(count))

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in names:
            path = f"/v2/models/{kind}-{number}/infer"
            writer.write(f"POST {path} HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(each for each in head.lower().split(b"\r\n") if each.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            if b"connection: close" in head.lower():
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    async with asyncio.timeout(_PATIENCE), asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(caller())


async def _counted(counts: RequestCounts, number: int) -> None:
    async def all_are() -> bool:
        return sum(each.requests for each in counts.series()) >= number

    await until(all_are, "all requests counted")


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks request-metrics", description=__doc__)
    names = ("exact", "cost", "scale")
    parser.add_argument("--part", nargs="+", default=names, choices=names, help="what is measured")
    parser.add_argument("--requests", type=int, default=50_000, help="of the exact part")
    parser.add_argument("--models", type=int, default=10_000, help="of the scale part")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn of the cost part")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each Envoy")
    parser.add_argument("--json", type=Path, help="write the results here too")
    options = parser.parse_args(arguments)
    parts: dict[str, Callable[[], dict[str, float]]] = {
        "cost": lambda: asyncio.run(cost(options.seconds, options.rounds)),
        "scale": lambda: asyncio.run(scale(options.models)),
        "exact": lambda: exact_counts.measure(options.requests),
    }
    found: dict[str, Any] = {}
    for part in options.part:
        figures = parts[part]()
        for name, value in figures.items():
            print(f"{name:36} {value:12.2f}", flush=True)
        found |= figures
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if found.get("requests sent") != found.get("requests counted"):
        raise SystemExit("a request was not counted, or counted twice")
