"""The endpoints of a Service as a file that Envoy reads (`path_config_source` of an EDS cluster).

Written by the node on a laptop, one per Service, at `$BAILIE_ENDPOINTS_DIR/<namespace>/<service>.json`;
named in Envoy's bootstrap (`gateway.bootstrap`), which reads it again whenever a new file is renamed over it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

ENDPOINT_TYPE = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


def endpoints_file(cluster: str, addresses: Iterable[str], port: int) -> dict[str, Any]:
    """Returns the content, to be written as JSON.

    Args:
        cluster: the Service's name, under which Envoy asks for the endpoints.
        addresses: IP addresses of the pods behind it, in any order; none is a valid answer.
        port: Envoy's port on them. A Service with several ports needs the one that Envoy connects to: 9002
            (`xds`) for `seldon-scheduler`; for others it does not matter.
    """
    hosts = [_host(address, port) for address in sorted(set(addresses))]
    resource = {"@type": ENDPOINT_TYPE, "cluster_name": cluster, "endpoints": [{"lb_endpoints": hosts}]}
    return {"version_info": "0", "resources": [resource]}


def _host(address: str, port: int) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}
