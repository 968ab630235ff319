"""Calls of the Open Inference Protocol through a data plane, REST and gRPC behind one method.

The caller owns the deadline. An answer that is not a success is a value (`InferenceAnswer.ok` is False),
because the person wants to read the server's words; only an endpoint that cannot be reached raises.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import grpc
import grpc.aio
import httpx2

from bailie._gen import inference_pb2, inference_pb2_grpc
from bailie.inference.bodies import TooLong, fetch
from bailie.inference.codec import from_protobuf, to_protobuf
from bailie.inference.trust import trusted
from bailie.wellknown.headers import MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_MESSAGE_BYTES = 1 << 30
"""As the servers are configured; gRPC's own default of 4 MiB is too small for images."""


def rest_url(address: str) -> str:
    """Returns the URL for REST of an address, which is a URL or HOST:PORT."""
    return address if "://" in address else f"http://{address}"


def grpc_target(address: str) -> str:
    """Returns HOST:PORT for gRPC of an address, which is a URL or HOST:PORT. Raises ValueError for TLS."""
    scheme, separated, rest = address.rpartition("://")
    if separated and scheme != "http":
        raise ValueError(f"{address}: gRPC goes without TLS here; use REST, or an http address")
    return rest.rstrip("/")


class ServerUnreachable(Exception):  # noqa: N818 - the name of the state
    """The endpoint does not answer; the message names it."""


@dataclass(frozen=True, slots=True)
class InferenceAnswer:
    """The answer to a request: `status` is the HTTP code or the gRPC code's name, `body` the JSON form.
    `message` is the answer as it came over gRPC."""

    ok: bool
    status: str
    body: Any
    headers: Mapping[str, str]
    message: inference_pb2.ModelInferResponse | None = None


class InferenceClient(Protocol):
    """One data plane, one protocol."""

    async def infer(
        self, model: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> InferenceAnswer:
        """Sends one request for `model`; `headers` go along as headers or metadata."""

    async def close(self) -> None:
        """Closes the connections."""


class RestClient:
    """REST through `url`, for example `http://127.0.0.1:9000`; `timeout` in seconds."""

    def __init__(self, url: str, *, timeout: float = 60.0) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._http = httpx2.AsyncClient(trust_env=False, verify=trusted(self._url))

    async def infer(
        self, model: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> InferenceAnswer:
        """Posts to `/v2/models/<model>/infer`."""
        return await self._ask("POST", model, "/infer", headers, json=body)

    async def metadata(self, model: str, headers: Mapping[str, str] | None = None) -> InferenceAnswer:
        """Gets `/v2/models/<model>`: the tensors that the model takes and gives, as its server knows them."""
        return await self._ask("GET", model, "", headers)

    async def _ask(
        self, method: str, model: str, rest: str, headers: Mapping[str, str] | None, **options: Any
    ) -> InferenceAnswer:
        sent = {MODEL: model, **(headers or {})}
        try:
            response = await fetch(
                self._http,
                method,
                f"{self._url}/v2/models/{quote(model, safe='')}{rest}",
                most=MAX_MESSAGE_BYTES,
                seconds=self._timeout,
                headers=sent,
                **options,
            )
        except TooLong as error:
            raise ServerUnreachable(f"{self._url} answers without an end: {error}") from error
        except httpx2.InvalidURL as error:
            raise ServerUnreachable(f"{self._url} is not an address: {error}") from error
        except httpx2.TimeoutException as error:
            raise ServerUnreachable(f"{self._url} does not answer: not within {self._timeout:g} s") from error
        except httpx2.TransportError as error:
            raise ServerUnreachable(
                f"{self._url} does not answer: {str(error) or type(error).__name__}"
            ) from error
        return InferenceAnswer(
            response.is_success, str(response.status), _parsed(response.content), dict(response.headers)
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()


class GrpcClient:
    """gRPC through `target`, for example `127.0.0.1:9000`; `timeout` in seconds."""

    def __init__(self, target: str, *, timeout: float = 60.0) -> None:
        self._target = target
        self._timeout = timeout
        options = [
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ]
        self._channel = grpc.aio.insecure_channel(target, options=options)
        self._stub: Any = inference_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def infer(
        self, model: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> InferenceAnswer:
        """Calls ModelInfer with the metadata `seldon-model`."""
        metadata = tuple({MODEL: model, **(headers or {})}.items())
        call = self._stub.ModelInfer(to_protobuf(model, body), metadata=metadata, timeout=self._timeout)
        try:
            response: inference_pb2.ModelInferResponse = await call
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE and not error.trailing_metadata():
                raise ServerUnreachable(f"{self._target} does not answer: {error.details()}") from error
            return InferenceAnswer(
                False, error.code().name, error.details(), _headers(error.initial_metadata())
            )
        received = _headers(await call.initial_metadata())
        return InferenceAnswer(True, "OK", from_protobuf(response), received, response)

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close(grace=None)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return content.decode(errors="replace")


def _headers(metadata: Any) -> dict[str, str]:
    return {key: value for key, value in metadata or () if isinstance(value, str)}
