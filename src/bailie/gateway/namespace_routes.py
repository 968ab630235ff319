"""The routes of calls that are for the namespace and no model: the state of the server, and what exists.

Called by `resources` for the scope NAMESPACE_SCOPE, a key that no model has; `listener` and naming.lua bring
such calls there. Envoy answers for the state itself: a caller who reaches these routes has reached a data
plane with a configuration. The list of models comes from the scheduler (`lists`), for a list in a route would
be sent as a whole at each change of a model.

Envoy cannot answer a gRPC call with a message of its own. So its own listener for probes gives the message
(`bootstrap`), and the filter `bailie.bridge` makes a gRPC answer of it.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from bailie import __version__
from bailie._gen import inference_pb2 as pb
from bailie.gateway import descriptors
from bailie.gateway.routes import (
    ANY_MATCH,
    BRIDGE_FILTER,
    MODEL_METHODS,
    NAME_FILTER,
    disabled,
    enabled,
    refused_call,
    scope_of,
)
from bailie.routing import refusal

if TYPE_CHECKING:
    from bailie.routing.refusal import ErrorAnswer

NAMESPACE_SCOPE = "@"
"""Key of the scope: not the name of a model."""
OWN_CLUSTER = "own"
"""Envoy's cluster whose only endpoint is its own listener for probes."""
INDEX_CLUSTER = "index"
"""Envoy's cluster of the scheduler, for the list of models."""
SERVICE = "/inference.GRPCInferenceService/"
BRIDGE_PER_ROUTE = "envoy.extensions.filters.http.grpc_http1_reverse_bridge.v3.FilterConfigPerRoute"
MESSAGE_TYPE = "application/x-protobuf"
NAME_FIELDS = {
    "ModelInfer": "model_name",
    "ModelStreamInfer": "model_name",
    "ModelMetadata": "name",
    "ModelReady": "name",
}
"""The methods of models, and the field of each one's request that has the model's name."""
_COMPRESSED = [
    {"name": "grpc-encoding", "present_match": True},
    {"name": "grpc-encoding", "string_match": {"exact": "identity"}, "invert_match": True},
]
_DEADLINE = {"seconds": 5}
_METADATA = pb.ServerMetadataResponse(name="bailie", version=__version__)
_MESSAGES = {
    "ServerLive": pb.ServerLiveResponse(live=True),
    "ServerReady": pb.ServerReadyResponse(ready=True),
    "ServerMetadata": _METADATA,
}
_BODIES: dict[str, dict[str, Any]] = {
    "/v2": {"name": _METADATA.name, "version": _METADATA.version, "extensions": []},
    "/v2/health/live": {"live": True},
    "/v2/health/ready": {"ready": True},
}


def namespace_scope(namespace: str) -> Any:
    """Returns the ScopedRouteConfiguration message of what `namespace` answers itself."""
    grpc, rest = (refusal.not_served(namespace, grpc=each) for each in (True, False))
    routes: list[dict[str, Any]] = [
        *(_answer({"path": path}, 200, json.dumps(body)) for path, body in _BODIES.items()),
        *(_bridged(method) for method in _MESSAGES),
        {
            "match": {"path": f"{SERVICE}RepositoryIndex", "grpc": {}},
            "route": {"cluster": INDEX_CLUSTER, "timeout": _DEADLINE},
        },
        # Before the next: no name can be read out of a compressed message. naming.lua says so.
        refused_call(MODEL_METHODS | {"headers": _COMPRESSED}, refusal.not_decoded(namespace)),
        *(_named_in_message(method, refusal.not_named(namespace)) for method in NAME_FIELDS),
        refused_call({"prefix": "/", "grpc": {}}, grpc),
        _answer(ANY_MATCH, rest.status, json.dumps(rest.body())),
    ]
    host = {"routes": routes, "typed_per_filter_config": {BRIDGE_FILTER: _bridge(on=False)}}
    return scope_of(NAMESPACE_SCOPE, host)


def own_messages() -> list[dict[str, Any]]:
    """Returns the routes of Envoy's own listener that give the messages of gRPC calls."""
    return [
        {
            "match": {"path": SERVICE + method},
            "direct_response": {
                "status": 200,
                "body": {"inline_bytes": base64.b64encode(message.SerializeToString()).decode()},
            },
            "response_headers_to_add": [_content_type(MESSAGE_TYPE)],
        }
        for method, message in _MESSAGES.items()
    ]


def _named_in_message(method: str, missing: ErrorAnswer) -> dict[str, Any]:
    """Returns the route of a method before naming.lua has the route of its model looked up, for which the
    bridge has to be off from the beginning."""
    return {
        **refused_call({"path": SERVICE + method, "grpc": {}}, missing),
        "typed_per_filter_config": {NAME_FILTER: enabled(), BRIDGE_FILTER: disabled()},
    }


def _bridge(*, on: bool) -> Any:
    """Returns whether the bridge acts on a route. Unlike FilterConfig it counts after the look-up of another
    route, too."""
    return descriptors.pack(descriptors.message_class(BRIDGE_PER_ROUTE)(disabled=not on))


def _bridged(method: str) -> dict[str, Any]:
    """Returns the route of a method. The bridge looks it up once more, when the call is gRPC's no more."""
    return {
        "match": {"path": SERVICE + method},
        "route": {"cluster": OWN_CLUSTER, "timeout": _DEADLINE},
        "typed_per_filter_config": {BRIDGE_FILTER: _bridge(on=True)},
    }


def _answer(match: dict[str, Any], status: int, body: str) -> dict[str, Any]:
    return {
        "match": match,
        "direct_response": {"status": status, "body": {"inline_string": body}},
        "response_headers_to_add": [_content_type("application/json")],
    }


def _content_type(value: str) -> dict[str, Any]:
    return {
        "header": {"key": "content-type", "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
