"""Reports of the request metrics: the sink by which each Envoy sends them, and their reading.

`bootstrap` gives the sink to an Envoy, which from then on sends its request metrics every few seconds to the
scheduler that configures it; `ads` receives them and `request_counts` adds them up. No request waits for any
of this.

Counters and histograms come as totals of the Envoy's life, so that a report that is lost, or comes twice,
changes nothing. Envoy leaves out those that were not used since it last looked for idle ones
(`stats_eviction_interval`). A counter of Envoy's own is in each, so that none is without the Envoy's start.
A report of many series comes in parts, each a call of its own, in any order; all that they have in common
is their time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from bailie.gateway import access_log, descriptors
from bailie.gateway.payload_counts import NAMES, PAYLOADS
from bailie.gateway.request_metrics import IN_FLIGHT, PREFIX
from bailie.kube.protobuf_fields import DELIMITED, FieldCount, MalformedMessage, fields

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

SERVICE = "opentelemetry.proto.collector.metrics.v1.MetricsService"
REQUEST = "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest"
METRIC = "opentelemetry.proto.metrics.v1.Metric"
SINK = "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig"
DROP = "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig.DropAction"
NAME_INPUT = "envoy.extensions.matching.common_inputs.stats.v3.StatFullNameMatchInput"
POD = "bailie-pod"
"""The key of a call's metadata that has the name of the Envoy's pod."""
ALWAYS = "cluster_manager.cluster_added"
"""A counter that each Envoy has used before its first report: it brings the Envoy's start into each
report."""
MOST_POINTS = 4_000
"""Series in one message: 5 MB where all names are as long as they may be (`xds_requests.LONGEST`), and 1 to
2 MB where they are as usual. An Envoy opens a connection for each message."""
FLUSH_SECONDS = 2
"""How late a request is known. Envoy gathers all of its statistics each time, as it does every 5 s anyway."""

_IN_FLIGHT = f"{PREFIX}.{IN_FLIGHT}.model."
_RESOURCE_METRICS, _SCOPE_METRICS, _METRICS = 1, 2, 2
"""The fields that lead from a request to its metrics."""
_SLICE = 200
"""Metrics between two chances for others to run: some milliseconds."""
_LONGEST_METRIC = 64 << 10
"""Bytes of a metric: its name of some hundred characters, and one point with a number for each bucket."""
_MOST_METRICS = 100_000
"""Of a message: more than have room in one, and those of an Envoy that was started before there were
parts."""
_MOST_OTHERS = 1_000
"""Fields around the metrics of a request, and beside them in a message; Envoy's requests have about five."""
_LEAST_NANOSECONDS = 10**17
"""Of 1973; as microseconds of the year 5138."""
_KINDS = frozenset({"gauge", "sum", "histogram"})

Value = int | tuple[int, ...]
"""A counter, or a histogram: its count per bucket, and at last the sum of all values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyReport:
    """The request metrics of an Envoy at one moment, or a part of them.

    `values` has counters and histograms by Envoy's names, as totals since the Envoy `started`: by the clock
    of its machine, in seconds, and 0 where the report has none of them. `in_flight` are requests under way
    by the name of their route. `at` is the moment, by the same clock; reports of one moment are parts of
    one. `full` says that this one has as much as a part may have, so that there are others.
    """

    pod: str
    started: float
    at: float
    values: Mapping[str, Value]
    in_flight: Mapping[str, int]
    full: bool = False


class ImpossibleReport(ValueError):  # noqa: N818 - the name of what the sender made
    """Bytes that no Envoy sends as its request metrics; the text says why."""


def sink(grpc_service: dict[str, Any], pod: str) -> dict[str, Any]:
    """Returns the entry of `stats_sinks` for the Envoy in `pod`: its request metrics alone, by name, those of
    payload logs, the count of lines that its access log left out, and `ALWAYS`."""
    name = {"name": "name", "typed_config": {"@type": descriptors.type_url(NAME_INPUT)}}
    matches = (
        {"prefix": f"{PREFIX}."},
        {"exact": ALWAYS},
        {"exact": access_log.LEFT_OUT},
        {"prefix": PAYLOADS},
        {"safe_regex": {"google_re2": {}, "regex": NAMES}},
    )
    own, always, left_out, of_sink, payloads = (
        {"single_predicate": {"input": name, "value_match": match}} for match in matches
    )
    # Of thousands of clusters nearly all counters are none of a sink: these are not to pass the expression.
    counts_events = {"and_matcher": {"predicate": [of_sink, payloads]}}
    is_ours = {"or_matcher": {"predicate": [own, always, left_out, counts_events]}}
    drop = {"name": "drop", "typed_config": {"@type": descriptors.type_url(DROP)}}
    others = {"predicate": {"not_matcher": is_ours}, "on_match": {"action": drop}}
    metadata = [*grpc_service["initial_metadata"], {"key": POD, "value": pod}]
    config = {
        "@type": descriptors.type_url(SINK),
        "grpc_service": {**grpc_service, "initial_metadata": metadata},
        "emit_tags_as_attributes": False,
        "use_tag_extracted_name": False,
        "custom_metric_conversions": {"matcher_list": {"matchers": [others]}},
        "max_data_points_per_request": MOST_POINTS,
    }
    return {"name": "envoy.stat_sinks.open_telemetry", "typed_config": config}


def read(data: bytes, pod: str) -> Generator[None, None, EnvoyReport]:
    """Returns the report in an ExportMetricsServiceRequest of the Envoy in `pod`, yielding between slices of
    the work. Raises ImpossibleReport."""
    values: dict[str, Value] = {}
    in_flight: dict[str, int] = {}
    started, at, points = 0.0, 0, 0
    for number, metric in enumerate(_metrics(data), 1):
        if not number % _SLICE:
            yield
        name, kind = metric.name, metric.WhichOneof("data")
        # With `custom_metric_conversions` Envoy adds points of one name up, so that there is one.
        for point in getattr(metric, kind).data_points if kind in _KINDS else ():
            points, at = points + 1, max(at, point.time_unix_nano)
            if kind == "gauge":
                if name.startswith(_IN_FLIGHT):
                    in_flight[name[len(_IN_FLIGHT) :]] = max(point.as_int, 0)
                continue
            started = _start(point.start_time_unix_nano)
            values[name] = (
                max(point.as_int, 0) if kind == "sum" else (*point.bucket_counts, _whole(point.sum))
            )
    if not at:
        raise ImpossibleReport("no value in the report has a time")
    return EnvoyReport(
        pod=pod, started=started, at=at / 1e9, values=values, in_flight=in_flight, full=points >= MOST_POINTS
    )


def _metrics(data: bytes) -> Iterator[Any]:
    """Yields the metrics of a request, each read by itself: all of a long request at once may be millions."""
    metric = descriptors.message_class(METRIC)
    outer, inner = FieldCount(_MOST_OTHERS), FieldCount(_MOST_METRICS)
    try:
        for resource in _within(data, (0, len(data)), _RESOURCE_METRICS, outer):
            for scope in _within(data, resource, _SCOPE_METRICS, outer):
                for at, end in _within(data, scope, _METRICS, inner):
                    if end - at > _LONGEST_METRIC:
                        raise ImpossibleReport(f"a metric has {end - at} bytes, more than {_LONGEST_METRIC}")
                    yield metric.FromString(data[at:end])
    except (MalformedMessage, DecodeError) as error:
        raise ImpossibleReport(f"this is no {REQUEST}: {error}") from error


def _within(data: bytes, place: tuple[int, int], number: int, count: FieldCount) -> Iterator[tuple[int, int]]:
    """Yields the places of the messages in a field of the message at a place."""
    others = 0
    for found, wire, _, at, end in fields(data, *place, count):
        if (found, wire) == (number, DELIMITED):
            yield at, end
            continue
        others += 1
        if others > _MOST_OTHERS:
            raise ImpossibleReport(f"more than {_MOST_OTHERS} fields beside the metrics are in one message")


def _start(told: int) -> float:
    """Returns a start in seconds. Envoy 1.40 tells microseconds in the field of nanoseconds."""
    return told / (1e6 if told < _LEAST_NANOSECONDS else 1e9)


def _whole(value: float) -> int:
    """Returns a sum that counts, whatever was sent."""
    return round(value) if 0 <= value < 2**63 else 0
