"""Access logs: which requests an Envoy writes down, what of them, and where to.

`listener` puts the logger into the listeners for requests and for copies of them. A line of JSON has the
facts of one request that has ended, and nothing secret: no body, no header but those named here, no query of
a path. Texts of callers are cut, and Envoy escapes them, so that a caller writes neither a second line nor a
second field. Lines of failures are bounded in classes of their own, so that a flood of requests to names
that do not exist hides no failure of a Model. The filters of access logs are used for Envoy's own answers,
too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bailie.gateway import descriptors
from bailie.gateway.request_metrics import KEPT_FOR, METADATA
from bailie.wellknown import headers, logged

EXPRESSION = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
RATE_LIMIT = "envoy.extensions.access_loggers.filters.process_ratelimit.v3.ProcessRateLimitFilter"
STDOUT_LOG = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
STDERR_LOG = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog"
FILE_LOG = "envoy.extensions.access_loggers.file.v3.FileAccessLog"
FLUSH_MILLISECONDS = 1_000
"""How long Envoy gathers lines, for its command line. By default people wait 10 s for a line."""
FILE_BYTES = 2**28
"""Where a log that is a file ends (256 MiB). Envoy turns no file over, and a disk is its machine's."""
FIRST_FAILURE = 400
"""The lowest status of a failure, as in Seldon Core."""
LEFT_OUT = "access_log.process_ratelimit.denied"
"""Envoy's counter of the lines that a bucket left out."""
_OF_CALLER = (
    "(!has(response.code) || (response.code >= 400 ? response.code < 500"
    # Unknown, DeadlineExceeded, Internal, Unavailable, DataLoss: of servers.
    " : !(has(response.grpc_status) && response.grpc_status in [2, 4, 13, 14, 15])))"
)
"""True of failures that a caller can make at will: statuses of 4xx, those of gRPC like them, and requests
without a status, whose caller left."""
_ASKED = "has(upstream.address)"


@dataclass(frozen=True, slots=True)
class Bucket:
    """The lines of one class of failures: so many at once, and so many a second, for each Envoy.

    `when` is an expression of Envoy's that is true of them, empty for all; of the classes of one logger it is
    true of one.
    """

    name: str
    when: str
    at_once: int
    each_second: int


OF_REQUESTS = (
    Bucket("access-log/nowhere", f"{_OF_CALLER} && !{_ASKED}", 100, 10),
    Bucket("access-log/refused", f"{_OF_CALLER} && {_ASKED}", 200, 20),
    Bucket("access-log/failed", f"!{_OF_CALLER}", 1_000, 100),
)
"""Requests that no server was asked for, as to unknown names; requests that a server refused; the others,
which got no answer, or an answer that is the server's fault."""
OF_COPIES = (Bucket("access-log/copies", "", 100, 10),)
BUCKETS = {each.name: each for each in (*OF_REQUESTS, *OF_COPIES)}
_ASKED_FOR = {"command": "REQ", "param": headers.MODEL, "max_length": 256}
FIELDS = {
    "time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:PATH):512%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "grpc_status": "%GRPC_STATUS%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "model": f"%COALESCE({json.dumps({'operators': ['ROUTE_NAME', KEPT_FOR, _ASKED_FOR]})})%",
    "version": f"%RESP({headers.ROUTE}):256%",
    "server": f"%UPSTREAM_METADATA({METADATA}:server)%",
    "server_replica": f"%UPSTREAM_METADATA({METADATA}:server_replica)%",
    "host": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "duration_ms": "%DURATION%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "request_id": "%REQ(x-request-id):128%",
    "trace_id": "%TRACE_ID%",
}
"""Of each line, with the names of Envoy's operators. Numbers are numbers, and an absent value is null."""


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Which requests are logged (`wellknown.logged`), and the path of the log."""

    which: str = logged.FAILURES
    path: str = logged.STDOUT


def loggers(log: AccessLog, buckets: tuple[Bucket, ...] = OF_REQUESTS, **more: str) -> list[dict[str, Any]]:
    """Returns the access loggers of a connection manager: none, one for all requests, or one for each class
    of failures. `more` are further fields of a line."""
    if log.which == logged.NONE:
        return []
    ended = {"log_type_filter": {"types": ["DownstreamEnd"]}}
    kind, where = _target(log.path)
    config = {"@type": descriptors.type_url(kind), **where, "log_format": {"json_format": {**more, **FIELDS}}}
    if log.which == logged.ALL:
        return [{"name": "access", "filter": ended, "typed_config": config}]
    return [
        {"name": each.name, "filter": both(ended, _failed(), *_bounded(each)), "typed_config": config}
        for each in buckets
    ]


def _bounded(bucket: Bucket) -> list[dict[str, Any]]:
    """Returns the filters of a class of failures, the last of which lets no more through than its bucket."""
    config = {
        "@type": descriptors.type_url(RATE_LIMIT),
        "dynamic_config": {
            "resource_name": bucket.name,
            "config_source": {"ads": {}, "resource_api_version": "V3"},
        },
    }
    limit = {"extension_filter": {"name": "rate-limit", "typed_config": config}}
    return [*([when(bucket.when)] if bucket.when else []), limit]


def token_bucket(bucket: Bucket) -> Any:
    """Returns the TokenBucket message of a class, for which Envoy asks by its name."""
    fields = {
        "max_tokens": bucket.at_once,
        "tokens_per_fill": bucket.each_second,
        "fill_interval": "1s",
    }
    return descriptors.parse(fields, descriptors.TOKEN_BUCKET)


def _target(path: str) -> tuple[str, dict[str, str]]:
    streams = {logged.STDOUT: STDOUT_LOG, logged.STDERR: STDERR_LOG}
    return (streams[path], {}) if path in streams else (FILE_LOG, {"path": path})


def _failed() -> dict[str, Any]:
    """Returns the filter of failures: no answer, a status of HTTP that says so, or one of gRPC."""
    grpc = both(of_grpc(), {"grpc_status_filter": {"statuses": ["OK"], "exclude": True}})
    return {"or_filter": {"filters": [status("GE", FIRST_FAILURE), {"response_flag_filter": {}}, grpc]}}


def of_grpc() -> dict[str, Any]:
    """Returns the filter of calls over gRPC."""
    content = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    return {"header_filter": {"header": content}}


def both(*filters: dict[str, Any]) -> dict[str, Any]:
    """Returns the filter of requests that pass all of these."""
    return {"and_filter": {"filters": filters}}


def status(comparison: str, number: int) -> dict[str, Any]:
    """Returns the filter of answers whose status is equal (`EQ`) to a number, or as large (`GE`)."""
    value = {"default_value": number, "runtime_key": f"bailie.status.{comparison}.{number}"}
    return {"status_code_filter": {"comparison": {"op": comparison, "value": value}}}


def flagged(*flags: str) -> dict[str, Any]:
    """Returns the filter of requests with one of these flags of Envoy's."""
    return {"response_flag_filter": {"flags": flags}}


def when(expression: str) -> dict[str, Any]:
    """Returns the filter of requests of which an expression in Envoy's attributes is true."""
    config = {"@type": descriptors.type_url(EXPRESSION), "expression": expression}
    return {"extension_filter": {"name": "expression", "typed_config": config}}
