"""Which models were asked for, as Envoys count it: counted routes, and a sink for their counters alone.

`routes` gives counted routes a counter, `bootstrap` makes Envoy send its counts every few seconds to the
scheduler that configures it, `ads` receives them. No request waits for any of this.

Envoy's own metrics service would send every statistic there is; this sink leaves out what it is told to.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bailie.gateway import descriptors

if TYPE_CHECKING:
    from bailie.routing.table import Route

SERVICE = "opentelemetry.proto.collector.metrics.v1.MetricsService"
REQUEST = "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest"
SINK = "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig"
DROP = "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig.DropAction"
NAME_INPUT = "envoy.extensions.matching.common_inputs.stats.v3.StatFullNameMatchInput"
FLUSH_INTERVAL = "2s"
"""How late a use is known. Envoy gathers all of its statistics each time, which it does every 5 s anyway."""

_PREFIX = "used"
_COUNTER = r"vhost\.(.+)\.route\." + _PREFIX + r"\.upstream_rq_total"
_COUNTER_NAME = re.compile(_COUNTER)


def stat_prefix(route: Route) -> dict[str, str]:
    """Returns the addition to each of Envoy's routes of a name that makes Envoy count its uses."""
    return {"stat_prefix": _PREFIX} if route.counted else {}


def sink(grpc_service: dict[str, Any]) -> dict[str, Any]:
    """Returns the entry of `stats_sinks`: increments of the counters of counted routes."""
    other = {
        "predicate": {"not_matcher": {"single_predicate": _is_counter()}},
        "on_match": {
            "action": {"name": "drop", "typed_config": {"@type": descriptors.type_url(DROP)}},
        },
    }
    config = {
        "@type": descriptors.type_url(SINK),
        "grpc_service": grpc_service,
        "report_counters_as_deltas": True,
        "emit_tags_as_attributes": False,
        "use_tag_extracted_name": False,
        "custom_metric_conversions": {"matcher_list": {"matchers": [other]}},
    }
    return {"name": "envoy.stat_sinks.open_telemetry", "typed_config": config}


def _is_counter() -> dict[str, Any]:
    name = {"name": "name", "typed_config": {"@type": descriptors.type_url(NAME_INPUT)}}
    return {"input": name, "value_match": {"safe_regex": {"google_re2": {}, "regex": _COUNTER}}}


def names_used(request: Any) -> frozenset[str]:
    """Returns the names in an ExportMetricsServiceRequest that were asked for since the one before.

    `instrumentation_library_metrics` is the name that field 2 had before it became `scope_metrics`.
    """
    metrics = (
        metric
        for resource in request.resource_metrics
        for scope in resource.instrumentation_library_metrics
        for metric in scope.metrics
    )
    return frozenset(
        found[1]
        for metric in metrics
        if (found := _COUNTER_NAME.fullmatch(metric.name)) is not None and _grew(metric)
    )


def _grew(metric: Any) -> bool:
    return any(point.as_int > 0 or point.as_double > 0 for point in metric.sum.data_points)
