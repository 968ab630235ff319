"""The two ports to which the scheduler routes requests for evicted models: REST and gRPC.

Run by `run`. Models leave memory where it is overcommitted, or when nobody asks for them. A request waits
until its model is in memory and is then passed on to the server. The data plane names the version as the
server knows it, so nothing is renamed here. A request also arrives here while the route of a model that was
just loaded again is handed back to the server.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from bailie._gen import agent_pb2
from bailie.agent.waiting.grpc import serve_grpc
from bailie.agent.waiting.http import serve_http
from bailie.agent.waiting.requests import WaitingRequests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bailie.agent.models import Models
    from bailie.agent.settings import Settings

log = structlog.get_logger(__name__)


@asynccontextmanager
async def serve_waiting(models: Models, settings: Settings) -> AsyncIterator[agent_pb2.Endpoint]:
    """Listens while entered; yields the addresses of this replica.

    Raises OSError where a port is taken and memory is overcommitted. Without overcommit the replica does
    without the ports then: no model leaves its memory.
    """
    endpoint = agent_pb2.Endpoint(
        address=settings.address, http_port=settings.http_port, grpc_port=settings.grpc_port
    )
    requests = WaitingRequests(models, settings)
    async with AsyncExitStack() as stack:
        try:
            endpoint.held_http_port = await stack.enter_async_context(serve_http(requests, settings))
            endpoint.held_grpc_port = await stack.enter_async_context(serve_grpc(requests, settings))
        except OSError as error:
            if settings.overcommit_percent:
                raise
            endpoint.held_http_port = endpoint.held_grpc_port = 0
            log.warning("no requests are kept for models", error=str(error))
        yield endpoint
