"""The routes of one name, as one Scoped Route resource keyed by the header `seldon-model`.

Called by `resources`. One resource per name, looked up in a hash map per request: a change among 10,000
names is one small message, where one RouteConfiguration with a matcher tree is sent and built anew as a
whole (the figures are in `benchmarks/README.md`). The name that the server knows, or why there is none,
is in the context of the Lua filter (`request.lua`), because it differs between the weighted backends and
because no header of a caller can overwrite it there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from bailie.api.names import TAKEN_ENDINGS
from bailie.gateway import asleep, descriptors, meshes, mirrors, payload_log, shares
from bailie.gateway.clusters import CALLS, Protocol, cluster_name, most_of_a_name
from bailie.gateway.mirrors import MODEL_PATH, policies, route_name
from bailie.gateway.request_metrics import METADATA, PINNED, VERSION
from bailie.routing.refusal import by_kind, no_stream, not_ready, passed_on_already
from bailie.routing.table import Asleep, Elsewhere, NotReady, Route
from bailie.wellknown import headers
from bailie.wellknown.names import PIPELINE_ENDING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bailie.api.payload_log import PayloadLog
    from bailie.routing.refusal import ErrorAnswer
    from bailie.routing.table import Backend, Entry, ReplicaEndpoint

    Places = Callable[[tuple[ReplicaEndpoint, ...]], int]
    """Returns how many requests of a name may be in progress on replicas."""
    OfBackends = Mapping[Backend, int]
    """Weights, or shares."""

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
ROUTE_HEADER = headers.ROUTE
INTERNAL_HEADER = headers.INTERNAL_MODEL
"""Upstream's header between its Envoy and its agents; a caller's value is not passed on."""

SUBJECT = "subject"
"""In the metadata of the routes of pipelines and experiments: `pipeline choice`."""
ELSEWHERE = "elsewhere"
"""In the Lua filters' contexts: the request goes to another mesh, and stays as it is."""
FILTER_CONFIG = "envoy.config.route.v3.FilterConfig"
LUA_PER_ROUTE = "envoy.extensions.filters.http.lua.v3.LuaPerRoute"

MODEL_METHODS: dict[str, Any] = {"prefix": "/inference.GRPCInferenceService/Model", "grpc": {}}
STREAMS: dict[str, Any] = {"path": "/inference.GRPCInferenceService/ModelStreamInfer", "grpc": {}}
ANY_MATCH: dict[str, Any] = {"prefix": "/"}


def scope(namespace: str, key: str, entry: Entry, most: int) -> Any:
    """Returns the ScopedRouteConfiguration message of a key in `namespace`: a name, or a key of `mirrors`.

    `most` requests of the name may be in progress for each replica.
    """
    name = route_name(key)
    places = partial(_places, most, of_mirror=key != name)
    added = {MODEL_HEADER: name}
    if isinstance(entry, NotReady):
        host = _refused(not_ready(namespace, name, entry))
    elif isinstance(entry, Elsewhere):
        host = _elsewhere(entry, passed_on_already(namespace, name))
        added[headers.PASSED_ON] = namespace
    elif isinstance(entry, Asleep):
        host = _asleep(name, key, entry, places(()))
    elif len(entry.backends) == 1:
        host = _one_backend(name, entry, places(entry.backends[0].replicas))
    else:
        host = _many_backends(entry, places)
    if name.endswith(PIPELINE_ENDING) and isinstance(entry, Route):
        host["routes"].insert(0, refused_call(STREAMS, no_stream(namespace, name)))
    return scope_of(key, _named(name, host, added), clusters_known=not isinstance(entry, Asleep))


def kept_scope(key: str) -> Any:
    """Returns the ScopedRouteConfiguration message of a key whose routes come on demand (`asleep`)."""
    return descriptors.message_class(descriptors.SCOPE)(
        name=key, key={"fragments": [{"string_key": key}]}, route_configuration_name=key, on_demand=True
    )


def kept_routes(key: str, model: str, backend: Backend | None) -> Any:
    """Returns the RouteConfiguration message of that key, for requests that were kept: to the version that
    answers at last, or to nobody."""
    if backend is None:
        host = {"routes": [{"name": model, "match": ANY_MATCH, "route": {"cluster": asleep.NOBODY}}]}
    else:
        # These requests have had their places since they were kept.
        host = _one_backend(model, Route((replace(backend, weight=1),)), most=None)
        host = _named(model, host, {MODEL_HEADER: model})
    routes = scope_of(model, host).route_configuration
    routes.name = key
    routes.validate_clusters.value = False
    for each in routes.virtual_hosts[0].routes:
        # Not that of a request that is kept: the version may take its time.
        each.route.idle_timeout.SetInParent()
    return routes


def _named(name: str, host: dict[str, Any], added: Mapping[str, str]) -> dict[str, Any]:
    """Returns a virtual host whose routes have the name and add headers to requests."""
    # What a request is counted by (`request_metrics`), and what Envoy's own answers name (`listener`).
    noted = {"name": name, **_subject(name)}
    return {
        **host,
        "routes": [{**noted, **each} for each in host["routes"]],
        "request_headers_to_add": host.get("request_headers_to_add", []) + _headers(added),
    }


def _subject(name: str) -> dict[str, Any]:
    """Returns the metadata of a pipeline's or an experiment's routes: kind and name, for local replies."""
    if not name.endswith(TAKEN_ENDINGS):
        return {}
    fields = {SUBJECT: {"string_value": by_kind(name)}}
    return {"metadata": {"filter_metadata": {METADATA: {"fields": fields}}}}


def scope_of(key: str, host: dict[str, Any], *, clusters_known: bool = True) -> Any:
    """Returns the scope of the key, with the routes of `host` (of a virtual host).

    `clusters_known`: Envoy is to refuse the routes where it does not know their clusters.
    """
    host |= {
        "name": route_name(key),
        "domains": ["*"],
        "request_headers_to_remove": [INTERNAL_HEADER, headers.PASSED_ON, "x-envoy-external-address"],
    }
    unknown = {} if clusters_known else {"validate_clusters": {"value": False}}
    return descriptors.message_class(descriptors.SCOPE)(
        name=key,
        key={"fragments": [{"string_key": key}]},
        route_configuration={"name": key, "virtual_hosts": [host], **unknown},
    )


def _places(for_each: int, replicas: tuple[ReplicaEndpoint, ...], *, of_mirror: bool) -> int:
    """Returns how many requests of a name may be in progress on replicas."""
    most = most_of_a_name(for_each, replicas)
    return min(most, mirrors.MOST_OF_A_MIRROR) if of_mirror else most


def _one_backend(name: str, route: Route, most: int | None) -> dict[str, Any]:
    """Returns routes to one backend; with `most` None for requests that have their places already."""
    (backend,) = route.backends
    rest, grpc = (_to_backend(route, backend, protocol) for protocol in CALLS)
    host = _of_version(backend.name, held=backend.held, most=most, log=backend.payload_log)
    host["typed_per_filter_config"] = _for_models() | host["typed_per_filter_config"]
    return {**host, "routes": _to_version(name, backend.name, rest, grpc)}


def _asleep(name: str, key: str, entry: Asleep, most: int) -> dict[str, Any]:
    """Returns routes that lead requests for a version that is on no server to those that come on demand.

    Whether the model is ready may be asked without waking it, as of a model that has left memory.
    """
    # Routes that come on demand have no time limit of their own.
    rest = grpc = {"idle_timeout": {"seconds": asleep.KEEP_SECONDS}, "cluster": asleep.NOBODY}
    host = _of_version(entry.name, held=False, most=most)
    there = _context(key=f"{MODEL_PATH}{route_name(asleep.kept_key(key, entry))}", name=name)
    kept = {asleep.HOP_FILTER: enabled_with(there), asleep.KEEP_FILTER: enabled()}
    host["typed_per_filter_config"] |= {**_for_models(), **kept}
    ready = {
        "match": {"path": f"{MODEL_PATH}{name}/ready"},
        "direct_response": {"status": 200},
        "typed_per_filter_config": {REQUEST_FILTER: disabled(), asleep.HOP_FILTER: disabled()},
    }
    return {**host, "routes": [ready, *_to_version(name, entry.name, rest, grpc)]}


def _to_version(name: str, version: str, rest: dict[str, Any], grpc: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the routes to one version, given the actions for both protocols.

    The call that nearly all REST callers make comes first, and Envoy rewrites its path without Lua.
    """
    return [
        {
            "match": {"path": f"{MODEL_PATH}{name}/infer"},
            "route": {**rest, "prefix_rewrite": f"{MODEL_PATH}{version}/infer"},
            "typed_per_filter_config": {REQUEST_FILTER: disabled()},
        },
        {"match": MODEL_METHODS, "route": grpc},
        {**_anything_else(), "route": rest},
    ]


def _many_backends(route: Route, places: Places) -> dict[str, Any]:
    """Returns a route to several backends. Envoy chooses by weight; the Lua filter learns the chosen
    backend's name from its context.

    Backends on the same replicas have one share of the places there, for they are of one name. Where there
    are others, too, each has a part of it, once more divided between its routes.
    """
    pinned = route.of_models() if route.sticky else {}
    parts = Counter(each.replicas for each in route.backends for _ in range(2 if route.sticky else 1))
    filters, most = _for_models(), {}
    if len(parts) == 1:
        filters[shares.FILTER] = shares.share(places(route.backends[0].replicas))
    else:
        most = {each: max(1, places(each.replicas) // parts[each.replicas]) for each in route.backends}
    routes = [each for model, backends in pinned.items() for each in _pinned(route, model, backends, most)]
    weights = {backend: backend.weight for backend in route.backends}
    return {
        "typed_per_filter_config": filters,
        "routes": [*routes, *_either(route, weights, {}, most=most)],
    }


def _pinned(
    route: Route, model: str, backends: tuple[Backend, ...], most: OfBackends
) -> list[dict[str, Any]]:
    """Returns the routes of callers who send back the header of an answer of the Model, of any version.

    Its replicas share these callers evenly, also where the weight for new callers is 0.
    """
    # No name of a model has an underscore, so that no other model's header contains this text.
    returned = {"name": ROUTE_HEADER, "string_match": {"contains": f":{model}_"}}
    weights = {backend: len(backend.replicas) for backend in backends}
    return _either(route, weights, {"headers": [returned]}, most=most, why=PINNED)


def _either(
    route: Route, weights: OfBackends, match: dict[str, Any], *, most: OfBackends, why: str = ""
) -> list[dict[str, Any]]:
    """Returns the routes of gRPC and REST to some backends of a route, for the calls that also `match`.

    `most`: the shares of backends that have one of their own. `why` is PINNED where their callers have named
    the Model.
    """
    other = _anything_else()
    return [
        {"match": MODEL_METHODS | match, "route": _dice(route, weights, Protocol.GRPC, most=most, why=why)},
        {
            **other,
            "match": ANY_MATCH | match,
            "route": _dice(route, weights, Protocol.HTTP, most=most, why=why),
        },
    ]


def _to_backend(route: Route, backend: Backend, protocol: Protocol) -> dict[str, Any]:
    """Returns a route's action; `timeout` zero is none, as upstream has it."""
    return {"timeout": {}, "cluster": cluster_name(backend, protocol), **policies(route, protocol)}


def _dice(
    route: Route, weights: OfBackends, protocol: Protocol, *, most: OfBackends, why: str
) -> dict[str, Any]:
    """Returns a route's action that throws the dice, with `timeout` as above."""
    clusters = [
        {
            "name": cluster_name(backend, protocol),
            "weight": {"value": weight},
            **_of_version(
                backend.name,
                held=backend.held,
                most=most.get(backend),
                more={VERSION: f":{backend.name}:{why}"},
                log=backend.payload_log,
            ),
        }
        for backend, weight in weights.items()
    ]
    return {"timeout": {}, "weighted_clusters": {"clusters": clusters}, **policies(route, protocol)}


def _of_version(
    version: str,
    *,
    held: bool,
    most: int | None,
    more: Mapping[str, str] | None = None,
    log: PayloadLog | None = None,
) -> dict[str, Any]:
    """Returns what a version adds. Agents, which have it `held`, read it in a header, not in messages.

    `most` is its share; None where it has that of its name, or needs none.
    """
    told: dict[str, str] = {ROUTE_HEADER: f":{version}:"}
    filters: dict[str, Any] = {} if most is None else {shares.FILTER: shares.share(most)}
    if log is not None:
        told[payload_log.HEADER] = "true"
        filters[payload_log.FILTER] = enabled_with(_context(**payload_log.context(log, version)))
    return {
        "typed_per_filter_config": {REQUEST_FILTER: _context(backend=version, **(more or {})), **filters},
        "request_headers_to_add": _headers({headers.VERSION: version} if held else {}),
        "response_headers_to_add": _headers(told),
    }


def _headers(values: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for key, value in values.items()
    ]


def _refused(answer: ErrorAnswer) -> dict[str, Any]:
    """Returns the route of a refusal. The Lua filter answers before the direct response would, in the
    caller's protocol."""
    context = _context(name=answer.model, reason=answer.reason, message=answer.message)
    return {
        "routes": [{**_anything_else(), "direct_response": {"status": answer.status}}],
        "typed_per_filter_config": {REQUEST_FILTER: context},
    }


def refused_call(match: dict[str, Any], answer: ErrorAnswer) -> dict[str, Any]:
    """Returns the route of a refusal to gRPC, whose code Envoy makes of the status."""
    return {
        "match": match,
        "direct_response": {"status": answer.status, "body": {"inline_string": answer.message}},
    }


def _elsewhere(mesh: Elsewhere, twice: ErrorAnswer) -> dict[str, Any]:
    """Returns routes to another mesh, which gets the requests as they came.

    A request that comes from a mesh already is refused: two meshes that name each other would pass it to and
    fro for ever. A stranger who sends the header gets the refusal, and nobody else does.
    """
    as_it_came, to = {ELSEWHERE: "1"}, {"timeout": {}, "cluster": meshes.cluster_name(mesh)}
    passed_on = {"headers": [{"name": headers.PASSED_ON, "present_match": True}]}
    refused = {REQUEST_FILTER: _context(name=twice.model, reason=twice.reason, message=twice.message)}
    calls, others = {"match": MODEL_METHODS}, _anything_else()
    others["typed_per_filter_config"] |= {NAMING_FILTER: _context(**as_it_came), ANSWER_FILTER: disabled()}
    return {
        "typed_per_filter_config": {
            REQUEST_FILTER: _context(**as_it_came),
            shares.FILTER: shares.share(meshes.MOST_OF_A_NAME),
            **_for_models(),
        },
        "routes": [
            {
                "match": each["match"] | passed_on,
                "typed_per_filter_config": each.get("typed_per_filter_config", {}) | refused,
                "direct_response": {"status": twice.status},
            }
            for each in (calls, others)
        ]
        + [{**each, "route": to} for each in (calls, others)],
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
    return {NAMING_FILTER: disabled(), BRIDGE_FILTER: disabled(), payload_log.FILTER: disabled()}


@cache
def enabled() -> Any:
    """Returns what turns a filter on for a route."""
    config = descriptors.message_class(FILTER_CONFIG)()
    config.config.SetInParent()
    return descriptors.pack(config)


def enabled_with(config: Any) -> Any:
    """Returns what turns a filter on for a route, with a configuration of its own there."""
    found = descriptors.message_class(FILTER_CONFIG)()
    found.config.CopyFrom(config)
    return descriptors.pack(found)


@cache
def disabled() -> Any:
    """Returns what turns a filter off for a route."""
    return descriptors.pack(descriptors.message_class(FILTER_CONFIG)(disabled=True))
