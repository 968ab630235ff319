"""The two ports to which the scheduler routes requests for evicted models: REST and gRPC.

Run by `run` where memory is overcommitted. A request waits until its model is in memory and is then passed on
to the server. The data plane names the version as the server knows it, so nothing is renamed here. A request
also arrives here while the route of a model that was just loaded again is handed back to the server.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bailie._gen import agent_pb2
from bailie.agent.waiting.grpc import serve_grpc
from bailie.agent.waiting.http import serve_http
from bailie.agent.waiting.requests import WaitingRequests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bailie.agent.models import Models
    from bailie.agent.settings import Settings


@asynccontextmanager
async def serve_waiting(models: Models, settings: Settings) -> AsyncIterator[agent_pb2.Endpoint]:
    """Listens while entered; yields the addresses of this replica. Raises OSError where a port is taken.

    Without overcommit nothing is ever evicted, and nothing listens.
    """
    endpoint = agent_pb2.Endpoint(
        address=settings.address, http_port=settings.http_port, grpc_port=settings.grpc_port
    )
    if not settings.overcommit_percent:
        yield endpoint
        return
    requests = WaitingRequests(models, settings)
    async with serve_http(requests, settings) as http_port, serve_grpc(requests, settings) as grpc_port:
        endpoint.held_http_port, endpoint.held_grpc_port = http_port, grpc_port
        yield endpoint
