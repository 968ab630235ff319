"""The configuration of upstream's Envoy, static in place of what its scheduler sends. Pure.

Called by `runtime`. `POD_IP` and `RESOLVER` are texts that `standins/static_envoy.py` replaces at the start.
Routes: header `seldon-model`, else the model of the path; the answer of each version comes from two clusters
that look up `<server>-<replica>` by DNS, as upstream's do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.upstream.facts import Manifest, Upstream, UpstreamModel

_TYPES = "type.googleapis.com/envoy.extensions"
HTTP_PORT, GRPC_PORT = 9001, 9501
"""The agents' proxies."""
_RETRIES = {"retry_on": "5xx,connect-failure", "num_retries": 5, "retry_back_off": {"base_interval": "0.5s"}}


def envoy_config(facts: Upstream | None) -> Manifest:
    """Returns the bootstrap; without facts that of an Envoy without routes."""
    models = facts.models if facts else ()
    routes = [route for model in models for route in _model_routes(model)]
    routes += [route for name in (facts.experiments if facts else ()) for route in _experiment(name, models)]
    clusters = [each for model in models for each in _clusters(model, facts)] if facts else []
    return {
        "node": {"id": "test-id", "cluster": "upstream"},
        "static_resources": {
            "listeners": [
                _listener("seldon_http", 9000, "seldon_service", routes),
                _listener("util_endpoint_listener", 9003, "util", [_ready()]),
            ],
            "clusters": clusters,
        },
    }


def _ready() -> Manifest:
    return {"match": {"path": "/ready"}, "direct_response": {"status": 200}}


def _listener(name: str, port: int, host: str, routes: list[Manifest]) -> Manifest:
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "generate_request_id": False,
        "route_config": {
            "name": name,
            "virtual_hosts": [{"name": host, "domains": ["*"], "routes": routes}],
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"}}
        ],
    }
    return {
        "name": name,
        "address": {"socket_address": {"address": "POD_IP", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _model_routes(model: UpstreamModel) -> Iterator[Manifest]:
    asked = {"name": "seldon-model", "string_match": {"exact": model.name}}
    absent = {"name": "seldon-model", "present_match": False}
    path = {"path_separated_prefix": f"/v2/models/{model.name}", "headers": [absent]}
    yield {"match": {"prefix": "/v2", "headers": [asked]}, "route": _action([(model, 1)], "http")}
    yield {"match": path, "route": _action([(model, 1)], "http")}
    rpc = {"prefix": "/inference.GRPCInferenceService", "headers": [asked]}
    yield {"match": rpc, "route": _action([(model, 1)], "grpc")}


def _experiment(name: str, models: tuple[UpstreamModel, ...]) -> Iterator[Manifest]:
    """Shares requests between the first two models."""
    asked = {"name": "seldon-model", "string_match": {"exact": f"{name}.experiment"}}
    shares = [(model, 1) for model in models[:2]]
    for prefix, kind in (("/v2", "http"), ("/inference.GRPCInferenceService", "grpc")):
        yield {"match": {"prefix": prefix, "headers": [asked]}, "route": _action(shares, kind)}


def _action(shares: list[tuple[UpstreamModel, int]], kind: str) -> Manifest:
    clusters = [
        {
            "name": f"{model.internal}_{kind}",
            "weight": weight,
            "request_headers_to_add": [_header("seldon-internal-model", model.internal)],
            "response_headers_to_add": [_header("x-seldon-route", f":{model.internal}:")],
        }
        for model, weight in shares
    ]
    return {"weighted_clusters": {"clusters": clusters}, "timeout": "0s", "retry_policy": _RETRIES}


def _header(key: str, value: str) -> Manifest:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _clusters(model: UpstreamModel, facts: Upstream) -> Iterator[Manifest]:
    names = [f"{model.server}-{number}" for number in range(facts.servers[model.server])]
    if facts.mesh_elsewhere:
        names = [f"{name}.{facts.namespace}" for name in names]
    for kind, port in (("http", HTTP_PORT), ("grpc", GRPC_PORT)):
        hosts = [{"address": name, "port_value": port} for name in names]
        cluster: Manifest = {
            "name": f"{model.internal}_{kind}",
            "type": "STRICT_DNS",
            "dns_lookup_family": "V4_ONLY",
            "dns_refresh_rate": "2s",
            "connect_timeout": "5s",
            "lb_policy": "LEAST_REQUEST",
            "typed_dns_resolver_config": "RESOLVER",
            "load_assignment": {
                "cluster_name": f"{model.internal}_{kind}",
                "endpoints": [
                    {"lb_endpoints": [{"endpoint": {"address": {"socket_address": host}}} for host in hosts]}
                ],
            },
        }
        if kind == "grpc":
            cluster["typed_extension_protocol_options"] = _HTTP2
        yield cluster


_HTTP2: Manifest = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}
