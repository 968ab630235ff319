"""What a caller is told when a request goes nowhere, for REST and for gRPC alike.

Used by `routing.match` and by the gateway, so that the text exists once. The body keeps `error` a string,
as the Open Inference Protocol has it, and adds what a program may want beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

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
TOO_MANY_WAIT = "TooManyRequestsWait"
OVERLOADED = "Overloaded"


class GrpcStatus(IntEnum):
    """The status codes of gRPC that are used here."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    UNAVAILABLE = 14


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An answer that the data plane gives itself: HTTP status, gRPC status, and the JSON body's fields."""

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
    """Returns a name that a caller made up as it is safe to repeat: printable ASCII, cut to `MAX_NAME`."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in name[:MAX_NAME])


def not_found(namespace: str, model: str) -> ErrorAnswer:
    """No such name in the namespace."""
    name = shown(model)
    text = f"model {name} does not exist in namespace {namespace}"
    return ErrorAnswer(404, GrpcStatus.NOT_FOUND, MODEL_NOT_FOUND, text, name, namespace)


def not_ready(namespace: str, model: str, entry: NotReady) -> ErrorAnswer:
    """The name is known and nothing can answer for it now."""
    more = f"`kubectl describe model {model}` says more"
    text = f"model {model} in namespace {namespace} is not ready: {entry.message}; {more}"
    return ErrorAnswer(503, GrpcStatus.UNAVAILABLE, entry.reason, text, model, namespace)


def no_answer(namespace: str, model: str, cause: str) -> ErrorAnswer:
    """A replica should answer and did not: it is gone, or went while the request was with it."""
    text = f"no replica of model {model} in namespace {namespace} answered: {cause}"
    return ErrorAnswer(503, GrpcStatus.UNAVAILABLE, NO_ANSWER, text, model, namespace)


def overloaded(namespace: str, model: str, cause: str) -> ErrorAnswer:
    """The name is known and can answer, but so many requests wait already that this one may not."""
    text = f"model {model} in namespace {namespace} takes no more requests at this moment: {cause}"
    return ErrorAnswer(503, GrpcStatus.RESOURCE_EXHAUSTED, TOO_MANY_WAIT, text, model, namespace)


def replicas_overloaded(namespace: str, model: str) -> ErrorAnswer:
    """The replicas of the model have as many requests in progress as they may have."""
    text = (
        f"the replicas of model {model} in namespace {namespace} have as many requests in progress as they"
        " may have: try again later, or give the model more replicas"
    )
    return ErrorAnswer(503, GrpcStatus.UNAVAILABLE, OVERLOADED, text, model, namespace)


def data_plane_overloaded(namespace: str) -> ErrorAnswer:
    """Envoy itself is short of memory; it has not looked which model the request is for."""
    text = f"the data plane of namespace {namespace} is short of memory: try again later, or give it more"
    return ErrorAnswer(503, GrpcStatus.UNAVAILABLE, OVERLOADED, text, "", namespace)


def not_served(namespace: str, *, grpc: bool) -> ErrorAnswer:
    """A path or a method that is no part of a model's inference API."""
    rest = "nothing is served at this path: ask for /v2/models/<model>/infer"
    method = "only ModelInfer, ModelStreamInfer, ModelMetadata and ModelReady are served"
    text = f"{method if grpc else rest} (namespace {namespace})"
    return ErrorAnswer(404, GrpcStatus.UNIMPLEMENTED, PATH_NOT_SERVED, text, "", namespace)


def not_named(namespace: str) -> ErrorAnswer:
    """A gRPC call that does not say which model it is for."""
    text = f"name the model in the metadata {headers.MODEL} (namespace {namespace})"
    return ErrorAnswer(400, GrpcStatus.INVALID_ARGUMENT, MODEL_NOT_NAMED, text, "", namespace)


def not_decoded(namespace: str) -> ErrorAnswer:
    """A gRPC call whose messages are compressed, so that the model's name in them cannot be replaced."""
    text = f"compressed messages are not supported, send them with encoding identity (namespace {namespace})"
    return ErrorAnswer(415, GrpcStatus.UNIMPLEMENTED, ENCODING_NOT_SUPPORTED, text, "", namespace)
