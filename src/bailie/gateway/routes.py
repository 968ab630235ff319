"""The routes of one name, as one Scoped Route resource keyed by the header `seldon-model`.

Called by `resources`. One resource per name, looked up in a hash map per request: a change among 10,000
names is one small message, where one RouteConfiguration with a matcher tree is sent and built anew as a
whole (the figures are in `benchmarks/README.md`). The name that the server knows, or why there is none,
is in the context of the Lua filter (`request.lua`), because it differs between the weighted backends and
because no header of a caller can overwrite it there.
"""

from __future__ import annotations

from functools import cache
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
ANSWER_FILTER = "bailie.answer"
"""Puts the caller's name of a model into redirects (`answer.lua`); off where no route says otherwise."""
BRIDGE_FILTER = "bailie.bridge"
"""Lets an answer without gRPC's frame and trailers be one to a gRPC call; off for nearly all calls."""
NAMING_FILTER = "bailie.naming"
"""Finds out whom a call is for that says it elsewhere (`naming.lua`); off for nearly all calls."""
NAME_FILTER = "bailie.name"
"""Reads the model's name out of a gRPC message; off where no route says otherwise."""
MODEL_HEADER = headers.MODEL
MODEL_PATH = "/v2/models/"
ROUTE_HEADER = headers.ROUTE
INTERNAL_HEADER = headers.INTERNAL_MODEL
"""Upstream's header between its Envoy and its agents; a caller's value is not passed on."""

FILTER_CONFIG = "envoy.config.route.v3.FilterConfig"
LUA_PER_ROUTE = "envoy.extensions.filters.http.lua.v3.LuaPerRoute"

MODEL_METHODS: dict[str, Any] = {"prefix": "/inference.GRPCInferenceService/Model", "grpc": {}}
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
    host |= {"request_headers_to_add": [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]}
    return scope_of(name, host)


def scope_of(name: str, host: dict[str, Any]) -> Any:
    """Returns the scope of the key `name`, with the routes of `host` (of a virtual host)."""
    host |= {
        "name": name,
        "domains": ["*"],
        "request_headers_to_remove": [INTERNAL_HEADER, "x-envoy-external-address"],
    }
    return descriptors.message_class(descriptors.SCOPE)(
        name=name,
        key={"fragments": [{"string_key": name}]},
        route_configuration={"name": name, "virtual_hosts": [host]},
    )


def _one_backend(name: str, route: Route) -> dict[str, Any]:
    """Returns routes to one backend. The call that nearly all REST callers make comes first, and Envoy
    rewrites its path without Lua."""
    (backend,), count = route.backends, stat_prefix(route)
    rest = {"timeout": {}, "cluster": cluster_name(backend, Protocol.HTTP)}
    host = _of_backend(backend)
    host["typed_per_filter_config"] |= _for_models()
    return {
        **host,
        "routes": [
            {
                **count,
                "match": {"path": f"{MODEL_PATH}{name}/infer"},
                "route": {**rest, "prefix_rewrite": f"{MODEL_PATH}{backend.name}/infer"},
                "typed_per_filter_config": {REQUEST_FILTER: disabled()},
            },
            {
                **count,
                "match": MODEL_METHODS,
                "route": {"timeout": {}, "cluster": cluster_name(backend, Protocol.GRPC)},
            },
            {**count, **_anything_else(), "route": rest},
        ],
    }


def _many_backends(route: Route) -> dict[str, Any]:
    """Returns a route to several backends. Envoy chooses by weight; the Lua filter learns the chosen
    backend's name from its context."""
    count = stat_prefix(route)
    return {
        "typed_per_filter_config": _for_models(),
        "routes": [
            {**count, "match": MODEL_METHODS, "route": _dice(route.backends, Protocol.GRPC)},
            {**count, **_anything_else(), "route": _dice(route.backends, Protocol.HTTP)},
        ],
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
        "routes": [{**_anything_else(), "direct_response": {"status": answer.status}}],
        "typed_per_filter_config": {REQUEST_FILTER: context},
    }


def _context(**values: str) -> Any:
    config = descriptors.message_class(LUA_PER_ROUTE)()
    for key, value in values.items():
        config.filter_context.fields[key].string_value = value
    return descriptors.pack(config)


def _anything_else() -> dict[str, Any]:
    """Returns the match of other calls, which may be for the namespace although their header names a
    model."""
    on = (NAMING_FILTER, BRIDGE_FILTER, ANSWER_FILTER)
    return {"match": ANY_MATCH, "typed_per_filter_config": {name: enabled() for name in on}}


def _for_models() -> dict[str, Any]:
    """Returns the filters of a name's host that calls of a model need not pass."""
    return {NAMING_FILTER: disabled(), BRIDGE_FILTER: disabled()}


@cache
def enabled() -> Any:
    """Returns what turns a filter on for a route."""
    config = descriptors.message_class(FILTER_CONFIG)()
    config.config.SetInParent()
    return descriptors.pack(config)


@cache
def disabled() -> Any:
    """Returns what turns a filter off for a route."""
    return descriptors.pack(descriptors.message_class(FILTER_CONFIG)(disabled=True))
