"""What the number of models costs: requests per second, and the time until a change is answered.

    python -m benchmarks routes [--models 10 1000 10000]

Behind Envoy stands another Envoy that answers at once, so that what is measured is Envoy's own work. A
change is a new version of one model; its time is from `publish` to the first answer by the new version.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tests.support import plain_http
from tests.support.ports import free_port

from bailie.gateway.envoy import command
from bailie.gateway.publisher import Gateway
from bailie.routing.table import Backend, ReplicaEndpoint, Route, RoutingTable
from benchmarks import load, stack
from benchmarks.results import add_json, keep

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence


@asynccontextmanager
async def instant_server(
    folder: Path, statuses: Mapping[str, int] = MappingProxyType({})
) -> AsyncIterator[int]:
    """Runs an Envoy that answers `ok`, with 200 or a status of its own for paths that begin so; the value is
    its port."""
    port, admin = free_port(), free_port()
    config = stack.static_config(port, admin, port, port)
    body = {"inline_string": "ok"}
    _set_routes(
        config,
        [
            {"match": {"prefix": prefix}, "direct_response": {"status": status, "body": body}}
            for prefix, status in [*statuses.items(), ("/", 200)]
        ],
    )
    path, log = folder / "instant.json", folder / "instant.log"
    path.write_text(json.dumps(config))
    with stack.process(command(path, concurrency=1), log):
        await stack.answers(f"http://127.0.0.1:{admin}/ready", log)
        yield port


def _set_routes(config: dict[str, Any], routes: list[dict[str, Any]]) -> None:
    (listener,) = config["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    manager["route_config"]["virtual_hosts"][0]["routes"] = routes


def models(count: int, replica: ReplicaEndpoint, changed: int = 0) -> RoutingTable:
    """Returns a table of `count` models; the last one is at version `changed`."""
    entries = {
        f"model-{i}": Route((Backend(f"model-{i}_{changed if i == count - 1 else 0}", 1, (replica,)),))
        for i in range(count)
    }
    return RoutingTable("bench", entries)


async def acknowledged(gateway: Gateway, revision: int) -> None:
    """Waits until the Envoy of the gateway has a revision."""
    async with asyncio.timeout(120):
        reached = asyncio.Event()
        gateway.on_acknowledged(lambda now: reached.set() if now >= revision else None)
        if gateway.acknowledged < revision:
            await reached.wait()


async def changes(gateway: Gateway, port: int, tables: Sequence[RoutingTable], path: str) -> list[float]:
    """Returns the seconds that each table took to be answered, in the order of their size."""
    times = []
    async with plain_http.async_client(base_url=f"http://127.0.0.1:{port}") as client:
        for number, table in enumerate(tables, start=1):
            start = time.perf_counter()
            gateway.publish(table)
            while True:
                answer = await client.get(path)
                if answer.headers["x-seldon-route"].endswith(f"_{number}:"):
                    break
            times.append(time.perf_counter() - start)
    return sorted(times)


async def measure_one(count: int, options: argparse.Namespace) -> dict[str, float]:
    """Starts everything for one number of models and returns its figures."""
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        server = await running.enter_async_context(instant_server(folder))
        static = await running.enter_async_context(stack.static_envoy(folder, server, server, workers=1))
        replica = ReplicaEndpoint("instant-0", "127.0.0.1", server, server)
        gateway = Gateway()
        start = time.perf_counter()
        revision = gateway.publish(models(count, replica))
        port = await running.enter_async_context(stack.bailie_envoy(folder, gateway, workers=1))
        await acknowledged(gateway, revision)
        found = {"models": float(count), "first table s": time.perf_counter() - start}
        path, plain = f"/v2/models/model-{count - 1}/infer", f"/v2/models/model-{count - 1}_0/infer"
        for name, target, where in (("bailie", port, path), ("static", static, plain)):
            envoy = stack.process_of(str(folder / f"{name}-envoy.json"))
            for connections in (1, 8):
                before = stack.cpu_seconds(envoy)
                runs = [
                    await load.rest(target, where, b"{}", connections=connections, seconds=options.seconds)
                    for _ in range(3)
                ]
                spent = stack.cpu_seconds(envoy) - before
                found[f"{name} {connections} p50 us"] = 1e3 * statistics.median(run.p50 for run in runs)
                found[f"{name} {connections} req/s"] = statistics.median(run.rate for run in runs)
                found[f"{name} {connections} CPU us"] = 1e6 * spent / sum(len(run.latencies) for run in runs)
        tables = [models(count, replica, changed) for changed in range(1, options.changes + 1)]
        times = await changes(gateway, port, tables, path)
        found["change p50 ms"] = 1e3 * statistics.median(times)
        found["change max ms"] = 1e3 * times[-1]
        found["envoy MiB"] = stack.process_of(str(folder / "bailie-envoy.json")).memory_info().rss / 2**20
        return found


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks routes", description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[10, 1000, 10_000])
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one run of load")
    parser.add_argument("--changes", type=int, default=20)
    add_json(parser)
    options = parser.parse_args(arguments)
    results = [asyncio.run(measure_one(count, options)) for count in options.models]
    for key in results[0]:
        print(f"{key:18}", *(f"{result[key]:12.2f}" for result in results))
    keep(options, results)
