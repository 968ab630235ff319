"""Payload logs: requests and answers of a Model as CloudEvents, which Envoy itself sends to the Model's sink.

`listener` has the filter, `routes` turns it on for the versions of Models that have a log, and `resources`
makes the sinks' clusters. The filter (`payload.lua`) looks at the chunks of a body as they pass and keeps
none back. When the body has ended, it hands a copy to Envoy's own client, which nobody waits for. A sink that
is slow or away has as many events under way as its Model's cluster allows; more are dropped, and Envoy counts
them.

An event that comes to a Model as a request makes no event of its own: it has the mark of the namespace, which
`envoy` makes from the token and hands to the filter, so that no caller can send it.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from bailie.api.payload_log import LOCAL
from bailie.gateway import descriptors
from bailie.settings.shared import LOOPBACK

if TYPE_CHECKING:
    from bailie.api.payload_log import PayloadLog

FILTER = "bailie.payload"
HEADER = "seldon-logging"
"""Of an answer of a Model with a payload log: Seldon Core's header."""
PREFIX = "payload/"
"""Begins the names of the sinks' clusters, and of no others."""
MOST_EVENTS = 16
"""Events of one Model that each Envoy has under way; so many more wait for a connection."""
LOOK_UP, LOOK_UP_AGAIN = "30s", "2s"
"""How often an Envoy asks DNS for a sink, and how soon again for an unknown one. Envoy's default, 5 s, is a
thousand questions a second where thousands of Models have logs: all of the cluster feels that."""
MARK = "BAILIE_PAYLOAD_MARK"
"""The variable of Envoy's process by which the filter learns the mark of the namespace's events."""
_MARK_DIGITS = 16
CONTEXT = ("cluster", "authority", "path", "percent", "mode", "model", "version")


def mark(token: str) -> str:
    """Returns the mark of the events of the namespace with this token. All of its Envoys have the same."""
    return hmac.digest(token.encode(), b"bailie payload log", "sha256").hex()[:_MARK_DIGITS]


def cluster_name(log: PayloadLog) -> str:
    """Returns the cluster's name: `payload/iris/payloads.logging:8080`. Each Model has its own budget."""
    return f"{PREFIX}{log.model}/{log.host}:{log.port}"


def context(log: PayloadLog, version: str) -> dict[str, str]:
    """Returns what the filter is told of a version (`iris_3`) that has the log."""
    authority = log.host if log.port == 80 else f"{log.host}:{log.port}"
    values = (cluster_name(log), authority, log.path, str(log.percent), log.mode, log.model, version)
    return dict(zip(CONTEXT, values, strict=True))


def cluster(log: PayloadLog, *, reachable: bool) -> Any:
    """Returns the Cluster message of a sink; without an endpoint where the sink may not be asked."""
    name = cluster_name(log)
    host = LOOPBACK if log.host == LOCAL else log.host
    address = {"socket_address": {"address": host, "port_value": log.port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}] if reachable else []
    limits = {
        "max_connections": MOST_EVENTS,
        "max_pending_requests": MOST_EVENTS,
        "max_requests": 2 * MOST_EVENTS,
        "max_retries": 0,
    }
    return descriptors.parse(
        {
            "name": name,
            # What statistics call it: no name of a Model has an underscore, and dots end names there.
            "alt_stat_name": f"{PREFIX}{log.model.replace('.', '_')}",
            "type": "STRICT_DNS",
            "dns_lookup_family": "V4_PREFERRED",
            "dns_refresh_rate": LOOK_UP,
            "dns_failure_refresh_rate": {"base_interval": LOOK_UP_AGAIN, "max_interval": LOOK_UP},
            "wait_for_warm_on_init": False,
            "connect_timeout": "1s",
            "circuit_breakers": {"thresholds": [{"priority": "DEFAULT", **limits}]},
            "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        },
        descriptors.CLUSTER,
    )
