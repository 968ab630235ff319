"""The gRPC methods that give Envoys the list of a namespace's models, for their callers.

Their handlers are part of the server of `ads`, which says whom a call is for. RepositoryIndex is the caller's
own call, passed on; the others are made by `request.lua`, and answer with JSON in the place of a message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError

from bailie._gen import inference_pb2 as pb
from bailie.routing.table import RoutingTable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from bailie.gateway.model_index import ModelIndex
    from bailie.gateway.publisher import Gateway

    Asked = Callable[[AsyncIterator[bytes], Any], Awaitable[tuple[Gateway, bytes]]]
    """Returns the gateway that a call is for, and its message, or ends the call."""
    Answer = Callable[[ModelIndex, RoutingTable, pb.RepositoryIndexRequest], bytes]

PROTOCOL = "inference.GRPCInferenceService"
OWN = "bailie.Models"


def handlers(asked: Asked) -> Iterator[grpc.GenericRpcHandler[bytes, bytes]]:
    """Yields the handlers of both services."""
    yield grpc.method_handlers_generic_handler(
        PROTOCOL,
        {"RepositoryIndex": _handler(asked, lambda i, t, r: i.protobuf(t, only_ready=r.ready))},
    )
    yield grpc.method_handlers_generic_handler(
        OWN,
        {
            "Index": _handler(asked, lambda i, t, r: i.json(t, only_ready=r.ready)),
            "OpenAI": _handler(asked, lambda i, t, _: i.openai(t)),
        },
    )


def _handler(asked: Asked, answer: Answer) -> grpc.RpcMethodHandler[bytes, bytes]:
    async def handle(requests: AsyncIterator[bytes], context: Any) -> bytes:
        gateway, data = await asked(requests, context)
        try:
            request = pb.RepositoryIndexRequest.FromString(data)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this is no RepositoryIndexRequest")
            raise AssertionError from None  # not reached: abort raises
        return answer(gateway.index, gateway.table or RoutingTable(""), request)

    return grpc.stream_unary_rpc_method_handler(handle)
