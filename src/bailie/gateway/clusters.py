"""Envoy clusters and their endpoints: one pair (HTTP, gRPC) per distinct set of server replicas.

Called by `resources`. All models on the same replicas share the pair, so that adding a model changes its
route and nothing else, and Envoy health-checks a server once, not once per model. A cluster is named after
its replicas and never changes; where they are is in its endpoints, so that a pod that comes back elsewhere
is one small update without a new connection pool for the others.

Dead replicas are left in four ways: the retry that goes to another host when nothing was executed yet, the
active health check, ejection on connection failures (never on a 5xx, which is mostly one model's doing and
must not take the server away from the others), and the scheduler taking the endpoint out.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import TYPE_CHECKING, Any

from bailie.gateway import descriptors, silent_peers
from bailie.gateway.request_metrics import endpoint_labels
from bailie.wellknown import limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.routing.table import Backend, ReplicaEndpoint

READABLE_NAME = 100
"""Longest cluster name that spells its replicas out; longer ones get a digest."""

MAX_REQUESTS_PER_REPLICA = limits.REQUESTS_PER_REPLICA
"""Requests of one name that one Envoy may have in progress for each server replica, unless somebody says
otherwise: some seconds of work for a small model."""
NAMES = 2
"""A cluster has places for so many names that use their whole share (`shares`): one name leaves the others
theirs. With more, a server would have to bear much more at once than its limit says."""
MOST_REQUESTS = 2**31 - 1
"""The highest limit of a cluster; twice that is the highest number of its type."""

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
PREVIOUS_HOSTS = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
WINDOW = 16 * 1024 * 1024
"""HTTP/2 flow-control window of a request in bytes; a smaller one makes large ones wait for round trips."""
CONNECTION_WINDOW = 2**31 - 1
"""That of all requests on a connection together, the largest there is. Bytes that a slow caller or a server
that hangs does not read are kept, and count here; a window for a few such requests would be used up by them,
and all others on the connection would wait. Envoy's memory bounds what is kept (`bootstrap`), and ends the
requests that hold most of it."""
SILENT_SECONDS = 2
"""After so long a silence the next call on an HTTP/2 connection to a mesh or a collector begins with a
ping."""
MOST_UPDATES = 10_000
"""Updates of HTTP/2 windows that a server may send for each frame of data that it has got. gRPC servers send
some for each stream, also for one without a message. Beyond Envoy's default of 10, callers who open such
streams would make Envoy close the connection, and with it the calls of all others."""


class Protocol(Enum):
    """The protocol of a cluster's endpoints."""

    HTTP = "http"
    GRPC = "grpc"
    GRPC_ON_HTTP1 = "grpc1"
    """gRPC with its trailers in HTTP/1.1: pipeline gateways, which need no HTTP/2 so."""


CALLS = (Protocol.HTTP, Protocol.GRPC)
"""The protocols of calls."""


def cluster_name(backend: Backend, protocol: Protocol) -> str:
    """Returns the name of the cluster that serves `backend`: `http/mlserver-0+mlserver-1`."""
    names = "+".join(replica.name for replica in backend.replicas)
    if len(names) > READABLE_NAME:
        digest = hashlib.sha256(names.encode()).hexdigest()[:20]
        names = f"{backend.replicas[0].name}+{len(backend.replicas) - 1}-{digest}"
    return f"{wire(backend, protocol).value}/{names}"


def wire(backend: Backend, protocol: Protocol) -> Protocol:
    """Returns the protocol that the replicas of `backend` speak for calls of `protocol`."""
    bridged = protocol is Protocol.GRPC and backend.of_pipeline
    return Protocol.GRPC_ON_HTTP1 if bridged else protocol


def most_of_a_name(for_each: int, replicas: tuple[ReplicaEndpoint, ...]) -> int:
    """Returns how many requests of one name may be in progress on the replicas, given those for each one."""
    return min(for_each * max(1, len(replicas)), MOST_REQUESTS)


def most_of_all(for_each: int, replicas: tuple[ReplicaEndpoint, ...]) -> int:
    """Returns how many requests of all names together may be in progress on the replicas."""
    return min(NAMES * most_of_a_name(for_each, replicas), MOST_REQUESTS)


def cluster(name: str, protocol: Protocol, max_requests: int) -> Any:
    """Returns the Cluster message; `max_requests` may be in progress on all of its replicas together."""
    return descriptors.parse(
        {
            "name": name,
            "type": "EDS",
            "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}},
            "connect_timeout": "1s",
            "lb_policy": "LEAST_REQUEST",
            # Percent. Hosts that fail the check are asked only where no host passes it: these may be loading
            # or computing, and of those that hang the scheduler takes the routes away.
            "common_lb_config": {"healthy_panic_threshold": {"value": 1}},
            "circuit_breakers": {
                "thresholds": [request_limits(p, max_requests) for p in ("DEFAULT", "HIGH")]
            },
            "health_checks": [_health_check()],
            "ignore_health_on_host_removal": True,
            "outlier_detection": ejection(),
            "upstream_connection_options": {"tcp_keepalive": silent_peers.of_cluster()},
            "typed_extension_protocol_options": {HTTP_OPTIONS: _protocol_options(protocol)},
        },
        descriptors.CLUSTER,
    )


def http2_options() -> dict[str, Any]:
    """Returns the options of HTTP/2. Without pings: servers of gRPC hang up on a client that pings three
    times while a model computes and they have nothing to send."""
    return {
        "initial_stream_window_size": WINDOW,
        "initial_connection_window_size": CONNECTION_WINDOW,
        "max_inbound_window_update_frames_per_data_frame_sent": MOST_UPDATES,
    }


def pings(seconds: int) -> dict[str, Any]:
    """Returns the pings of an HTTP/2 connection, which is closed, and all calls on it end, if the peer does
    not answer one within so many seconds."""
    return {"connection_idle_interval": f"{SILENT_SECONDS}s", "timeout": f"{seconds}s"}


def request_limits(priority: str, max_requests: int) -> dict[str, Any]:
    """Returns the limits of a cluster. Requests above them are refused at once and do not queue in Envoy."""
    return {
        "priority": priority,
        "max_connections": 2 * max_requests,
        "max_pending_requests": max_requests,
        "max_requests": max_requests,
        "retry_budget": {"budget_percent": {"value": 50}, "min_retry_concurrency": 20},
    }


def _health_check() -> dict[str, Any]:
    """Returns the health check, by HTTP for gRPC clusters too: MLServer answers it in the same event loop.

    A host that hangs has failed twice after 3.5 s at most, and after 5 s where the requests have just begun.
    """
    return {
        "timeout": "1.25s",
        "interval": "0.5s",
        "no_traffic_interval": "2s",
        "unhealthy_interval": "0.5s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "http_health_check": {"path": "/v2/health/live", "codec_client_type": "HTTP1"},
    }


def ejection() -> dict[str, Any]:
    """Returns the ejection of hosts that take no connections; answers eject none."""
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 3,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_local_origin_success_rate": 0,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "1s",
        "max_ejection_time": "10s",
        "max_ejection_percent": 100,
    }


def _protocol_options(protocol: Protocol) -> dict[str, Any]:
    options: dict[str, Any] = {"@type": descriptors.type_url(HTTP_OPTIONS), "retry_policy": retry_policy()}
    if protocol is Protocol.GRPC:
        options["explicit_http_config"] = {"http2_protocol_options": http2_options()}
    else:
        trailers = {"enable_trailers": True} if protocol is Protocol.GRPC_ON_HTTP1 else {}
        options["explicit_http_config"] = {"http_protocol_options": trailers}
        # uvicorn closes a connection after 5 s without a request. Envoy must be first: a request that
        # meets the closing could not be repeated, for nobody knows whether it ran.
        options["common_http_protocol_options"] = {"idle_timeout": "3s"}
    return options


def retry_policy() -> dict[str, Any]:
    """Returns the rule by which requests are repeated that cannot have been executed: no inference runs
    twice."""
    return {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": 3,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        "host_selection_retry_max_attempts": "5",
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": descriptors.type_url(PREVIOUS_HOSTS)},
            }
        ],
    }


def endpoints(name: str, protocol: Protocol, replicas: Iterable[ReplicaEndpoint]) -> Any:
    """Returns the ClusterLoadAssignment of the cluster `name`."""
    hosts = [_host(replica, protocol) for replica in replicas]
    return descriptors.message_class(descriptors.ENDPOINTS)(
        cluster_name=name, endpoints=[{"lb_endpoints": hosts}]
    )


def _host(replica: ReplicaEndpoint, protocol: Protocol) -> dict[str, Any]:
    labels = {"metadata": endpoint_labels(replica)}
    if protocol is Protocol.HTTP:
        return {"endpoint": {"address": _address(replica, replica.http_port)}, **labels}
    return {
        "endpoint": {
            "address": _address(replica, replica.grpc_port),
            "health_check_config": {"port_value": replica.http_port},
        },
        **labels,
    }


def _address(replica: ReplicaEndpoint, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": replica.address, "port_value": port}}
