"""Traces of requests: Envoy makes a span of each request and sends it to the collector.

`listener` puts the tracer into the listener for requests, `resources` the collector's cluster beside it. A
request belongs to its caller's trace, and is recorded if the caller's is (W3C `traceparent`); of the others a
part is. Nothing waits for the collector: Envoy gathers spans, and drops those that it cannot send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.gateway import descriptors
from bailie.gateway.clusters import HTTP_OPTIONS, pings
from bailie.gateway.request_metrics import METADATA
from bailie.wellknown import headers, names

if TYPE_CHECKING:
    from bailie.api.collector import Collector

CLUSTER = "traces"
TRACER = "envoy.config.trace.v3.OpenTelemetryConfig"
_SAMPLERS = "envoy.extensions.tracers.opentelemetry.samplers.v3"
PARENT_BASED = f"{_SAMPLERS}.ParentBasedSamplerConfig"
RATIO_BASED = f"{_SAMPLERS}.TraceIdRatioBasedSamplerConfig"
RESOURCE = "envoy.extensions.tracers.opentelemetry.resource_detectors.v3.StaticConfigResourceDetectorConfig"
REQUEST_ID = "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig"
RUNTIME = {
    "tracing.opentelemetry.flush_interval_ms": 1_000,
    "tracing.opentelemetry.min_flush_spans": 256,
}
"""For the bootstrap: how long a worker of an Envoy gathers spans, and how many at most. By default people
wait 5 s for a trace, and each five spans are a call of the collector."""
_MILLION = 1_000_000
_MOST_EXPORTS = 16
"""Batches of spans under way at a time."""
_EXPORT_SECONDS = 5
"""How long a batch may be under way. The tracer itself knows no end: batches that are never answered would
take all places for good."""
_PING_SECONDS = 3
"""How long the collector may take to answer the ping with which a batch begins after a silence. Without pings
a collector whose machine is gone would be asked until TCP gives up after a quarter of an hour."""


def of_requests(collector: Collector, namespace: str) -> dict[str, Any]:
    """Returns the fields of a connection manager whose requests are traced."""
    tracer = {
        "@type": descriptors.type_url(TRACER),
        "grpc_service": {"envoy_grpc": {"cluster_name": CLUSTER}},
        "service_name": names.ENVOY,
        "resource_detectors": [_extension(RESOURCE, attributes={"k8s.namespace.name": namespace})],
        "sampler": _extension(PARENT_BASED, wrapped_sampler=_ratio(collector.ratio)),
    }
    return {
        "tracing": {
            "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": tracer},
            "operation": "%REQ(:METHOD)% %ROUTE_NAME%",
            "custom_tags": [{"tag": tag, "value": value} for tag, value in _ATTRIBUTES.items()],
        },
        # The sampler alone decides. By default the request's id does, and has the decision written into it:
        # an id that is no UUID would never be traced, and callers would not get their own id back.
        "request_id_extension": {
            "typed_config": {
                "@type": descriptors.type_url(REQUEST_ID),
                "pack_trace_reason": False,
                "use_request_id_for_trace_sampling": False,
            }
        },
    }


_ATTRIBUTES = {
    "model": "%ROUTE_NAME%",
    "version": f"%RESP({headers.ROUTE})%",
    "server": f"%UPSTREAM_METADATA({METADATA}:server)%",
    "replica": f"%UPSTREAM_METADATA({METADATA}:server_replica)%",
    "x-request-id": "%REQ(x-request-id)%",
}


def _ratio(ratio: float) -> dict[str, Any]:
    part = {"numerator": round(ratio * _MILLION), "denominator": "MILLION"}
    return _extension(RATIO_BASED, sampling_percentage=part)


def _extension(kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": kind.rpartition(".")[2], "typed_config": {"@type": descriptors.type_url(kind), **fields}}


def cluster(collector: Collector) -> Any:
    """Returns the Cluster message of the collector. Nothing waits until its name is found."""
    address = {"socket_address": {"address": collector.host, "port_value": collector.port}}
    options = {
        "@type": descriptors.type_url(HTTP_OPTIONS),
        "explicit_http_config": {"http2_protocol_options": {"connection_keepalive": pings(_PING_SECONDS)}},
        "common_http_protocol_options": {"max_stream_duration": f"{_EXPORT_SECONDS}s"},
    }
    limits = {"max_pending_requests": _MOST_EXPORTS, "max_requests": _MOST_EXPORTS}
    return descriptors.parse(
        {
            "name": CLUSTER,
            "type": "STRICT_DNS",
            "dns_lookup_family": "ALL",
            "wait_for_warm_on_init": False,
            "connect_timeout": "1s",
            "circuit_breakers": {"thresholds": [{"priority": "DEFAULT", **limits}]},
            "load_assignment": {
                "cluster_name": CLUSTER,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
            },
            "typed_extension_protocol_options": {HTTP_OPTIONS: options},
        },
        descriptors.CLUSTER,
    )
