"""What access logs and payload logs of requests cost an Envoy and its callers, whatever the sink does.

    python -m benchmarks request-logs [--seconds 2] [--rounds 15] [--size 2]

Envoys before a server that answers at once take turns: one that logs nothing, one that logs failures (there
are none), one that logs every request to a file, and three that send every request of `size` bytes and its
answer to a sink: one that answers at once, one that takes connections and never answers, and one that is
away. No request may fail.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.ports import free_port

from bailie.api.payload_log import LOCAL, PayloadLog
from bailie.gateway.access_log import AccessLog
from bailie.gateway.publisher import Gateway
from bailie.routing.table import ReplicaEndpoint, Route
from bailie.wellknown import logged
from benchmarks import load, stack
from benchmarks.routes import acknowledged, instant_server, models

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bailie.routing.table import RoutingTable

_CONNECTIONS = 8
_MODEL = "model-7"
WITHOUT = "without"


async def cost(seconds: float, rounds: int, size: int) -> dict[str, float]:
    """Returns rate, times and processor time per request of each variant, beside those without logs."""
    runs: dict[str, list[load.Measured]]
    spent: dict[str, list[float]]
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        ports = await _envoys(running, folder)
        runs, spent = {each: [] for each in ports}, {each: [] for each in ports}
        for _ in range(rounds):
            for variant in random.sample(list(ports), len(ports)):
                process = stack.process_of(str(folder / variant / "bailie-envoy.json"))
                before = stack.cpu_seconds(process)
                path, body = f"/v2/models/{_MODEL}/infer", b"x" * size
                done = await load.rest(ports[variant], path, body, connections=_CONNECTIONS, seconds=seconds)
                cpu = stack.cpu_seconds(process) - before
                runs[variant].append(done)
                spent[variant].append(1e6 * cpu / len(done.latencies))
        memory = {
            each: stack.process_of(str(folder / each / "bailie-envoy.json")).memory_info().rss / 2**20
            for each in ports
        }
    return _figures(runs, spent, memory)


def _figures(
    runs: dict[str, list[load.Measured]], spent: dict[str, list[float]], memory: dict[str, float]
) -> dict[str, float]:
    found: dict[str, float] = {}
    for each, done in runs.items():
        found[f"{each}: req/s"] = statistics.median(one.rate for one in done)
        found[f"{each}: p50 ms"] = statistics.median(one.p50 for one in done)
        found[f"{each}: p99 ms"] = statistics.median(one.p99 for one in done)
        found[f"{each}: CPU us"] = statistics.median(spent[each])
        found[f"{each}: MiB"] = memory[each]
        if each != WITHOUT:
            pairs = list(zip(done, runs[WITHOUT], strict=True))
            found[f"{each}: req/s, of without"] = statistics.median(
                one.rate / other.rate for one, other in pairs
            )
            found[f"{each}: p99, of without"] = statistics.median(one.p99 / other.p99 for one, other in pairs)
            cpu = zip(spent[each], spent[WITHOUT], strict=True)
            found[f"{each}: CPU us more"] = statistics.median(one - other for one, other in cpu)
    return found


async def _envoys(running: AsyncExitStack, folder: Path) -> dict[str, int]:
    """Starts the Envoys; returns the port of each variant."""
    server = await running.enter_async_context(instant_server(folder))
    table = models(100, ReplicaEndpoint("instant-0", "127.0.0.1", server, server))
    none, all_to_file = AccessLog(logged.NONE), AccessLog(logged.ALL, str(folder / "all.log"))
    hanging = await running.enter_async_context(_hanging_sink())
    variants = {
        WITHOUT: (none, table),
        "access log, failures": (AccessLog(), table),
        "access log, all": (all_to_file, table),
        "payloads": (none, _logged(table, server)),
        "payloads, sink hangs": (none, _logged(table, hanging)),
        "payloads, sink away": (none, _logged(table, free_port())),
    }
    ports: dict[str, int] = {}
    for variant, (log, published) in variants.items():
        own = folder / variant
        own.mkdir()
        gateway = Gateway(access_log=log, local_sinks=True)
        revision = gateway.publish(published)
        envoy = stack.bailie_envoy(own, gateway, workers=1, change={"stats_sinks": []})
        ports[variant] = await running.enter_async_context(envoy)
        await acknowledged(gateway, revision)
    return ports


def _logged(table: RoutingTable, port: int) -> RoutingTable:
    """Returns the table with a payload log of one model, to a port of this machine."""
    route = table.entries[_MODEL]
    assert isinstance(route, Route)
    log = PayloadLog(_MODEL, LOCAL, port, "/v2/models/model-1_0/infer")
    backends = tuple(replace(each, payload_log=log) for each in route.backends)
    return replace(table, entries={**table.entries, _MODEL: replace(route, backends=backends)})


@asynccontextmanager
async def _hanging_sink() -> AsyncIterator[int]:
    """Takes connections, reads nothing and says nothing; the value is the port."""

    async def taken(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.append(writer)

    open_ones: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(taken, "127.0.0.1", 0, limit=1)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for each in open_ones:
            each.close()
        server.close()


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks request-logs", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each Envoy")
    parser.add_argument("--size", type=int, default=2, help="bytes of each request")
    options = parser.parse_args(arguments)
    for name, value in asyncio.run(cost(options.seconds, options.rounds, options.size)).items():
        print(f"{name:42} {value:12.3f}", flush=True)
