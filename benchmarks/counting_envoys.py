"""Envoys that count requests in three ways, before a server that answers at once, and their callers.

Used by `request_metrics` and `hot_models`.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from bailie.gateway import listener, request_metrics
from bailie.gateway.publisher import Gateway
from bailie.gateway.request_counts import RequestCounts
from bailie.routing.table import ReplicaEndpoint
from benchmarks import stack
from benchmarks.routes import acknowledged, instant_server, models

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    import psutil

    from bailie.gateway.request_reports import EnvoyReport

CONNECTIONS = 8
MEBIBYTE = 2**20
_PATIENCE = 60.0


class TimedCounts(RequestCounts):
    """Notes the processor time that each report took."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def take(self, report: EnvoyReport, now: float) -> Generator[None, None, frozenset[str]]:
        """Adds a report as `RequestCounts` does."""
        slices, spent = super().take(report, now), 0.0
        while True:
            start = time.process_time()
            try:
                next(slices)
            except StopIteration as end:
                used: frozenset[str] = end.value
                self.seconds.append(spent + time.process_time() - start)
                return used
            spent += time.process_time() - start
            yield


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


async def call_all(port: int, count: int, kind: str = "model") -> None:
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
