"""Copies of requests for the mirror of an Experiment: the policy that makes them, and their way into Envoy.

Used by `routes`, `resources` and `listener`. Envoy cannot rewrite the path of a copy for another model. So
copies go to a listener of the same Envoy, by a socket that only its own user may open, and pass the filters
of requests with the mirror's name. The routes of mirrors have keys with slashes, which no caller's header or
path can have (`listener`), and no mirror of their own: a copy is never copied again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.gateway import descriptors
from bailie.gateway.clusters import CONNECTION_WINDOW, HTTP_OPTIONS, WINDOW, Protocol
from bailie.wellknown import headers

if TYPE_CHECKING:
    from bailie.routing.table import Route, RouteMirror

MODEL_PATH = "/v2/models/"
SOCKET = "admin/mirror"
"""Beside Envoy's admin socket, in a folder that is for its owner only (`bootstrap.ADMIN_SOCKET`)."""
MOST_COPIES = 256
"""Copies that an Envoy has under way at a time, for each protocol: those of a mirror that is slow are dropped
above that, and take no memory from requests."""
MOST_OF_A_MIRROR = MOST_COPIES // 2
"""Those for one mirror: a slow one leaves the others as many."""


def key_of(model: str) -> str:
    """Returns the key of the routes that copies for the Model take."""
    return f"{MODEL_PATH}{model}"


def route_name(key: str) -> str:
    """Returns the name that a key of routes is for, whether for callers or for copies."""
    return key.removeprefix(MODEL_PATH)


def cluster_name(protocol: Protocol) -> str:
    """Returns the name of the cluster of this Envoy's own listener for copies."""
    return f"mirror/{protocol.value}"


def policies(route: Route, protocol: Protocol) -> dict[str, Any]:
    """Returns the addition to a route's action that makes the copies; nothing for a route without mirror."""
    return {"request_mirror_policies": [_policy(route.mirror, protocol)]} if route.mirror else {}


def _policy(mirror: RouteMirror, protocol: Protocol) -> dict[str, Any]:
    header = {"key": headers.MODEL, "value": key_of(mirror.model)}
    return {
        "cluster": cluster_name(protocol),
        "runtime_fraction": {"default_value": {"numerator": mirror.percent, "denominator": "HUNDRED"}},
        "disable_shadow_host_suffix_append": True,
        "request_headers_mutations": [
            {"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
        ],
    }


def cluster(protocol: Protocol) -> Any:
    """Returns the Cluster message of this Envoy's own listener for copies."""
    name = cluster_name(protocol)
    windows = {"initial_stream_window_size": WINDOW, "initial_connection_window_size": CONNECTION_WINDOW}
    http2 = {"http2_protocol_options": windows}
    options = {
        "@type": descriptors.type_url(HTTP_OPTIONS),
        "explicit_http_config": http2 if protocol is Protocol.GRPC else {"http_protocol_options": {}},
    }
    limits = {
        "max_connections": MOST_COPIES,
        "max_requests": MOST_COPIES,
        "max_pending_requests": MOST_COPIES,
    }
    endpoint = {"endpoint": {"address": {"pipe": {"path": SOCKET}}}}
    return descriptors.parse(
        {
            "name": name,
            "type": "STATIC",
            "connect_timeout": "1s",
            "circuit_breakers": {"thresholds": [limits]},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
            "typed_extension_protocol_options": {HTTP_OPTIONS: options},
        },
        descriptors.CLUSTER,
    )
