"""Request metrics: Envoy counts inferences by model and replica, their times, and those under way.

`listener` adds the loggers of this module to its own, so Envoy counts while it logs and no process stands on
the path of a request; `request_reports` brings the figures to the scheduler. Envoy's extension for it makes
a series for each set of labels: these come from the routes (`routes` gives them the name that callers use),
from the endpoints (`clusters` says which replica each one is), from the choice among several versions and
from the answer, never from the caller's words, so that a caller cannot make series.

Names and labels are those of Seldon Core (`seldon_model_infer_total`), with `envoy_` before them; times are
in microseconds here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bailie.gateway import descriptors
from bailie.routing.requests import TIME_BOUNDS
from bailie.wellknown import headers

if TYPE_CHECKING:
    from bailie.routing.table import ReplicaEndpoint

LOGGER = "envoy.extensions.access_loggers.stats.v3.Config"
METADATA = "bailie"
"""Where an endpoint's metadata say which replica of which server it is."""
FOUND_LATE = "found_late"
ASLEEP = "asleep"
"""Where a request's metadata say for which Model it is kept: meanwhile it has no route (`asleep.lua`)."""
KEPT_FOR = {"command": "DYNAMIC_METADATA", "param": f"{METADATA}:{ASLEEP}"}
VERSION = "version"
"""Where a request's metadata say which of several versions was chosen for it (`request.lua`), so that a
caller who leaves before the answer counts as one of that version."""
PINNED = "pinned"
"""Behind a version (`:iris_3:pinned`) that was not chosen by chance, but named by its caller."""
UNARY = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
REST_INFERENCE = r"[^?#]*/(infer|infer_stream|generate|generate_stream|completions|embeddings)/*([?#].*)?"
"""The paths of inference, those of OpenAI's API among them. A query may have any text, and makes none."""
_FROM_END = {"command": "COMMON_DURATION", "param": "DS_RX_END:DS_TX_END:us"}
_FROM_BEGINNING = {"command": "COMMON_DURATION", "param": "DS_RX_BEG:DS_TX_END:us"}
OF_REQUEST = f"%COALESCE({json.dumps({'operators': [_FROM_END, _FROM_BEGINNING]})})%"
"""The time of a request: from its last byte, for a caller who sends it slowly makes no Model slow, and needs
no more replicas. From its first one where the answer came before the request had ended."""
OF_STREAM = f"%{_FROM_BEGINNING['command']}({_FROM_BEGINNING['param']})%"
"""The time of a stream, which its caller ends as late as he likes, after many an answer."""
PREFIX = "seldon"
TOTAL, MICROSECONDS_TOTAL, TIMES = (
    "model_infer_total",
    "model_infer_microseconds_total",
    "model_infer_api_microseconds",
)
IN_FLIGHT, COPIES = "model_infer_in_flight", "model_mirrored_total"
LABELS = ("model", "model_internal", "server", "server_replica", "method_type", "code", "flags")
"""Of `TOTAL`, `MICROSECONDS_TOTAL` and `TIMES`, in this order. `flags` are Envoy's, which know of a caller
who left (`request_labels`); the code alone does not."""
IDLE_SECONDS = 900
"""How often Envoy looks for idle series; two of these after its last use a series is dropped, for models are
deleted, and versions and replicas go."""
BUCKETS = tuple(float(round(1e6 * each)) for each in TIME_BOUNDS)
"""Upper ends in microseconds, from a millisecond to ten seconds."""
KNOWN_STATUSES = (
    "OK",
    "CANCELED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""The code of any other status is Unknown, for a model's code may answer any number."""
_CHOSEN = {"command": "DYNAMIC_METADATA", "param": f"{METADATA}:{VERSION}"}
_ANSWERED = {"command": "RESP", "param": headers.ROUTE}
_NAME = f"%COALESCE({json.dumps({'operators': ['ROUTE_NAME', KEPT_FOR]})})%"
_VERSION_OF_REQUEST = f"%COALESCE({json.dumps({'operators': [_CHOSEN, _ANSWERED]})})%"
MOST_SERIES = 500_000
"""Of one kind in an Envoy: 10,000 models on 10 replicas with 5 codes each. More are not counted."""


def endpoint_labels(replica: ReplicaEndpoint) -> dict[str, Any]:
    """Returns the metadata by which the series of requests to `replica` are labelled."""
    server, _, number = replica.name.rpartition("-")
    # An agent that answers for a model that is not in memory counts as its replica: mlserver-0.held.
    labels = {"server": server, "server_replica": number.partition(".")[0]}
    fields = {key: {"string_value": value} for key, value in labels.items()}
    return {"filter_metadata": {METADATA: {"fields": fields}}}


def buckets() -> dict[str, Any]:
    """Returns the bootstrap's entry for the histogram of times."""
    return {"match": {"prefix": f"{PREFIX}."}, "buckets": list(BUCKETS)}


def loggers() -> list[dict[str, Any]]:
    """Returns the access loggers that count: those of ended requests, and that of those under way."""
    grpc = [
        _of_ended("grpc", code, time, _of_path({"exact": path}), status)
        for path, time in ((UNARY, OF_REQUEST), (STREAM, OF_STREAM))
        for code, status in (
            ("%GRPC_STATUS%", _grpc_status(KNOWN_STATUSES)),
            ("Unknown", _grpc_status(KNOWN_STATUSES, exclude=True)),
        )
    ]
    rest = _of_ended("rest", "%RESPONSE_CODE%", OF_REQUEST, _rest_calls())
    return [*grpc, rest, _under_way(_inferences())]


def copies_logger() -> dict[str, Any]:
    """Returns the access logger that counts copies of requests, which are no requests of callers."""
    stats = {"counters": [{"stat": _stat(COPIES, {"model": "%ROUTE_NAME%"}), "value_fixed": 1}]}
    return _logger("copies", stats, _at("DownstreamEnd"), _inferences())


def _inferences() -> dict[str, Any]:
    grpc = [_of_path({"exact": path}) for path in (UNARY, STREAM)]
    return {"or_filter": {"filters": [_rest_calls(), *grpc]}}


def _rest_calls() -> dict[str, Any]:
    return _of_path({"safe_regex": {"regex": REST_INFERENCE}})


def _of_path(match: dict[str, Any]) -> dict[str, Any]:
    return {"header_filter": {"header": {"name": ":path", "string_match": match}}}


def _grpc_status(statuses: tuple[str, ...], *, exclude: bool = False) -> dict[str, Any]:
    return {"grpc_status_filter": {"statuses": statuses, "exclude": exclude}}


def _of_ended(method: str, code: str, time: str, *calls: dict[str, Any]) -> dict[str, Any]:
    server, replica = (f"%UPSTREAM_METADATA({METADATA}:{key})%" for key in ("server", "server_replica"))
    values = (_NAME, _VERSION_OF_REQUEST, server, replica, method, code, "%RESPONSE_FLAGS%")
    labels = dict(zip(LABELS, values, strict=True))
    stats = {
        "counters": [
            {"stat": _stat(TOTAL, labels), "value_fixed": 1},
            {"stat": _stat(MICROSECONDS_TOTAL, labels), "value_format": time},
        ],
        "histograms": [{"stat": _stat(TIMES, labels), "unit": "Microseconds", "value_format": time}],
    }
    return _logger(f"ended-{method}", stats, _at("DownstreamEnd"), *calls)


def _under_way(calls: dict[str, Any]) -> dict[str, Any]:
    """Returns the logger of requests under way. A request whose message names the model is none of them, for
    at its beginning Envoy knows no model (`naming.lua` marks these)."""
    paired = {"add_log_type": "DownstreamStart", "sub_log_type": "DownstreamEnd"}
    stat = _stat(IN_FLIGHT, {"model": _NAME})
    stats = {"gauges": [{"stat": stat, "value_fixed": 1, "add_subtract": paired}]}
    found_late = {"filter": METADATA, "path": [{"key": FOUND_LATE}], "value": {"bool_match": False}}
    known = {"metadata_filter": {"matcher": found_late, "match_if_key_not_found": True}}
    return _logger("under-way", stats, _at("DownstreamStart", "DownstreamEnd"), calls, known)


def _at(*moments: str) -> dict[str, Any]:
    return {"log_type_filter": {"types": moments}}


def _logger(name: str, stats: dict[str, Any], *filters: dict[str, Any]) -> dict[str, Any]:
    scope = {
        "prefix": PREFIX,
        "enable_eviction": True,
        "max_counters": 2 * MOST_SERIES,
        "max_gauges": MOST_SERIES,
        "max_histograms": MOST_SERIES,
    }
    config = {"@type": descriptors.type_url(LOGGER), "stats_scope": scope, **stats}
    post = {"header_filter": {"header": {"name": ":method", "string_match": {"exact": "POST"}}}}
    return {"name": name, "filter": {"and_filter": {"filters": [*filters, post]}}, "typed_config": config}


def _stat(name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "tags": [{"name": key, "value_format": value} for key, value in labels.items()]}
