"""The answers to requests that reach no model, for REST and for gRPC alike.

Used by the gateway, by agents and by pipeline gateways, so that each text exists once. The body keeps `error`
a string, as the Open Inference Protocol has it, and adds fields for programs beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from bailie.api.names import TAKEN_ENDINGS
from bailie.wellknown import headers

if TYPE_CHECKING:
    from bailie.routing.table import NotReady

MAX_NAME = 253
"""Bytes of an unknown name that are repeated to the caller."""

PATH_NOT_SERVED = "PathNotServed"
MODEL_NOT_FOUND = "ModelNotFound"
MODEL_NOT_NAMED = "ModelNotNamed"
ENCODING_NOT_SUPPORTED = "EncodingNotSupported"
NO_ANSWER = "NoAnswer"
PASSED_ON_ALREADY = "PassedOnAlready"
TOO_LONG = "RequestTooLong"
NO_LIST = "NoListOfModels"
TOO_MANY_WAIT = "TooManyRequestsWait"
OVERLOADED = "Overloaded"


class GrpcStatus(IntEnum):
    """The status codes of gRPC that refusals use."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    UNAVAILABLE = 14


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An answer of the data plane itself: HTTP status, gRPC status, and the fields of the JSON body."""

    status: int
    grpc_status: GrpcStatus
    reason: str
    message: str
    model: str
    namespace: str

    def body(self) -> dict[str, str]:
        """Returns the JSON body of a REST answer; gRPC callers get `message` in the status."""
        return {
            "error": self.message,
            "reason": self.reason,
            "model": self.model,
            "namespace": self.namespace,
        }


def shown(name: str) -> str:
    """Returns a caller's name in a form that is safe to repeat: printable ASCII, cut to `MAX_NAME`."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in name[:MAX_NAME])


def by_kind(name: str) -> str:
    """Returns kind and name of the object for whose name callers ask: `pipeline choice` for
    `choice.pipeline`."""
    for ending in TAKEN_ENDINGS:
        if name.endswith(ending) and name != ending:
            return f"{ending[1:]} {name.removesuffix(ending)}"
    return f"model {name}"


def not_found(namespace: str, model: str) -> ErrorAnswer:
    """Returns the answer for a name that does not exist in the namespace."""
    name = shown(model)
    text = f"{by_kind(name)} does not exist in namespace {namespace}"
    return ErrorAnswer(404, GrpcStatus.NOT_FOUND, MODEL_NOT_FOUND, text, name, namespace)


def not_ready(namespace: str, model: str, entry: NotReady) -> ErrorAnswer:
    """Returns the answer for a name that exists and that no replica can answer for now."""
    subject = entry.subject or by_kind(model)
    more = f"`kubectl describe {subject}` says more"
    text = f"{subject} in namespace {namespace} is not ready: {entry.message}; {more}"
    return ErrorAnswer(503, GrpcStatus.UNAVAILABLE, entry.reason, text, model, namespace)


def no_answer(namespace: str, model: str, cause: str) -> ErrorAnswer:
    """Returns the answer where a replica should have answered: it is gone, or went during the request."""
    text = f"no replica of {by_kind(model)} in namespace {namespace} answered: {cause}"
    return ErrorAnswer(503, GrpcStatus.UNAVAILABLE, NO_ANSWER, text, model, namespace)


def not_woken(namespace: str, model: str, minutes: int) -> ErrorAnswer:
    """Returns the answer to a request that waited for a model which sleeps, for as long as requests may."""
    text = (
        f"{by_kind(model)} in namespace {namespace} was asleep, and no replica came for it within"
        f" {minutes} minutes; `bailie explain {by_kind(model)}` says why"
    )
    return ErrorAnswer(503, GrpcStatus.UNAVAILABLE, NO_ANSWER, text, model, namespace)


def passed_on_already(namespace: str, model: str) -> ErrorAnswer:
    """Returns the answer for a name that another mesh has passed on to this one, which would pass it on,
    too."""
    text = (
        f"{by_kind(model)} is not ready in namespace {namespace}, to which another mesh passed the request"
        " on; a request is passed on once: make it ready in one of the two namespaces"
    )
    return ErrorAnswer(503, GrpcStatus.UNAVAILABLE, PASSED_ON_ALREADY, text, model, namespace)


def mesh_no_answer(namespace: str, model: str, mesh: str, cause: str) -> ErrorAnswer:
    """Returns the answer where another mesh should have answered, and none could be had from there."""
    text = (
        f"{by_kind(model)} is not ready in namespace {namespace}, and {mesh}, which answers until then, gave"
        f" no answer: {cause}"
    )
    return ErrorAnswer(503, GrpcStatus.UNAVAILABLE, NO_ANSWER, text, model, namespace)


def overloaded(namespace: str, model: str, cause: str) -> ErrorAnswer:
    """Returns the answer for a model for which as many requests wait already as may wait."""
    text = f"{by_kind(model)} in namespace {namespace} takes no more requests now, try again later: {cause}"
    return ErrorAnswer(429, GrpcStatus.RESOURCE_EXHAUSTED, TOO_MANY_WAIT, text, model, namespace)


def share_taken(namespace: str, model: str) -> ErrorAnswer:
    """Returns the answer for a model that has as many requests in progress as its replicas take for one
    model."""
    text = (
        f"{by_kind(model)} in namespace {namespace} has as many requests in progress as its replicas take for"
        " one name: try again later, or give it more replicas"
    )
    return ErrorAnswer(503, GrpcStatus.UNAVAILABLE, OVERLOADED, text, model, namespace)


def replicas_overloaded(namespace: str, model: str) -> ErrorAnswer:
    """Returns the answer for a model whose replicas have as many requests in progress as they may have, those
    for other models among them."""
    text = (
        f"the replicas of {by_kind(model)} in namespace {namespace} have as many requests in progress as they"
        " may have: try again later, or give them more replicas"
    )
    return ErrorAnswer(503, GrpcStatus.UNAVAILABLE, OVERLOADED, text, model, namespace)


def data_plane_overloaded(namespace: str) -> ErrorAnswer:
    """Returns the answer of an Envoy that is short of memory, and has not read which model is asked for."""
    text = f"the data plane of namespace {namespace} is short of memory: try again later, or give it more"
    return ErrorAnswer(503, GrpcStatus.UNAVAILABLE, OVERLOADED, text, "", namespace)


def too_long(namespace: str, most: int) -> ErrorAnswer:
    """Returns the answer for a request that names its model inside, and is too long to be kept until then."""
    text = (
        f"the request has more than {most} bytes and names its model inside: name the model in the header"
        f" {headers.MODEL} (namespace {namespace})"
    )
    return ErrorAnswer(413, GrpcStatus.RESOURCE_EXHAUSTED, TOO_LONG, text, "", namespace)


def not_served(namespace: str, *, grpc: bool) -> ErrorAnswer:
    """Returns the answer for a path or a method that is no part of a model's inference API."""
    rest = "nothing is served at this path: ask for /v2/models/<model>/infer"
    method = (
        "only ModelInfer, ModelStreamInfer, ModelMetadata, ModelReady, ServerLive, ServerReady,"
        " ServerMetadata and RepositoryIndex are served"
    )
    text = f"{method if grpc else rest} (namespace {namespace})"
    return ErrorAnswer(404, GrpcStatus.UNIMPLEMENTED, PATH_NOT_SERVED, text, "", namespace)


def unclear_path(namespace: str) -> ErrorAnswer:
    """Returns the answer for a path that Envoy and a server could read in two ways."""
    text = (
        "the path has an escaped slash, backslash or zero byte, which no name has: ask for"
        f" /v2/models/<model>/infer (namespace {namespace})"
    )
    return ErrorAnswer(400, GrpcStatus.INVALID_ARGUMENT, PATH_NOT_SERVED, text, "", namespace)


def no_stream(namespace: str, name: str) -> ErrorAnswer:
    """Returns the answer for a stream of gRPC to a pipeline."""
    text = f"{name} answers no streams: call ModelInfer for each request (namespace {namespace})"
    return ErrorAnswer(404, GrpcStatus.UNIMPLEMENTED, PATH_NOT_SERVED, text, name, namespace)


def not_named(namespace: str) -> ErrorAnswer:
    """Returns the answer for a gRPC call that does not name its model."""
    text = f"name the model in the message, or in the metadata {headers.MODEL} (namespace {namespace})"
    return ErrorAnswer(400, GrpcStatus.INVALID_ARGUMENT, MODEL_NOT_NAMED, text, "", namespace)


def not_named_in_body(namespace: str) -> ErrorAnswer:
    """Returns the answer for a call of OpenAI's API whose body does not name its model once, as a text, or
    has more parts than are looked at (`gateway/openai.lua`)."""
    text = (
        'name the model, once, in the field "model" of the JSON body, an object of at most 1000 fields'
        f" (namespace {namespace})"
    )
    return ErrorAnswer(400, GrpcStatus.INVALID_ARGUMENT, MODEL_NOT_NAMED, text, "", namespace)


def no_list_request(namespace: str) -> ErrorAnswer:
    """Returns the answer for a gRPC call of RepositoryIndex that is longer than any request for the list."""
    text = f"the message is too long to be a RepositoryIndexRequest (namespace {namespace})"
    return ErrorAnswer(413, GrpcStatus.INVALID_ARGUMENT, TOO_LONG, text, "", namespace)


def no_list(namespace: str) -> ErrorAnswer:
    """Returns the answer for a caller of the list of models, while the scheduler gives none."""
    text = (
        f"the scheduler of namespace {namespace} gives no list of models at this moment: it does not answer,"
        " or is asked too often; try again later"
    )
    return ErrorAnswer(503, GrpcStatus.UNAVAILABLE, NO_LIST, text, "", namespace)


def not_decoded(namespace: str) -> ErrorAnswer:
    """Returns the answer for a gRPC call with compressed messages: the name in them cannot be replaced."""
    text = f"compressed messages are not supported, send them with encoding identity (namespace {namespace})"
    return ErrorAnswer(415, GrpcStatus.UNIMPLEMENTED, ENCODING_NOT_SUPPORTED, text, "", namespace)
