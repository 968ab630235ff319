"""Reports of the request metrics: the sink by which each Envoy sends them, and their reading.

`bootstrap` gives the sink to an Envoy, which from then on sends its request metrics every few seconds to the
scheduler that configures it; `ads` receives them and `request_counts` adds them up. No request waits for any
of this.

Counters and histograms come as totals of the Envoy's life, so that a report that is lost, or comes twice,
changes nothing. Envoy leaves out those that were not used since it last looked for idle ones
(`stats_eviction_interval`). Its uptime is in every report, so that none is empty: Envoy would not send it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.gateway import descriptors
from bailie.gateway.payload_counts import NAMES, PAYLOADS
from bailie.gateway.request_metrics import IN_FLIGHT, PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SERVICE = "opentelemetry.proto.collector.metrics.v1.MetricsService"
REQUEST = "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest"
SINK = "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig"
DROP = "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig.DropAction"
NAME_INPUT = "envoy.extensions.matching.common_inputs.stats.v3.StatFullNameMatchInput"
POD = "bailie-pod"
"""The key of a call's metadata that has the name of the Envoy's pod."""
UPTIME = "server.uptime"
FLUSH_SECONDS = 2
"""How late a request is known. Envoy gathers all of its statistics each time, as it does every 5 s anyway."""

_IN_FLIGHT = f"{PREFIX}.{IN_FLIGHT}.model."

_KINDS = frozenset({"gauge", "sum", "histogram"})

Value = int | tuple[int, ...]
"""A counter, or a histogram: its count per bucket, and at last the sum of all values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyReport:
    """The request metrics of an Envoy at one moment.

    `values` has counters and histograms by Envoy's names, as totals since the Envoy `started`: a number that
    is 0 where the report has none of them. `in_flight` are requests under way by the name of their route.
    `at` is in seconds, by the clock of the Envoy's machine; `uptime` is the Envoy's age in whole seconds.
    """

    pod: str
    started: int
    uptime: int
    at: float
    values: Mapping[str, Value]
    in_flight: Mapping[str, int]


def sink(grpc_service: dict[str, Any], pod: str) -> dict[str, Any]:
    """Returns the entry of `stats_sinks` for the Envoy in `pod`: its request metrics alone, by name, and
    those of payload logs."""
    name = {"name": "name", "typed_config": {"@type": descriptors.type_url(NAME_INPUT)}}
    matches = (
        {"prefix": f"{PREFIX}."},
        {"exact": UPTIME},
        {"prefix": PAYLOADS},
        {"safe_regex": {"google_re2": {}, "regex": NAMES}},
    )
    own, uptime, of_sink, payloads = (
        {"single_predicate": {"input": name, "value_match": match}} for match in matches
    )
    # Of thousands of clusters nearly all counters are none of a sink: these are not to pass the expression.
    counts_events = {"and_matcher": {"predicate": [of_sink, payloads]}}
    is_ours = {"or_matcher": {"predicate": [own, uptime, counts_events]}}
    drop = {"name": "drop", "typed_config": {"@type": descriptors.type_url(DROP)}}
    others = {"predicate": {"not_matcher": is_ours}, "on_match": {"action": drop}}
    metadata = [*grpc_service["initial_metadata"], {"key": POD, "value": pod}]
    config = {
        "@type": descriptors.type_url(SINK),
        "grpc_service": {**grpc_service, "initial_metadata": metadata},
        "emit_tags_as_attributes": False,
        "use_tag_extracted_name": False,
        "custom_metric_conversions": {"matcher_list": {"matchers": [others]}},
    }
    return {"name": "envoy.stat_sinks.open_telemetry", "typed_config": config}


def read(request: Any, pod: str) -> EnvoyReport:
    """Returns the report in an ExportMetricsServiceRequest of the Envoy in `pod`."""
    values: dict[str, Value] = {}
    in_flight: dict[str, int] = {}
    started = uptime = at = 0
    for metric in _metrics(request):
        name, kind = metric.name, metric.WhichOneof("data")
        # With `custom_metric_conversions` Envoy adds points of one name up, so that there is one.
        for point in getattr(metric, kind).data_points if kind in _KINDS else ():
            at = max(at, point.time_unix_nano)
            if kind == "gauge":
                if name.startswith(_IN_FLIGHT):
                    in_flight[name[len(_IN_FLIGHT) :]] = max(point.as_int, 0)
                elif name == UPTIME:
                    uptime = max(point.as_int, 0)
                continue
            started = point.start_time_unix_nano
            values[name] = (
                max(point.as_int, 0) if kind == "sum" else (*point.bucket_counts, _whole(point.sum))
            )
    return EnvoyReport(
        pod=pod, started=started, uptime=uptime, at=at / 1e9, values=values, in_flight=in_flight
    )


def _metrics(request: Any) -> Iterator[Any]:
    """Yields the metrics of a request.

    `instrumentation_library_metrics` is the name that field 2 had before it became `scope_metrics`.
    """
    scopes: Iterable[Any] = (
        scope for resource in request.resource_metrics for scope in resource.instrumentation_library_metrics
    )
    return (metric for scope in scopes for metric in scope.metrics)


def _whole(value: float) -> int:
    """Returns a sum that counts, whatever was sent."""
    return round(value) if 0 <= value < 2**63 else 0
