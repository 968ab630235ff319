"""The four ways to ask a model: REST and gRPC, blocking and asynchronous.

Used by `blocking` and `asynchronous`. An answer that says no is a reply; only an endpoint that does not
answer raises `ServerUnreachable`. Answers are read no further than `MAX_MESSAGE_BYTES`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import grpc
import grpc.aio
import httpx2

from bailie._gen import inference_pb2_grpc
from bailie.client import grpc_wire, rest_wire
from bailie.client.grpc_wire import GrpcReply
from bailie.client.rest_wire import RestReply
from bailie.inference.bodies import TooLong, fetch
from bailie.inference.client import MAX_MESSAGE_BYTES, ServerUnreachable
from bailie.inference.trust import trusted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.client.answers import Answer
    from bailie.client.grpc_wire import GrpcCall
    from bailie.client.rest_wire import RestCall
    from bailie.client.tensors import Inputs

Protocol = Literal["rest", "grpc"]
_OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
)


def sendable(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Returns headers with names as gRPC takes them: in lower case."""
    return {name.lower(): value for name, value in (headers or {}).items()}


class RestLink:
    """Blocking REST through `url`; `timeout` in seconds."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._http = httpx2.Client(trust_env=False, timeout=timeout, verify=trusted(self._url))

    def infer(self, model: str, inputs: Inputs, headers: Mapping[str, str]) -> Answer:
        """Sends inputs and returns the answer. Raises InferenceError, ServerUnreachable."""
        return rest_wire.answer_of(self._exchange(rest_wire.infer_call(model, inputs, headers)))

    def ready(self, model: str, headers: Mapping[str, str]) -> bool:
        """Tells whether a model is ready. Raises InferenceError, ServerUnreachable."""
        return rest_wire.readiness_of(self._exchange(rest_wire.ready_call(model, headers)))

    def metadata(self, model: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Returns a model's metadata. Raises InferenceError, ServerUnreachable."""
        return rest_wire.metadata_of(self._exchange(rest_wire.metadata_call(model, headers)))

    def _exchange(self, call: RestCall) -> RestReply:
        try:
            with self._http.stream(
                call.method, self._url + call.path, headers=dict(call.headers), content=call.content
            ) as reply:
                content = _read(reply, time.monotonic() + self._timeout)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            _fail(self._url, error)
        return RestReply(status=reply.status_code, headers=reply.headers, content=content)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()


def _read(reply: httpx2.Response, deadline: float) -> bytes:
    """Returns the whole body: the client's own time-out is for each part of it."""
    parts, length = [], 0
    for part in reply.iter_bytes():
        length += len(part)
        if time.monotonic() > deadline:
            raise httpx2.ReadTimeout("no whole answer in time")
        if length > MAX_MESSAGE_BYTES:
            raise TooLong(f"the answer is longer than {MAX_MESSAGE_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


class AsyncRestLink:
    """Asynchronous REST through `url`; `timeout` in seconds."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._http = httpx2.AsyncClient(trust_env=False, verify=trusted(self._url))

    async def infer(self, model: str, inputs: Inputs, headers: Mapping[str, str]) -> Answer:
        """Sends inputs and returns the answer. Raises InferenceError, ServerUnreachable."""
        return rest_wire.answer_of(await self._exchange(rest_wire.infer_call(model, inputs, headers)))

    async def ready(self, model: str, headers: Mapping[str, str]) -> bool:
        """Tells whether a model is ready. Raises InferenceError, ServerUnreachable."""
        return rest_wire.readiness_of(await self._exchange(rest_wire.ready_call(model, headers)))

    async def metadata(self, model: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Returns a model's metadata. Raises InferenceError, ServerUnreachable."""
        return rest_wire.metadata_of(await self._exchange(rest_wire.metadata_call(model, headers)))

    async def _exchange(self, call: RestCall) -> RestReply:
        try:
            reply = await fetch(
                self._http,
                call.method,
                self._url + call.path,
                most=MAX_MESSAGE_BYTES,
                seconds=self._timeout,
                headers=dict(call.headers),
                content=call.content,
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            _fail(self._url, error)
        return RestReply(status=reply.status, headers=reply.headers, content=reply.content)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()


def _fail(url: str, error: Exception) -> NoReturn:
    raise ServerUnreachable(f"{url} does not answer: {str(error) or type(error).__name__}") from error


class GrpcLink:
    """Blocking gRPC through `target`; `timeout` in seconds."""

    def __init__(self, target: str, timeout: float) -> None:
        self._target = target
        self._timeout = timeout
        self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        self._stub: Any = inference_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def infer(self, model: str, inputs: Inputs, headers: Mapping[str, str]) -> Answer:
        """Sends inputs and returns the answer. Raises InferenceError, ServerUnreachable."""
        return grpc_wire.answer_of(self._exchange(grpc_wire.infer_call(model, inputs, headers)))

    def ready(self, model: str, headers: Mapping[str, str]) -> bool:
        """Tells whether a model is ready. Raises InferenceError, ServerUnreachable."""
        return grpc_wire.readiness_of(self._exchange(grpc_wire.ready_call(model, headers)))

    def metadata(self, model: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Returns a model's metadata. Raises InferenceError, ServerUnreachable."""
        return grpc_wire.metadata_of(self._exchange(grpc_wire.metadata_call(model, headers)))

    def _exchange(self, call: GrpcCall) -> GrpcReply:
        method = getattr(self._stub, call.method)
        metadata = tuple(call.metadata.items())
        try:
            message, sent = method.with_call(call.message, metadata=metadata, timeout=self._timeout)
        except grpc.RpcError as error:
            return _refused(self._target, error)
        return GrpcReply(code="OK", message=message, metadata=_texts(sent.initial_metadata()))

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()


class AsyncGrpcLink:
    """Asynchronous gRPC through `target`; `timeout` in seconds."""

    def __init__(self, target: str, timeout: float) -> None:
        self._target = target
        self._timeout = timeout
        self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        self._stub: Any = inference_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def infer(self, model: str, inputs: Inputs, headers: Mapping[str, str]) -> Answer:
        """Sends inputs and returns the answer. Raises InferenceError, ServerUnreachable."""
        return grpc_wire.answer_of(await self._exchange(grpc_wire.infer_call(model, inputs, headers)))

    async def ready(self, model: str, headers: Mapping[str, str]) -> bool:
        """Tells whether a model is ready. Raises InferenceError, ServerUnreachable."""
        return grpc_wire.readiness_of(await self._exchange(grpc_wire.ready_call(model, headers)))

    async def metadata(self, model: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Returns a model's metadata. Raises InferenceError, ServerUnreachable."""
        return grpc_wire.metadata_of(await self._exchange(grpc_wire.metadata_call(model, headers)))

    async def _exchange(self, call: GrpcCall) -> GrpcReply:
        method = getattr(self._stub, call.method)
        sent = method(call.message, metadata=tuple(call.metadata.items()), timeout=self._timeout)
        try:
            message = await sent
        except grpc.aio.AioRpcError as error:
            return _refused(self._target, error)
        return GrpcReply(code="OK", message=message, metadata=_texts(await sent.initial_metadata()))

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close(grace=None)


def _refused(target: str, error: Any) -> GrpcReply:
    """Returns the error as a reply. Raises ServerUnreachable where no server has said anything."""
    if error.code() is grpc.StatusCode.UNAVAILABLE and not error.trailing_metadata():
        raise ServerUnreachable(f"{target} does not answer: {error.details()}") from error
    return GrpcReply(code=error.code().name, details=error.details() or "")


def _texts(metadata: Any) -> dict[str, str]:
    return {key: value for key, value in metadata or () if isinstance(value, str)}
