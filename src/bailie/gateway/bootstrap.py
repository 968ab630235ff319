"""Envoy's bootstrap configuration: its identity, the address of its scheduler, and its own listener for
probes.

Called by `envoy` (the process) and by tests. A pure function of its settings; everything about models comes
over ADS afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.gateway import descriptors, request_metrics, request_reports, tracing
from bailie.gateway.clusters import HTTP_OPTIONS
from bailie.gateway.listener import HTTP, MIRROR_LISTENER, ROUTER
from bailie.gateway.mirrors import MOST_COPIES
from bailie.gateway.namespace_routes import INDEX_CLUSTER, OWN_CLUSTER, own_messages
from bailie.gateway.xds_requests import LISTEN
from bailie.kube.token import METADATA_KEY, NAMESPACE_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from bailie.gateway.listener import Address

XDS_CLUSTER = "xds"
ADMIN_CLUSTER = "admin"
ADMIN_SOCKET = "admin/socket"
"""Where the admin interface is, in the folder that Envoy is started in. The interface shows the token and can
end Envoy, so it has no port, and the socket's folder is for its owner only (`envoy.write_bootstrap`). The
path is relative, for that of a socket must be short."""
READY, STATISTICS = "/ready", ("/stats", "/stats/prometheus")
PROBES = (READY, *STATISTICS)
"""The paths of the admin interface that the probe listener serves."""
PROBE_LISTENER = "probe"
PROBE_SHARE, LEAST_PROBES = 5, 64
"""Connections to the probe listener: a fifth of those of callers, and so many at least."""
PROBE_SECONDS, PROBE_CONNECTION_SECONDS = 5, 30
"""How long a connection to the probe listener may be idle, or its request may take; and how long it is kept,
whatever it does. A stranger who takes the places of probes has to come again and again."""
MOST_STATISTICS = 8
"""Requests for statistics at a time: of thousands of Models each has megabytes."""
MOST_READY = 64
"""Probes of readiness at a time."""
MOST_OWN = 32
"""Connections of an Envoy to its own probe listener, for calls whose callers are strangers."""
CONNECTIONS = "global_downstream_max_connections"
CONNECTIONS_CONFIG = "downstream_connections.v3.DownstreamConnectionsConfig"
HEAP = "fixed_heap"
HEAP_CONFIG = "fixed_heap.v3.FixedHeapConfig"
MUTATION = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"
CODEC = "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
MOST_LISTS = 16
"""Calls for the list of models that an Envoy has under way at a time."""
MEMORY = 2**30
"""Bytes that an Envoy may use, where no limit of its container says more or less."""
MAX_CONNECTIONS = 10_000
HEAP_SHARE = 0.8
"""Of the memory; the rest is for the program, its threads, and memory that malloc has not given back."""
BOOTSTRAP = "envoy.config.bootstrap.v3.Bootstrap"
RUNTIME = {
    **tracing.RUNTIME,
    "http.max_requests_per_io_cycle": 16,
    "overload.premature_reset_total_stream_count": 2**32,
}
"""Callers who leave before they have an answer. By default Envoy closes an HTTP/2 connection with 250 such
requests that were less than a second old, and behind an ingress that breaks the requests of all others on it.
Here each connection has its turn with a few requests instead, about 2 ms of work, so that a flood waits for
itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoySettings:
    """The settings that an Envoy process needs before it can ask for the rest.

    `scheduler_endpoints` is the file that names the schedulers' addresses (a laptop); None: `scheduler_host`
    is a DNS name (a cluster). `probe` is where `/live` and `PROBES` answer. Callers are refused above
    `max_connections`, and while `memory` (bytes that the process may use) is short.
    """

    pod: str
    namespace: str
    listen: tuple[Address, ...]
    probe: Address
    scheduler_host: str
    scheduler_port: int
    scheduler_endpoints: Path | None
    token: str
    memory: int = MEMORY
    max_connections: int = MAX_CONNECTIONS


def envoy_bootstrap(settings: EnvoySettings) -> dict[str, Any]:
    """Returns the bootstrap as JSON data, checked against Envoy's types. It holds the token."""
    listen = [{"address": a.address, "port": a.port} for a in settings.listen]
    config = {
        "node": {"id": settings.pod, "cluster": settings.namespace, "metadata": {LISTEN: listen}},
        "admin": {"address": _ADMIN, "ignore_global_conn_limit": True},
        "watchdogs": _watchdogs(),
        "overload_manager": _overload_manager(settings),
        "dynamic_resources": {
            "ads_config": _ads(settings),
            "cds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
            "lds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
        },
        "static_resources": {
            "clusters": [
                _scheduler_cluster(XDS_CLUSTER, settings),
                _index_cluster(settings),
                _admin_cluster(),
                _own_cluster(settings.probe),
            ],
            "listeners": [_probe_listener(settings.probe)],
        },
        "stats_sinks": [request_reports.sink(_scheduler(settings), settings.pod)],
        "stats_flush_interval": f"{request_reports.FLUSH_SECONDS}s",
        "stats_eviction_interval": f"{request_metrics.IDLE_SECONDS}s",
        "stats_config": {"histogram_bucket_settings": [request_metrics.buckets()]},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": _runtime(settings)}]},
    }
    descriptors.parse(config, BOOTSTRAP)
    return config


def _runtime(settings: EnvoySettings) -> dict[str, int]:
    """Returns the runtime values, with the limits of the listeners that the limit of all leaves out."""
    probes = max(LEAST_PROBES, settings.max_connections // PROBE_SHARE)
    limits = {PROBE_LISTENER: probes, MIRROR_LISTENER: 2 * MOST_COPIES}
    named = {f"envoy.resource_limits.listener.{name}.connection_limit": most for name, most in limits.items()}
    return {**RUNTIME, **named}


def _watchdogs() -> dict[str, Any]:
    """Returns watchdogs that end an Envoy with a hanging thread. Many routes may take the main thread
    long."""
    return {
        "worker_watchdog": {"miss_timeout": "1s", "megamiss_timeout": "5s", "kill_timeout": "15s"},
        "main_thread_watchdog": {"miss_timeout": "5s", "megamiss_timeout": "15s", "kill_timeout": "60s"},
    }


def _overload_manager(settings: EnvoySettings) -> dict[str, Any]:
    """Refuses callers before the process runs out of connections or memory, and would be killed."""
    most, heap = settings.max_connections, int(settings.memory * HEAP_SHARE)
    given_up = {"scaling_threshold": 0.85, "saturation_threshold": 0.98}
    return {
        # A few callers send 1 GB/s, of which all that comes between two looks is kept.
        "refresh_interval": "0.05s",
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": 20},
        "resource_monitors": [
            _monitor(CONNECTIONS, CONNECTIONS_CONFIG, max_active_downstream_connections=most),
            _monitor(HEAP, HEAP_CONFIG, max_heap_size_bytes=heap),
        ],
        "actions": [
            _action("shrink_heap", threshold={"value": 0.8}),
            _action("reset_high_memory_stream", scaled=given_up),
            _action("stop_accepting_requests", threshold={"value": 0.95}),
        ],
    }


def _monitor(name: str, config: str, **limit: int) -> dict[str, Any]:
    typed = {"@type": descriptors.type_url(f"envoy.extensions.resource_monitors.{config}"), **limit}
    return {"name": f"envoy.resource_monitors.{name}", "typed_config": typed}


def _action(name: str, **when: dict[str, float]) -> dict[str, Any]:
    trigger = {"name": f"envoy.resource_monitors.{HEAP}", **when}
    return {"name": f"envoy.overload_actions.{name}", "triggers": [trigger]}


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
        "initial_metadata": _credentials(settings),
    }


def _credentials(settings: EnvoySettings) -> list[dict[str, str]]:
    return [
        {"key": METADATA_KEY, "value": f"Bearer {settings.token}"},
        {"key": NAMESPACE_KEY, "value": settings.namespace},
    ]


def _scheduler_cluster(name: str, settings: EnvoySettings) -> dict[str, Any]:
    # A stopped scheduler is left about when its lease ends (4 s), as agents leave it.
    keepalive = {"connection_keepalive": {"interval": "2s", "timeout": "2.5s"}}
    options = {
        "@type": descriptors.type_url(HTTP_OPTIONS),
        "explicit_http_config": {"http2_protocol_options": keepalive},
        # A scheduler that hands the namespace over lives on: a new stream must not use the connection to it.
        "common_http_protocol_options": {"max_requests_per_connection": 1},
    }
    return {
        "name": name,
        **_discovery(name, settings),
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


def _index_cluster(settings: EnvoySettings) -> dict[str, Any]:
    """Returns the scheduler once more, for calls of strangers: few at a time, apart from Envoy's own stream,
    and with Envoy's token in the place of what they say of themselves."""
    cluster = _scheduler_cluster(INDEX_CLUSTER, settings)
    # Its only endpoint is the leader's; that it hangs, callers may wait for.
    del cluster["health_checks"]
    mutations = [
        {"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
        for header in _credentials(settings)
    ]
    mutation = {"@type": descriptors.type_url(MUTATION), "mutations": {"request_mutations": mutations}}
    cluster["typed_extension_protocol_options"][HTTP_OPTIONS]["http_filters"] = [
        {"name": "token", "typed_config": mutation},
        {"name": "codec", "typed_config": {"@type": descriptors.type_url(CODEC)}},
    ]
    limits = {"max_requests": MOST_LISTS, "max_pending_requests": MOST_LISTS, "max_connections": MOST_LISTS}
    cluster["circuit_breakers"] = {"thresholds": [limits]}
    return cluster


def _own_cluster(probe: Address) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _socket(probe)}}
    # Envoy is the side that closes: a request must not meet the end of an idle connection.
    options = {
        "@type": descriptors.type_url(HTTP_OPTIONS),
        "explicit_http_config": {"http_protocol_options": {}},
        "common_http_protocol_options": {"idle_timeout": "2s"},
    }
    return {
        "name": OWN_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [{"max_connections": MOST_OWN}]},
        "typed_extension_protocol_options": {HTTP_OPTIONS: options},
        "load_assignment": {"cluster_name": OWN_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _discovery(name: str, settings: EnvoySettings) -> dict[str, Any]:
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
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


_ADMIN = {"pipe": {"path": ADMIN_SOCKET, "mode": 0o600}}


def _admin_cluster() -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": ADMIN_SOCKET}}}}
    assignment = {"cluster_name": ADMIN_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]}
    # Probes have places of their own, which no reader of statistics takes.
    limits = [
        {"priority": priority, "max_connections": most, "max_requests": most, "max_pending_requests": most}
        for priority, most in (("DEFAULT", MOST_STATISTICS), ("HIGH", MOST_READY))
    ]
    return {
        "name": ADMIN_CLUSTER,
        "type": "STATIC",
        "circuit_breakers": {"thresholds": limits},
        "load_assignment": assignment,
    }


def _probe_listener(probe: Address) -> dict[str, Any]:
    """Returns the listener of the probes: `/live`, and for reading `PROBES` of the admin interface. It
    answers even when Envoy refuses callers, and gives the data plane its own messages. It has a limit of
    connections of its own (`_runtime`)."""
    only_read = [{"name": ":method", "string_match": {"exact": "GET"}}]
    routes: list[dict[str, Any]] = [{"match": {"path": "/live"}, "direct_response": {"status": 200}}]
    routes += own_messages()
    routes += [
        {
            "match": {"path": path, "headers": only_read},
            "route": {"cluster": ADMIN_CLUSTER, "priority": "HIGH" if path == READY else "DEFAULT"},
        }
        for path in PROBES
    ]
    http = {
        "@type": descriptors.type_url(HTTP),
        "stat_prefix": PROBE_LISTENER,
        "normalize_path": True,
        "request_headers_timeout": f"{PROBE_SECONDS}s",
        "request_timeout": f"{PROBE_SECONDS}s",
        "stream_idle_timeout": f"{PROBE_SECONDS}s",
        "drain_timeout": "1s",
        "common_http_protocol_options": {
            "idle_timeout": f"{PROBE_SECONDS}s",
            "max_connection_duration": f"{PROBE_CONNECTION_SECONDS}s",
            "max_stream_duration": f"{PROBE_CONNECTION_SECONDS}s",
        },
        "http2_protocol_options": {"max_concurrent_streams": MOST_STATISTICS},
        "route_config": {
            "name": PROBE_LISTENER,
            "virtual_hosts": [{"name": PROBE_LISTENER, "domains": ["*"], "routes": routes}],
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": descriptors.type_url(ROUTER)}}],
    }
    return {
        "name": PROBE_LISTENER,
        "address": _socket(probe),
        "ignore_global_conn_limit": True,
        "bypass_overload_manager": True,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": http}]}],
    }


def _socket(address: Address) -> dict[str, Any]:
    return {"socket_address": {"address": address.address, "port_value": address.port}}
