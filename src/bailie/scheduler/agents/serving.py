"""The gRPC server that agents dial. Opened by `run`, for the agents of one namespace or of several."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import grpc

from bailie._gen import agent_pb2 as pb
from bailie.kube.grpc_serving import listening, port_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bailie.scheduler.agents.service import Context

_STOP_SECONDS = 0.5
_LONGEST = 8 * 1024 * 1024
"""Bytes of a hello. The inventory of `MOST_VERSIONS` has 4 MB; agents add 4 MiB of signatures and words."""
_SERVER_OPTIONS = (
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 2500),
    ("grpc.http2.ping_timeout_ms", 2500),  # the one that counts: the default of a minute hides keepalive's
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 500),
    ("grpc.max_receive_message_length", _LONGEST),
)
_SERVICE = "bailie.agent.v1.AgentService"


class Servicer(Protocol):
    """The agents of one namespace, or of several (`tenants`), as the gRPC server needs them."""

    async def Session(self, request_iterator: object, context: Context) -> None:  # noqa: N802 - gRPC's
        """Serves one stream, from the hello to its end."""
        ...

    def stand_down(self) -> None:
        """Ends every session."""
        ...


def _handler(service: Servicer) -> Any:
    """Returns a handler that gets messages as bytes: gRPC logs a traceback for bytes that it cannot parse."""
    method = grpc.stream_stream_rpc_method_handler(
        service.Session, response_serializer=pb.SchedulerMessage.SerializeToString
    )
    return grpc.method_handlers_generic_handler(_SERVICE, {"Session": method})


@asynccontextmanager
async def serve_agents(service: Servicer, address: str, port: int) -> AsyncIterator[int]:
    """Listens while entered; yields the port, which the system chooses for 0.

    Raises OSError when the port is taken.
    """
    server = grpc.aio.server(options=(*_SERVER_OPTIONS, *port_options()))
    server.add_generic_rpc_handlers((_handler(service),))
    async with listening(server, address, port, grace=_STOP_SECONDS) as bound:
        try:
            yield bound
        finally:
            service.stand_down()
