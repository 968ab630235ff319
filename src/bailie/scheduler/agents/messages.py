"""The next message of an agent: its bytes, what they say, and when the one after it may be read.

Used by `greetings` for the hello and by `service` for all others. Each message is bounded before it is read,
and a hello, which may be long, is read in parts.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import grpc

from bailie.kube.limits import Allowance
from bailie.scheduler.agents import wire
from bailie.scheduler.agents.hello_parts import ImpossibleHello, hello_parts
from bailie.scheduler.agents.session import AgentRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie._gen import agent_pb2 as pb
    from bailie.scheduler.agents.hello_parts import HelloParts

    Context = grpc.aio.ServicerContext[bytes, pb.SchedulerMessage]

EFFORT = (100.0, 2_000)
"""Milliseconds per second, and at once, that the messages of one session may take to read, and the hellos
from one address. A hello of 50,000 versions takes 20, and the longest of the other messages 3."""
_MESSAGES = (2_000.0, 20_000)
"""Messages per second of one session, and at once. Messages beyond these are read more slowly."""
_INVALID = grpc.StatusCode.INVALID_ARGUMENT


async def next_bytes(context: Context, seconds: float) -> bytes | None:
    """Returns the next message as it came, None at the end of the stream. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        data: object = await context.read()
    return data if isinstance(data, bytes) else None


def hello_of(data: bytes | None) -> HelloParts:
    """Returns the hello. Raises AgentRefused for a message that is none, or one that no agent makes."""
    try:
        found = None if data is None else hello_parts(data)
    except ImpossibleHello as error:
        raise AgentRefused(_INVALID, str(error)) from error
    if found is None:
        raise AgentRefused(_INVALID, "a session begins with a hello")
    return found


def message_of(data: bytes | None) -> pb.AgentMessage | None:
    """Returns a message after the hello, None for none. Raises AgentRefused for bytes that are no such
    message, or longer than one."""
    if data is None:
        return None
    if len(data) > wire.LONGEST_MESSAGE:
        told = f"a message of {len(data)} bytes after the hello is longer than {wire.LONGEST_MESSAGE}"
        raise AgentRefused(_INVALID, told)
    message = wire.parsed(data)
    if message is None:
        raise AgentRefused(_INVALID, wire.NO_MESSAGE)
    return message


class Pace:
    """How fast the messages of one session are read, so that they take at most a tenth of the event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._number, self._effort = Allowance(*_MESSAGES, clock), Allowance(*EFFORT, clock)

    def rest(self, cost: float) -> float:
        """Counts a message that has taken `cost` seconds; returns for how many the next one is to wait."""
        self._number.spend(1)
        self._effort.spend(cost * 1_000)
        return max(self._number.wait(), self._effort.wait())
