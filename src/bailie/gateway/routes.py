"""The routes of one name, as one Scoped Route resource keyed by the header `seldon-model`.

Called by `resources`. One resource per name, looked up in a hash map per request: a change among 10,000
names is one small message, where one RouteConfiguration with a matcher tree is sent and built anew as a
whole (the figures are in `benchmarks/README.md`). The name that the server knows, or why there is none,
is in the context of the Lua filter (`request.lua`), because it differs between the weighted backends and
because no header of a caller can overwrite it there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.gateway import descriptors
from bailie.gateway.clusters import Protocol, cluster_name
from bailie.gateway.uses import stat_prefix
from bailie.routing.refusal import not_ready
from bailie.routing.table import NotReady
from bailie.wellknown import headers

if TYPE_CHECKING:
    from bailie.routing.refusal import ErrorAnswer
    from bailie.routing.table import Backend, Entry, Route

REQUEST_FILTER = "bailie.request"
MODEL_HEADER = headers.MODEL
MODEL_PATH = "/v2/models/"
ROUTE_HEADER = headers.ROUTE
INTERNAL_HEADER = headers.INTERNAL_MODEL
"""Upstream's header between its Envoy and its agents; a caller's value is not passed on."""

FILTER_CONFIG = "envoy.config.route.v3.FilterConfig"
LUA_PER_ROUTE = "envoy.extensions.filters.http.lua.v3.LuaPerRoute"
GRPC_MATCH: dict[str, Any] = {"prefix": "/inference.GRPCInferenceService/", "grpc": {}}
ANY_MATCH: dict[str, Any] = {"prefix": "/"}


def scope(namespace: str, name: str, entry: Entry) -> Any:
    """Returns the ScopedRouteConfiguration message of `name` in `namespace`."""
    if isinstance(entry, NotReady):
        host = _refused(not_ready(namespace, name, entry))
    elif len(entry.backends) == 1:
        host = _one_backend(name, entry)
    else:
        host = _many_backends(entry)
    header = {"key": MODEL_HEADER, "value": name}
    host |= {
        "name": name,
        "domains": ["*"],
        "request_headers_to_add": [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
        "request_headers_to_remove": [INTERNAL_HEADER, "x-envoy-external-address"],
    }
    return descriptors.message_class(descriptors.SCOPE)(
        name=name,
        key={"fragments": [{"string_key": name}]},
        route_configuration={"name": name, "virtual_hosts": [host]},
    )


def _one_backend(name: str, route: Route) -> dict[str, Any]:
    """Returns routes to one backend. Only a version in the path, or another name, needs Lua to rewrite it."""
    (backend,), count = route.backends, stat_prefix(route)
    path = MODEL_PATH + name
    action = {"timeout": {}, "cluster": cluster_name(backend, Protocol.HTTP)}
    plain = {**action, "prefix_rewrite": MODEL_PATH + backend.name}
    return {
        **_of_backend(backend),
        "routes": [
            {
                **count,
                "match": GRPC_MATCH,
                "route": {"timeout": {}, "cluster": cluster_name(backend, Protocol.GRPC)},
            },
            {**count, "match": {"path_separated_prefix": f"{path}/versions"}, "route": action},
            {
                **count,
                "match": {"path_separated_prefix": path},
                "route": plain,
                "typed_per_filter_config": {REQUEST_FILTER: _disabled()},
            },
            {**count, "match": ANY_MATCH, "route": action},
        ],
    }


def _many_backends(route: Route) -> dict[str, Any]:
    """Returns a route to several backends. Envoy chooses by weight; the Lua filter learns the chosen
    backend's name from its context."""
    count = stat_prefix(route)
    return {
        "routes": [
            {**count, "match": GRPC_MATCH, "route": _dice(route.backends, Protocol.GRPC)},
            {**count, "match": ANY_MATCH, "route": _dice(route.backends, Protocol.HTTP)},
        ]
    }


def _dice(backends: tuple[Backend, ...], protocol: Protocol) -> dict[str, Any]:
    """Returns a route's action; `timeout` zero is none, as upstream has it."""
    clusters = [
        {
            "name": cluster_name(backend, protocol),
            "weight": {"value": backend.weight},
            **_of_backend(backend),
        }
        for backend in backends
    ]
    return {"timeout": {}, "weighted_clusters": {"clusters": clusters}}


def _of_backend(backend: Backend) -> dict[str, Any]:
    header = {"key": ROUTE_HEADER, "value": f":{backend.name}:"}
    return {
        "typed_per_filter_config": {REQUEST_FILTER: _context(backend=backend.name)},
        "response_headers_to_add": [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
    }


def _refused(answer: ErrorAnswer) -> dict[str, Any]:
    """Returns the route of a refusal. The Lua filter answers before the direct response would, in the
    caller's protocol."""
    context = _context(name=answer.model, reason=answer.reason, message=answer.message)
    return {
        "routes": [{"match": ANY_MATCH, "direct_response": {"status": answer.status}}],
        "typed_per_filter_config": {REQUEST_FILTER: context},
    }


def _context(**values: str) -> Any:
    config = descriptors.message_class(LUA_PER_ROUTE)()
    for key, value in values.items():
        config.filter_context.fields[key].string_value = value
    return descriptors.pack(config)


def _disabled() -> Any:
    return descriptors.pack(descriptors.message_class(FILTER_CONFIG)(disabled=True))
