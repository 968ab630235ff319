"""gRPC calls for evicted models: each call waits until its model is in memory, then it is passed on.

Opened by `listeners`. Messages stay bytes: only the model's name in the first message of a call is read.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc

from bailie._gen import inference_pb2
from bailie.agent.waiting.requests import NotAnswered
from bailie.kube.grpc_serving import PORT_OF_ITS_OWN, listening
from bailie.tracing.context import HEADER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bailie.agent.settings import Settings
    from bailie.agent.waiting.requests import WaitingRequests

    Context = grpc.aio.ServicerContext[bytes, bytes]
    Metadata = tuple[tuple[str, str | bytes], ...]

SERVICE = "inference.GRPCInferenceService"
UNARY = ("ModelInfer", "ModelMetadata", "ModelReady")
STREAM = "ModelStreamInfer"
_STOP_SECONDS = 5.0
_SERVER_OPTIONS = (("grpc.max_send_message_length", -1), PORT_OF_ITS_OWN)
_CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_OWN = ("grpc-", "user-agent", "content-", "te", ":")
"""Metadata that gRPC makes itself on each connection, and lengths that are not those of the message."""


@asynccontextmanager
async def serve_grpc(waiting: WaitingRequests, settings: Settings) -> AsyncIterator[int]:
    """Listens while entered; yields the port. Raises OSError."""
    longest = ("grpc.max_receive_message_length", settings.held_bytes)
    server = grpc.aio.server(options=(*_SERVER_OPTIONS, longest))
    async with grpc.aio.insecure_channel(
        f"{settings.address}:{settings.grpc_port}", options=_CHANNEL_OPTIONS
    ) as channel:
        calls = _Calls(waiting, channel)
        methods = {name: grpc.unary_unary_rpc_method_handler(calls.unary(name)) for name in UNARY}
        methods[STREAM] = grpc.stream_stream_rpc_method_handler(calls.stream)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        async with listening(server, settings.address, settings.held_grpc_port, grace=_STOP_SECONDS) as port:
            yield port


class _Calls:
    """The methods that the data plane lets through."""

    def __init__(self, waiting: WaitingRequests, channel: grpc.aio.Channel) -> None:
        self._requests, self._channel = waiting, channel

    def unary(self, method: str) -> Any:
        """Returns the handler of one method."""
        call = self._channel.unary_unary(f"/{SERVICE}/{method}", None, None)

        async def handle(request: bytes, context: Context) -> bytes:
            name = _name_in(request)
            if method == "ModelReady" and self._requests.is_evicted(name):
                return inference_pb2.ModelReadyResponse(ready=True).SerializeToString()
            try:
                async with self._requests.hold(name, len(request), _traceparent(context)):
                    answer: bytes = await call(
                        request, metadata=_metadata(context), timeout=context.time_remaining()
                    )
                    return answer
            except NotAnswered as error:
                await context.abort(_CODES[error.refusal.grpc_status], error.refusal.message)
            except grpc.aio.AioRpcError as error:
                await _hand_on(context, error)
            raise AssertionError  # not reached: both abort

        return handle

    async def stream(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        """Passes on a ModelStreamInfer: the whole stream goes to the model of the first message."""
        first = await anext(aiter(requests), None)
        if first is None:
            return
        name = _name_in(first)
        try:
            async with self._requests.hold(name, len(first), _traceparent(context)):
                call = self._channel.stream_stream(f"/{SERVICE}/{STREAM}", None, None)(
                    _with_first(first, requests),
                    metadata=_metadata(context),
                    timeout=context.time_remaining(),
                )
                try:
                    async for answer in call:
                        yield answer
                finally:
                    call.cancel()
        except NotAnswered as error:
            await context.abort(_CODES[error.refusal.grpc_status], error.refusal.message)
        except grpc.aio.AioRpcError as error:
            await _hand_on(context, error)


async def _with_first(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for each in rest:
        yield each


async def _hand_on(context: Context, error: grpc.aio.AioRpcError) -> None:
    """Ends the call as the server ended it."""
    trailing: Any = error.trailing_metadata() or ()
    await context.abort(error.code(), error.details() or "", tuple(trailing))


def _metadata(context: Context) -> Metadata:
    given: Any = context.invocation_metadata() or ()
    return tuple((key, value) for key, value in given if not key.startswith(_OWN))


def _traceparent(context: Context) -> bytes:
    given: Any = context.invocation_metadata() or ()
    return next((str(value).encode() for key, value in given if key == HEADER), b"")


def _name_in(message: bytes) -> str:
    """Reads the model's name, which is the first field of every request, by the smallest request's type."""
    try:
        name: str = inference_pb2.ModelReadyRequest.FromString(message).name
    except Exception:
        return ""
    return name
