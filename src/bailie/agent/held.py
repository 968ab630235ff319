"""Where requests come for models that are not in memory: REST and gRPC, passed on once the model is there.

Run by `run` where memory is overcommitted. The data plane names the version as the server knows it, so
nothing is renamed here. Only what was evicted comes this way, and what comes for it while its route is handed
back.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bailie._gen import agent_pb2
from bailie.agent.held_grpc import serve_grpc
from bailie.agent.held_http import serve_http
from bailie.agent.holding import Holding

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bailie.agent.models import Models
    from bailie.agent.settings import Settings


@asynccontextmanager
async def serve_held(models: Models, settings: Settings) -> AsyncIterator[agent_pb2.Endpoint]:
    """Listens while entered; yields where this replica is reached. Raises OSError where a port is taken.

    Without overcommit nothing is ever evicted, and nothing listens.
    """
    endpoint = agent_pb2.Endpoint(
        address=settings.address, http_port=settings.http_port, grpc_port=settings.grpc_port
    )
    if not settings.overcommit_percent:
        yield endpoint
        return
    holding = Holding(models, settings)
    async with serve_http(holding, settings) as http_port, serve_grpc(holding, settings) as grpc_port:
        endpoint.held_http_port, endpoint.held_grpc_port = http_port, grpc_port
        yield endpoint
