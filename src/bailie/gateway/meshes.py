"""Envoy's cluster of another mesh, which answers for names that this namespace does not serve yet.

Called by `resources` for the entries `Elsewhere`. One cluster carries REST and gRPC, each in the protocol of
its caller, for a mesh answers both at one port. The mesh's health is not asked for, because only failed
connections say something of a mesh that may be no Bailie's: they are repeated, as those to servers are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.gateway import descriptors, silent_peers
from bailie.gateway.clusters import (
    HTTP_OPTIONS,
    ejection,
    http2_options,
    pings,
    request_limits,
    retry_policy,
)

if TYPE_CHECKING:
    from pathlib import Path

    from bailie.routing.table import Elsewhere

PREFIX = "mesh/"
"""Begins the names of clusters of other meshes, and of no others."""
MOST_OF_A_CONNECTION = 200
"""Requests on a connection to the other mesh, before another one is made. Envoy's default closes a connection
after 250 whose callers left, and with it the requests of all others on it."""
PING_SECONDS = 3
"""How long the other mesh may take to answer a ping; an Envoy answers at once."""
MOST_REQUESTS = 10_000
"""Requests that one Envoy may have in progress at another mesh: as many as it has callers by default."""
MOST_OF_A_NAME = MOST_REQUESTS // 2
"""Those for one name, so that the other names have places left."""


def cluster_name(mesh: Elsewhere) -> str:
    """Returns the cluster's name: `mesh/seldon-mesh.old.svc:80`."""
    return f"{PREFIX}{mesh}"


def cluster(mesh: Elsewhere, endpoints: Path | None) -> Any:
    """Returns the Cluster message.

    `endpoints`: the file in which a laptop's node says where the mesh is; None where DNS does.
    """
    return descriptors.parse(
        {
            "name": cluster_name(mesh),
            **(_by_dns(mesh) if endpoints is None else _by_file(mesh, endpoints)),
            "connect_timeout": "1s",
            "lb_policy": "LEAST_REQUEST",
            "common_lb_config": {"healthy_panic_threshold": {"value": 1}},
            "circuit_breakers": {
                "thresholds": [request_limits(p, MOST_REQUESTS) for p in ("DEFAULT", "HIGH")]
            },
            "outlier_detection": ejection(),
            "upstream_connection_options": {"tcp_keepalive": silent_peers.of_cluster()},
            "typed_extension_protocol_options": {HTTP_OPTIONS: _protocol_options()},
        },
        descriptors.CLUSTER,
    )


def _by_dns(mesh: Elsewhere) -> dict[str, Any]:
    address = {"socket_address": {"address": mesh.host, "port_value": mesh.port}}
    return {
        "type": "STRICT_DNS",
        "dns_lookup_family": "ALL",
        "load_assignment": {
            "cluster_name": cluster_name(mesh),
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _by_file(mesh: Elsewhere, endpoints: Path) -> dict[str, Any]:
    source = {"path_config_source": {"path": str(endpoints)}, "resource_api_version": "V3"}
    service_name = mesh.host.partition(".")[0]
    return {"type": "EDS", "eds_cluster_config": {"service_name": service_name, "eds_config": source}}


def _protocol_options() -> dict[str, Any]:
    http2 = {**http2_options(), "connection_keepalive": pings(PING_SECONDS)}
    return {
        "@type": descriptors.type_url(HTTP_OPTIONS),
        "retry_policy": retry_policy(),
        "use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": http2},
        # Shorter than a mesh keeps a connection without a request (listener.IDLE_TIMEOUT, an hour in Envoy).
        "common_http_protocol_options": {
            "idle_timeout": "60s",
            "max_requests_per_connection": MOST_OF_A_CONNECTION,
        },
    }
