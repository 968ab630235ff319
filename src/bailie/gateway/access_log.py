"""Access logs: which requests an Envoy writes down, what of them, and where to.

`listener` puts the logger into the listeners for requests and for copies of them. A line of JSON has the
facts of one request that has ended, and nothing secret: no body, no header but those named here, no query of
a path. Texts of callers are cut, and Envoy escapes them, so that a caller writes neither a second line nor a
second field. The filters of access logs are used for Envoy's own answers, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bailie.gateway import descriptors
from bailie.gateway.request_metrics import METADATA
from bailie.wellknown import headers, logged

EXPRESSION = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
STDOUT_LOG = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
STDERR_LOG = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog"
FILE_LOG = "envoy.extensions.access_loggers.file.v3.FileAccessLog"
FLUSH_MILLISECONDS = 1_000
"""How long Envoy gathers lines, for its command line. By default people wait 10 s for a line."""
FILE_BYTES = 2**28
"""Where a log that is a file ends (256 MiB). Envoy turns no file over, and a disk is its machine's."""
FIRST_FAILURE = 400
"""The lowest status of a failure, as in Seldon Core."""
FIELDS = {
    "time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:PATH):512%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "grpc_status": "%GRPC_STATUS%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "model": f"%REQ({headers.MODEL}):256%",
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


def loggers(log: AccessLog, **more: str) -> list[dict[str, Any]]:
    """Returns the access loggers of a connection manager: one, or none. `more` are further fields of a
    line."""
    if log.which == logged.NONE:
        return []
    ended = {"log_type_filter": {"types": ["DownstreamEnd"]}}
    kind, where = _target(log.path)
    return [
        {
            "name": "access",
            "filter": ended if log.which == logged.ALL else both(ended, _failed()),
            "typed_config": {
                "@type": descriptors.type_url(kind),
                **where,
                "log_format": {"json_format": {**more, **FIELDS}},
            },
        }
    ]


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
