"""Sends the spans of a process to the collector: OTLP over gRPC, without TLS.

A process runs it beside its work, which never waits for it. A batch that the collector does not take in
time is dropped and counted, so that a collector that is away costs no memory.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import structlog

from bailie.tracing.metrics import DROPPED, SENT
from bailie.tracing.spans import export_request
from bailie.tracing.tracer import MOST_WAITING

if TYPE_CHECKING:
    from bailie.api.collector import Collector
    from bailie.tracing.spans import Span
    from bailie.tracing.tracer import Tracer

log = structlog.get_logger(__name__)

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
GATHER_SECONDS = 1.0
"""How long spans are gathered into a batch."""
MOST_IN_BATCH = 512
_EXPORT_SECONDS = 5.0
_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 10_000),
)


class SpanExporter:
    """Sends the spans of a tracer while `run` runs."""

    def __init__(self, tracer: Tracer, gather_seconds: float = GATHER_SECONDS) -> None:
        self._tracer = tracer
        self._gather_seconds = gather_seconds
        self._some = asyncio.Event()
        self._failing = False
        tracer.added = self._some.set

    async def run(self) -> None:
        """Sends until cancelled; the connection is made anew where the collector is another one."""
        while True:
            await self._some.wait()
            collector = self._tracer.collector
            if collector is None:
                self._drop(self._tracer.take(MOST_WAITING), "collector")
                self._some.clear()
                continue
            async with grpc.aio.insecure_channel(str(collector), options=_OPTIONS) as channel:
                await self._send_all(channel, collector)

    async def _send_all(self, channel: grpc.aio.Channel, collector: Collector) -> None:
        """Sends batches until the collector is another one."""
        export = channel.unary_unary(METHOD, None, None)
        while True:
            await self._some.wait()
            await asyncio.sleep(self._gather_seconds)
            while self._tracer.collector == collector:
                batch = self._tracer.take(MOST_IN_BATCH)
                if not batch:
                    self._some.clear()
                    break
                await self._send(export, batch)
            else:
                return  # the rest is the other's, and the event is still set

    async def _send(self, export: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes], batch: list[Span]) -> None:
        try:
            await export(export_request(self._tracer.resource, batch), timeout=_EXPORT_SECONDS)
        except grpc.aio.AioRpcError as error:
            self._drop(batch, "collector")
            if not self._failing:
                cause = error.details() or error.code().name
                log.warning("collector takes no spans", collector=str(self._tracer.collector), cause=cause)
            self._failing = True
            return
        SENT.inc(len(batch))
        self._failing = False

    def _drop(self, batch: list[Span], reason: str) -> None:
        DROPPED.labels(reason).inc(len(batch))
