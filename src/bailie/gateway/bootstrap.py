"""Envoy's bootstrap configuration: who it is, where its scheduler is, and its own listener for probes.

Called by `envoy` (the process) and by tests. A pure function of its settings; everything about models comes
over ADS afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.gateway import descriptors, uses
from bailie.gateway.ads import LISTEN
from bailie.gateway.clusters import HTTP_OPTIONS
from bailie.gateway.listener import HEADERS_TIMEOUT, HTTP, ROUTER
from bailie.kube.token import METADATA_KEY, NAMESPACE_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from bailie.gateway.listener import Address

XDS_CLUSTER = "xds"
ADMIN_CLUSTER = "admin"
ADMIN_SOCKET = "admin/socket"
"""Where the admin interface is, in the folder that Envoy is started in. It shows the token and can end Envoy,
so it has no port, and its folder is for its owner only (`envoy.write_bootstrap`). The path is relative, for
that of a socket must be short."""
PROBES = ("/ready", "/stats", "/stats/prometheus")
"""What of the admin interface can be read on the probe listener."""
BOOTSTRAP = "envoy.config.bootstrap.v3.Bootstrap"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoySettings:
    """What an Envoy process has to know before it can ask for the rest.

    `scheduler_endpoints` is the file that names the schedulers' addresses (a laptop); None: `scheduler_host`
    is a DNS name (a cluster). `probe` is where `/live` and `PROBES` answer.
    """

    pod: str
    namespace: str
    listen: tuple[Address, ...]
    probe: Address
    scheduler_host: str
    scheduler_port: int
    scheduler_endpoints: Path | None
    token: str


def bootstrap(settings: EnvoySettings) -> dict[str, Any]:
    """Returns the bootstrap as JSON data, checked against Envoy's types. It holds the token."""
    listen = [{"address": a.address, "port": a.port} for a in settings.listen]
    config = {
        "node": {"id": settings.pod, "cluster": settings.namespace, "metadata": {LISTEN: listen}},
        "admin": {"address": _ADMIN, "ignore_global_conn_limit": True},
        "watchdogs": _watchdogs(),
        "dynamic_resources": {
            "ads_config": _ads(settings),
            "cds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
            "lds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
        },
        "static_resources": {
            "clusters": [_xds_cluster(settings), _admin_cluster()],
            "listeners": [_probe_listener(settings.probe)],
        },
        "stats_sinks": [uses.sink(_scheduler(settings))],
        "stats_flush_interval": uses.FLUSH_INTERVAL,
        "layered_runtime": {"layers": [{"name": "static", "static_layer": {}}]},
    }
    descriptors.parse(config, BOOTSTRAP)
    return config


def _watchdogs() -> dict[str, Any]:
    """A thread that hangs ends Envoy, which is started anew. Many routes may take the main thread long."""
    return {
        "worker_watchdog": {"miss_timeout": "1s", "megamiss_timeout": "5s", "kill_timeout": "15s"},
        "main_thread_watchdog": {"miss_timeout": "5s", "megamiss_timeout": "15s", "kill_timeout": "60s"},
    }


def _ads(settings: EnvoySettings) -> dict[str, Any]:
    service = _scheduler(settings)
    # Back to a scheduler that has returned within half a second; Envoy's default goes up to thirty.
    service["envoy_grpc"]["retry_policy"] = {
        "retry_back_off": {"base_interval": "0.1s", "max_interval": "0.5s"}
    }
    return {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": [service]}


def _scheduler(settings: EnvoySettings) -> dict[str, Any]:
    return {
        "envoy_grpc": {"cluster_name": XDS_CLUSTER},
        "initial_metadata": [
            {"key": METADATA_KEY, "value": f"Bearer {settings.token}"},
            {"key": NAMESPACE_KEY, "value": settings.namespace},
        ],
    }


def _xds_cluster(settings: EnvoySettings) -> dict[str, Any]:
    # A stopped scheduler is left about when its lease ends (4 s), as agents leave it.
    keepalive = {"connection_keepalive": {"interval": "2s", "timeout": "2.5s"}}
    options = {
        "@type": descriptors.type_url(HTTP_OPTIONS),
        "explicit_http_config": {"http2_protocol_options": keepalive},
    }
    return {
        "name": XDS_CLUSTER,
        **_discovery(settings),
        "connect_timeout": "1s",
        # Only the leader answers: a standby does not listen, a stopped one is silent. Whoever begins to lead
        # is found within a quarter of a second.
        "health_checks": [
            {
                "timeout": "1s",
                "interval": "0.25s",
                "no_traffic_interval": "0.25s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "grpc_health_check": {},
            }
        ],
        # While none answers, none is tried: a stopped one would accept the connection and hold it.
        # What a check finds counts at once; Envoy's default gathers changes for a second.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"},
        "typed_extension_protocol_options": {HTTP_OPTIONS: options},
    }


def _discovery(settings: EnvoySettings) -> dict[str, Any]:
    if settings.scheduler_endpoints is not None:
        source = {"path": str(settings.scheduler_endpoints)}
        config = {
            "service_name": settings.scheduler_host.partition(".")[0],
            "eds_config": {"path_config_source": source, "resource_api_version": "V3"},
        }
        return {"type": "EDS", "eds_cluster_config": config}
    host = {"address": settings.scheduler_host, "port_value": settings.scheduler_port}
    endpoint = {"endpoint": {"address": {"socket_address": host}}}
    return {
        "type": "STRICT_DNS",
        "dns_lookup_family": "ALL",
        "load_assignment": {"cluster_name": XDS_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


_ADMIN = {"pipe": {"path": ADMIN_SOCKET, "mode": 0o600}}


def _admin_cluster() -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": ADMIN_SOCKET}}}}
    assignment = {"cluster_name": ADMIN_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": ADMIN_CLUSTER, "type": "STATIC", "load_assignment": assignment}


def _probe_listener(probe: Address) -> dict[str, Any]:
    """`/live`, and to be read `PROBES` of the admin interface. Not refused when Envoy refuses callers."""
    only_read = [{"name": ":method", "string_match": {"exact": "GET"}}]
    routes: list[dict[str, Any]] = [{"match": {"path": "/live"}, "direct_response": {"status": 200}}]
    routes += [
        {"match": {"path": path, "headers": only_read}, "route": {"cluster": ADMIN_CLUSTER}}
        for path in PROBES
    ]
    http = {
        "@type": descriptors.type_url(HTTP),
        "stat_prefix": "probe",
        "normalize_path": True,
        "request_headers_timeout": HEADERS_TIMEOUT,
        "request_timeout": "10s",
        "route_config": {
            "name": "probe",
            "virtual_hosts": [{"name": "probe", "domains": ["*"], "routes": routes}],
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": descriptors.type_url(ROUTER)}}],
    }
    return {
        "name": "probe",
        "address": _socket(probe),
        "ignore_global_conn_limit": True,
        "bypass_overload_manager": True,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": http}]}],
    }


def _socket(address: Address) -> dict[str, Any]:
    return {"socket_address": {"address": address.address, "port_value": address.port}}
