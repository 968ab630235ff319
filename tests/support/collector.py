"""A collector of traces on loopback: an OTLP receiver over gRPC that keeps the spans that it gets.

Envoy's and MLServer's spans are read by the messages by which Bailie writes its own (otlp.proto), so that
these fit OpenTelemetry's.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
from tests.support.dataplane import until
from tests.support.ports import free_port

from bailie._gen import otlp_pb2 as pb
from bailie.api.collector import Collector

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
SAMPLED, UNSAMPLED = (f"00-{TRACE}-{CALLER}-{flags}" for flags in ("01", "00"))


@dataclass(frozen=True)
class SeenSpan:
    """A span as the collector got it; ids are hexadecimal."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    error: bool
    attributes: dict = field(compare=False)
    resource: dict = field(compare=False)


@dataclass
class TraceCollector:
    """The spans so far. Calls that come while `holds` is true are never answered."""

    port: int = 0
    spans: list[SeenSpan] = field(default_factory=list)
    holds: bool = False

    def target(self, ratio=1.0):
        """Where spans are to be sent."""
        return Collector("127.0.0.1", self.port, ratio)

    def of(self, service, name="", trace=None):
        """The spans of a service, of this name and trace where these are given."""
        return [
            each
            for each in self.spans
            if each.service == service and name in {"", each.name} and trace in {None, each.trace}
        ]

    async def one(self, service, name="", trace=None):
        """Waits for such a span, and returns the first."""
        await until(lambda: self.of(service, name, trace), f"{service} sends {name or 'a span'}", 20)
        return self.of(service, name, trace)[0]

    async def export(self, data, context):
        if self.holds:
            await asyncio.Event().wait()
        return self.take(data)

    def take(self, data):
        """Reads a request of the protocol; returns the answer."""
        for each in pb.ExportTraceServiceRequest.FromString(data).resource_spans:
            resource = _values(each.resource.attributes)
            for span in (span for scope in each.scope_spans for span in scope.spans):
                self.spans.append(_seen(span, resource))
        return b""


def _seen(span, resource):
    return SeenSpan(
        service=resource.get("service.name", ""),
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        kind=span.kind,
        error=span.status.code == pb.Status.STATUS_CODE_ERROR,
        attributes=_values(span.attributes),
        resource=resource,
    )


def _values(attributes):
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in attributes
    }


@asynccontextmanager
async def collector(port=0):
    """Listens while entered."""
    found = TraceCollector()
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(found.export)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": handler}),))
    found.port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield found
    finally:
        await server.stop(0)


@asynccontextmanager
async def vanished():
    """The port of a collector whose machine is gone once `connected` is set: the connection to it stays, and
    says nothing, and the port is free for another collector."""

    async def take():
        with socket.create_server(("127.0.0.1", port)) as listening:
            listening.setblocking(False)
            kept, _ = await asyncio.get_running_loop().sock_accept(listening)
        connected.set()
        with kept:
            await asyncio.Event().wait()

    port, connected = free_port(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(take())
        yield port, connected
        taking.cancel()
