"""The next message of an agent: its bytes, and what they say. Used by `service`, which counts the time that
their reading takes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc

from bailie.scheduler.agents import wire
from bailie.scheduler.agents.session import AgentRefused

if TYPE_CHECKING:
    from bailie._gen import agent_pb2 as pb

    Context = grpc.aio.ServicerContext[bytes, pb.SchedulerMessage]


async def next_bytes(context: Context, seconds: float) -> bytes | None:
    """Returns the next message as it came, None at the end of the stream. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        data: object = await context.read()
    return data if isinstance(data, bytes) else None


def message_of(data: bytes | None) -> pb.AgentMessage | None:
    """Returns the message, None for none. Raises AgentRefused for bytes that are no message."""
    if data is None:
        return None
    message = wire.parsed(data)
    if message is None:
        told = "this is no message of the agents' protocol"
        raise AgentRefused(grpc.StatusCode.INVALID_ARGUMENT, told)
    return message
