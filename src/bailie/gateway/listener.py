"""The listener of an Envoy: where it listens, and the filters that every request passes.

Called by `resources` for each Envoy that connects, because the addresses are the pod's own (it tells them in
its node metadata). The filters come from here and not from the bootstrap, so that a new scheduler brings new
filters without restarting an Envoy.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2

from bailie._gen import inference_pb2
from bailie.api.names import TAKEN_ENDINGS
from bailie.gateway import (
    access_log,
    asleep,
    descriptors,
    meshes,
    mirrors,
    payload_log,
    request_metrics,
    shares,
    silent_peers,
    tracing,
)
from bailie.gateway.access_log import AccessLog, both, flagged, of_grpc, status, when
from bailie.gateway.clusters import CONNECTION_WINDOW, WINDOW
from bailie.gateway.namespace_routes import INDEX_CLUSTER, MESSAGE_TYPE, NAME_FIELDS, NAMESPACE_SCOPE
from bailie.gateway.routes import (
    ANSWER_FILTER,
    BRIDGE_FILTER,
    MODEL_HEADER,
    NAME_FILTER,
    NAMING_FILTER,
    REQUEST_FILTER,
    SUBJECT,
)
from bailie.routing import refusal
from bailie.wellknown import names, ports

if TYPE_CHECKING:
    from bailie.api.collector import Collector
    from bailie.routing.refusal import ErrorAnswer

LISTENER_NAME = "inference"
MIRROR_LISTENER = "mirror"
HANDED_BACK_LISTENER = "handed-back"
AGENTS = (ports.HELD_HTTP, ports.HELD_GRPC)
"""REST and gRPC of Bailie's agents, whose ports are those of Seldon Core's."""
HTTP = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
EARLY_MUTATION = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
BRIDGE = "envoy.extensions.filters.http.grpc_http1_reverse_bridge.v3.FilterConfig"
EXTRACTION = "envoy.extensions.filters.http.grpc_field_extraction.v3.GrpcFieldExtractionConfig"
LUA = "envoy.extensions.filters.http.lua.v3.Lua"
ROUTER = "envoy.extensions.filters.http.router.v3.Router"
STREAMS = 1_000
"""Requests at a time on one HTTP/2 connection."""
LONGEST_UNNAMED = WINDOW
"""Bytes of a request that Envoy keeps until it knows the model, where neither header nor path names it. Of
other requests and answers it keeps no more than that where one side is slow, as HTTP/2's window has it."""
IDLE_TIMEOUT = "300s"
"""How long a connection without a request is kept: each takes one of the connections that an Envoy may
have."""
COPY_TIMEOUT = "300s"
"""How long a copy may wait for a byte of its mirror's answer, so that a mirror that hangs gets new copies."""
FAILURES = AccessLog()
"""The access log where nothing else is said."""
_UNANSWERED = ("UF", "UH", "UC", "URX", "LH", "NC")
"""Envoy's flags of requests that got no answer."""
_OF_MESH = f"xds.cluster_name.startsWith('{meshes.PREFIX}')"
"""True of requests whose route leads to another mesh, also of those that never went there."""
_OF_A_KIND = " || ".join(f"xds.route_name.endsWith('{ending}')" for ending in TAKEN_ENDINGS)
"""True of requests whose route says in its metadata for what it is."""
HEADERS_TIMEOUT = "15s"
"""How long the headers of a request may take; the body has no limit of time."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an Envoy listens for inference requests."""

    address: str
    port: int


@lru_cache(maxsize=64)
def listener(
    namespace: str,
    addresses: tuple[Address, ...],
    collector: Collector | None = None,
    log: AccessLog = FAILURES,
) -> Any:
    """Returns the Listener message for the Envoy of `namespace` on `addresses` (at least one).

    `collector` gets the traces of its requests, None for no traces; `log` says which of them are written
    down.
    """
    http = _http(namespace, log) | (tracing.of_requests(collector, namespace) if collector else {})
    first, *others = (_socket(address) for address in addresses)
    return descriptors.parse(
        {
            "name": LISTENER_NAME,
            "address": first,
            "additional_addresses": [{"address": other} for other in others],
            "enable_reuse_port": True,
            "socket_options": silent_peers.of_listener(),
            "per_connection_buffer_limit_bytes": LONGEST_UNNAMED,
            "filter_chains": [{"filters": [{"name": "http", "typed_config": http}]}],
        },
        descriptors.LISTENER,
    )


@lru_cache(maxsize=64)
def handed_back_listener(
    namespace: str,
    addresses: tuple[Address, ...],
    collector: Collector | None = None,
    log: AccessLog = FAILURES,
) -> Any:
    """Returns the Listener message for requests that Envoys of Seldon Core's hand on during a move.

    They ask for a server's pods at the ports of its agents. Once a server has moved, the names of its pods
    lead to these Envoys, and a caller who has kept a connection to an Envoy of before notices nothing.
    """
    hosts = sorted({each.address for each in addresses})
    at_agents = tuple(Address(host, port) for host in hosts for port in AGENTS)
    found = descriptors.message_class(descriptors.LISTENER)()
    found.CopyFrom(listener(namespace, at_agents, collector, log))
    found.name = HANDED_BACK_LISTENER
    return found


def _socket(address: Address) -> dict[str, Any]:
    return {"socket_address": {"address": address.address, "port_value": address.port}}


@lru_cache(maxsize=64)
def mirror_listener(namespace: str, log: AccessLog = FAILURES) -> Any:
    """Returns the Listener message for copies of requests (`mirrors`), which is the same for every Envoy.

    Copies are no requests of callers: they have statistics of their own, and nothing of a caller's is looked
    at once more.
    """
    http = {
        "@type": descriptors.type_url(HTTP),
        "stat_prefix": MIRROR_LISTENER,
        "codec_type": "AUTO",
        "skip_xff_append": True,
        "stream_idle_timeout": COPY_TIMEOUT,
        "preserve_external_request_id": True,
        "http2_protocol_options": _http2_options(),
        "access_log": [
            *access_log.loggers(log, access_log.OF_COPIES, listener=MIRROR_LISTENER),
            request_metrics.copies_logger(),
        ],
        # No character of the key is the separator: the whole header is.
        "scoped_routes": _scoped_routes(element_separator=" ", index=0),
        "http_filters": _filters(namespace),
    }
    return descriptors.parse(
        {
            "name": MIRROR_LISTENER,
            "address": {"pipe": {"path": mirrors.SOCKET, "mode": 0o600}},
            "ignore_global_conn_limit": True,
            "per_connection_buffer_limit_bytes": LONGEST_UNNAMED,
            "filter_chains": [{"filters": [{"name": "http", "typed_config": http}]}],
        },
        descriptors.LISTENER,
    )


def _http(namespace: str, log: AccessLog) -> dict[str, Any]:
    return {
        "@type": descriptors.type_url(HTTP),
        "stat_prefix": "inference",
        "codec_type": "AUTO",
        # Callers are strangers, those on this machine too: what they send in x-envoy-… must not steer
        # retries or time-outs. The range is one that nobody has.
        "use_remote_address": True,
        # A header that is passed on costs more in a Python server than here.
        "skip_xff_append": True,
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "192.0.2.0", "prefix_len": 32}]},
        # A path that means one thing here and another at the server could reach another model.
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        # Inference takes as long as it takes; upstream has no time-outs either.
        "stream_idle_timeout": "0s",
        "request_timeout": "0s",
        "request_headers_timeout": HEADERS_TIMEOUT,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "common_http_protocol_options": {"idle_timeout": IDLE_TIMEOUT},
        # `ab`, and nginx as it is without settings.
        # Trailers for pipeline gateways, which call models over gRPC on HTTP/1.1.
        "http_protocol_options": {
            "accept_http_10": True,
            "default_host_for_http_10": names.MESH,
            "enable_trailers": True,
        },
        "http2_protocol_options": _http2_options(),
        "access_log": [*access_log.loggers(log), *request_metrics.loggers()],
        "access_log_options": {"flush_access_log_on_new_request": True},
        "local_reply_config": {"mappers": _refusals(namespace)},
        "early_header_mutation_extensions": [_model_of_request()],
        # Of /v2/models/<name>…, to which the mutation brings the header.
        "scoped_routes": _scoped_routes(element_separator="/", index=3),
        "http_filters": _filters(namespace),
    }


def _http2_options() -> dict[str, Any]:
    return {
        "max_concurrent_streams": STREAMS,
        "initial_stream_window_size": WINDOW,
        "initial_connection_window_size": CONNECTION_WINDOW,
    }


def _filters(namespace: str) -> list[dict[str, Any]]:
    shared = _texts(namespace) + _script("answers.lua") + _script("openai.lua")
    return [
        {"name": NAME_FILTER, "disabled": True, "typed_config": _extraction()},
        _lua(NAMING_FILTER, shared + _script("naming.lua")),
        _lua(payload_log.FILTER, _texts(namespace) + _script("payload.lua")),
        _lua(REQUEST_FILTER, shared + _script("request.lua")),
        {"name": shares.FILTER, "typed_config": shares.share_filter()},
        {"name": BRIDGE_FILTER, "typed_config": _bridge()},
        {**_lua(ANSWER_FILTER, _script("answer.lua")), "disabled": True},
        {**_lua(asleep.HOP_FILTER, _script("asleep.lua")), "disabled": True},
        {"name": asleep.KEEP_FILTER, "disabled": True, "typed_config": asleep.keep_filter()},
        {"name": "router", "typed_config": _router()},
    ]


def _extraction() -> dict[str, Any]:
    """Returns the filter that reads the model's name out of the first message of a call."""
    file = descriptor_pb2.FileDescriptorProto.FromString(inference_pb2.DESCRIPTOR.serialized_pb)
    types = descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString(deterministic=True)
    return {
        "@type": descriptors.type_url(EXTRACTION),
        "descriptor_set": {"inline_bytes": base64.b64encode(types).decode()},
        "extractions_by_method": {
            f"inference.GRPCInferenceService.{method}": {"request_field_extractions": {field: {}}}
            for method, field in NAME_FIELDS.items()
        },
    }


def _bridge() -> dict[str, Any]:
    return {
        "@type": descriptors.type_url(BRIDGE),
        "content_type": MESSAGE_TYPE,
        "withhold_grpc_frames": True,
    }


def _router() -> dict[str, Any]:
    return {"@type": descriptors.type_url(ROUTER), "suppress_envoy_headers": True}


def _model_of_request() -> dict[str, Any]:
    """Brings both ways to name a model to one form, `/v2/models/<name>…` in the header; the header decides.

    Envoy's own means for it: a Lua filter for REST calls costs more than all other additions together. The
    route puts the name itself back before the request goes on. Where a path has no place for a name, the
    text that is appended to it is the key.
    """
    given = {"key": MODEL_HEADER, "value": f"{mirrors.MODEL_PATH}%REQ({MODEL_HEADER})%"}
    path = {"key": MODEL_HEADER, "value": f"%PATH(NQ:PATH)%{3 * f'/{NAMESPACE_SCOPE}'}"}
    mutations = [
        {"append": {"header": given, "append_action": "OVERWRITE_IF_EXISTS"}},
        {"append": {"header": path, "append_action": "ADD_IF_ABSENT"}},
    ]
    config = {"@type": descriptors.type_url(EARLY_MUTATION), "mutations": mutations}
    return {"name": "model", "typed_config": config}


def _scoped_routes(*, element_separator: str, index: int) -> dict[str, Any]:
    """Returns where routes come from; their key is one element of the header."""
    ads = {"ads": {}, "resource_api_version": "V3"}
    key = {"name": MODEL_HEADER, "element_separator": element_separator, "index": index}
    return {
        "name": "models",
        "scope_key_builder": {"fragments": [{"header_value_extractor": key}]},
        "rds_config_source": ads,
        "scoped_rds": {"scoped_rds_config_source": ads},
    }


def _lua(name: str, script: str) -> dict[str, Any]:
    """Returns the Lua filter. `clear_route_cache` is off: a second look-up of the route would choose another
    backend after the name was set."""
    config = {"@type": descriptors.type_url(LUA), "default_source_code": {"inline_string": script}}
    return {"name": name, "typed_config": {**config, "clear_route_cache": False}}


def _script(name: str) -> str:
    return files("bailie.gateway").joinpath(name).read_text(encoding="utf-8")


def _texts(namespace: str) -> str:
    """Returns the answers of `routing.refusal` as Lua constants."""
    answers = {
        "not_found": refusal.not_found(namespace, "iris"),
        "not_served": refusal.not_served(namespace, grpc=False),
        "grpc_not_served": refusal.not_served(namespace, grpc=True),
        "no_list": refusal.no_list(namespace),
        "no_list_request": refusal.no_list_request(namespace),
        "body_names_none": refusal.not_named_in_body(namespace),
        "not_named": refusal.not_named(namespace),
        "not_decoded": refusal.not_decoded(namespace),
    }
    kinds = ", ".join(f"{ending[1:]} = true" for ending in TAKEN_ENDINGS)
    lines = [
        f"local NAMESPACE = {json.dumps(namespace)}",
        f"local KINDS = {{ {kinds} }}",
        f'local NO_MODEL, INDEX_CLUSTER = "{NAMESPACE_SCOPE}", "{INDEX_CLUSTER}"',
        "local TEXT = {",
    ]
    for key, answer in answers.items():
        message = answer.message.replace("model iris ", "$SUBJECT ")
        lines.append(
            f'  {key} = {{ status = "{answer.status}", grpc = "{answer.grpc_status.value}",'
            f" reason = {json.dumps(answer.reason)}, message = {json.dumps(message)} }},"
        )
    return "\n".join([*lines, "}", ""])


def _refusals(namespace: str) -> list[dict[str, Any]]:
    """Says in our words why Envoy itself answered; the first entry whose filter fits the answer counts."""
    model = "%REQ(SELDON-MODEL)%"
    # Before its route has a cluster, a request has the header by which the route was found.
    not_woken = refusal.not_woken(namespace, "%ROUTE_NAME%", asleep.KEEP_SECONDS // 60)
    asked = f"%DYNAMIC_METADATA({request_metrics.METADATA}:{request_metrics.ASLEEP})%"
    kept = refusal.not_woken(namespace, asked, asleep.KEEP_SECONDS // 60)
    no_answer = refusal.no_answer(namespace, model, "%LOCAL_REPLY_BODY%")
    mesh = refusal.mesh_no_answer(namespace, model, "%UPSTREAM_CLUSTER%", "%LOCAL_REPLY_BODY%")
    return [
        # Requests that the bootstrap's overload manager refused have no flag.
        *_in_our_words(refusal.data_plane_overloaded(namespace), when("response.code_details == 'overload'")),
        *_in_our_words(
            refusal.unclear_path(namespace), when("response.code_details == 'path_normalization_failed'")
        ),
        *_in_our_words(refusal.too_long(namespace, LONGEST_UNNAMED), status("EQ", 413)),
        *_of_a_name(
            refusal.share_taken(namespace, "%ROUTE_NAME%"),
            when(f"response.code_details == '{shares.REFUSED}'"),
        ),
        *_of_a_name(mesh, both(flagged("UO", *_UNANSWERED), when(_OF_MESH))),
        *_of_a_name(not_woken, flagged("NC")),
        # Envoy's own word for a request that was kept for too long is 504.
        *({**each, "status_code": kept.status} for each in _in_our_words(kept, flagged("SI"))),
        *_of_a_name(refusal.replicas_overloaded(namespace, model), flagged("UO")),
        *_of_a_name(no_answer, flagged(*_UNANSWERED)),
    ]


def _of_a_name(answer: ErrorAnswer, cause: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the answers for one cause: to callers of a pipeline or an experiment in the words that its
    route has for it, else as of a model."""
    told = answer.message.replace(
        refusal.by_kind(answer.model), f"%METADATA(ROUTE:{request_metrics.METADATA}:{SUBJECT})%"
    )
    of_kind = both(cause, when(_OF_A_KIND))
    return [*_in_our_words(replace(answer, message=told), of_kind), *_in_our_words(answer, cause)]


def _in_our_words(answer: ErrorAnswer, cause: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the answers in Bailie's words for one cause, for gRPC and REST; `cause` is a filter of access
    logs."""
    return [
        {
            "filter": both(cause, of_grpc()),
            "body_format_override": {"text_format_source": {"inline_string": answer.message}},
        },
        {
            "filter": cause,
            "body_format_override": {"json_format": answer.body(), "content_type": "application/json"},
        },
    ]
