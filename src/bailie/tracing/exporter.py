"""Sends the spans of a process to the collector: OTLP over gRPC, without TLS.

A process runs it beside its work, which never waits for it. A batch that the collector does not take in
time is dropped and counted, so that a collector that is away costs no memory. The next batch goes by another
connection then: that to a machine that is gone would hang until TCP gives up after a quarter of an hour.
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
EXPORT_SECONDS = 5.0
"""How long a batch may be under way."""
_OPTIONS = (
    # A channel that is made anew must not find the connection of the one before.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 10_000),
)


class SpanExporter:
    """Sends the spans of a tracer while `run` runs."""

    def __init__(
        self, tracer: Tracer, gather_seconds: float = GATHER_SECONDS, export_seconds: float = EXPORT_SECONDS
    ) -> None:
        self._tracer = tracer
        self._gather_seconds = gather_seconds
        self._export_seconds = export_seconds
        self._some = asyncio.Event()
        self._failing = False
        tracer.added = self._some.set

    async def run(self) -> None:
        """Sends until cancelled; the connection is made anew where the collector is another one, or hangs."""
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
        """Sends batches until the collector is another one, or one of them is not answered."""
        export = channel.unary_unary(METHOD, None, None)
        while True:
            await self._some.wait()
            await asyncio.sleep(self._gather_seconds)
            while self._tracer.collector == collector:
                batch = self._tracer.take(MOST_IN_BATCH)
                if not batch:
                    self._some.clear()
                    break
                if not await self._send(export, batch):
                    return
            else:
                return  # the rest is the other's, and the event is still set

    async def _send(self, export: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes], batch: list[Span]) -> bool:
        """Says whether there was an answer, of whatever kind."""
        try:
            await export(export_request(self._tracer.resource, batch), timeout=self._export_seconds)
        except grpc.aio.AioRpcError as error:
            self._drop(batch, "collector")
            if not self._failing:
                cause = error.details() or error.code().name
                log.warning("collector takes no spans", collector=str(self._tracer.collector), cause=cause)
            self._failing = True
            return error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
        SENT.inc(len(batch))
        self._failing = False
        return True

    def _drop(self, batch: list[Span], reason: str) -> None:
        DROPPED.labels(reason).inc(len(batch))
