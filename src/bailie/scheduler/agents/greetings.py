"""The hellos of one namespace's agents: how many are read, how long that takes, and what they say.

Used by `service`, one for its life. Any number of agents may come at once, and a caller with the token may
send anything as its hello: the reading of one keeps no other agent out, and few are in memory at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc

from bailie.kube.limits import Allowance
from bailie.kube.peers import address_of, own_address
from bailie.kube.places import NoTurn
from bailie.scheduler.agents import peers, wire
from bailie.scheduler.agents.messages import EFFORT, hello_of, next_bytes
from bailie.scheduler.agents.session import AgentRefused, AgentSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bailie._gen import agent_pb2 as pb
    from bailie.kube.places import Places
    from bailie.scheduler.agents.hello_parts import HelloParts
    from bailie.scheduler.agents.messages import Context

_HELLO_SECONDS = 3.0
"""An agent says its hello when it calls."""
_HELLOS = (50.0, 500)
"""Hellos per second from one address, and at once: on a laptop all agents call from one address."""
MOST_HELLOS = 32
"""Hellos that are in memory at a time, of 8 MiB at most, of all namespaces of a scheduler."""
MOST_CALLS, _ALL_CALLS = 200, 4_000
"""Calls from one address at a time, and in all: twice as many as there may be sessions. A call whose
session is over goes on for as long as its agent takes no message, and an agent may begin one session after
the other. Calls from a loopback address are bounded by the second figure alone, for any number of agents
call from there."""
_TURN_SECONDS = 5.0
"""How long an agent waits for its turn; agents wait no longer for a welcome."""
_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
_LONGEST_POD = 253
_TOO_LONG_TO_READ = "the hellos from there took too long to read; try again later"


class Greetings:
    """Reads hellos, and makes the sessions of the agents that say them."""

    def __init__(
        self, namespace: str, address: str, next_revision: Callable[[], int], places: Places
    ) -> None:
        """Takes the scheduler's own `address`; `next_revision` numbers the reports, and `places` are those
        of the hellos of all namespaces."""
        self._namespace, self._address, self._next_revision = namespace, address, next_revision
        self._hellos = Allowance(*_HELLOS)
        self._efforts = Allowance(*EFFORT)
        self._places = places
        self._calls = Counter[str]()
        self._all_calls = 0
        self._taking = asyncio.Lock()
        """Held while an inventory is taken: many at a time would delay everything else."""
        self._greeting: set[str] = set()
        """The agents whose inventory is taken or waits for that, once each: none keeps the others out."""

    @contextmanager
    def admitted(self, context: Context) -> Iterator[None]:
        """Counts a session that is begun from an address, and its call until that is over.

        Raises AgentRefused, before the block, for one too many.
        """
        self._admit(caller_of(context))
        own = own_address(context.peer())
        if self._all_calls >= _ALL_CALLS or (own and self._calls[own] >= MOST_CALLS):
            told = "too many calls from there are not over: an agent has one, and takes its messages"
            raise AgentRefused(_EXHAUSTED, told)
        self._all_calls += 1
        self._calls[own] += 1
        try:
            yield
        finally:
            self._all_calls -= 1
            self._calls[own] -= 1
            if not self._calls[own]:
                del self._calls[own]

    def _admit(self, caller: str) -> None:
        if not self._hellos.take(caller):
            raise AgentRefused(
                _EXHAUSTED, f"more than {_HELLOS[0]:.0f} sessions a second are begun from there"
            )
        if not self._efforts.take(caller):
            raise AgentRefused(_EXHAUSTED, _TOO_LONG_TO_READ)

    async def introduced(self, number: int, context: Context) -> tuple[pb.Hello, AgentSession]:
        """Returns the words of an agent's hello, and its session, which has taken the inventory.

        A hello stays in its sender's memory until it has a place here. Raises AgentRefused.
        """
        caller = caller_of(context)
        try:
            async with self._places.place(self._namespace, own_address(context.peer()), _TURN_SECONDS):
                hello = await self.read(context)
                session = AgentSession(number, hello, self._next_revision)
                await self._take_inventory(session, caller)
                return hello.words, session
        except NoTurn:
            told = (
                f"the hello could not be read within {_TURN_SECONDS:.0f} s, for others are; try again later"
            )
            raise AgentRefused(_EXHAUSTED, told) from None

    async def read(self, context: Context) -> HelloParts:
        """Returns the hello that a session begins with. Raises AgentRefused where it cannot be right."""
        try:
            data = await next_bytes(context, _HELLO_SECONDS)
        except TimeoutError:
            data = None
        caller = caller_of(context)
        if self._efforts.wait(caller):  # by others from there, which were admitted with this one
            raise AgentRefused(_EXHAUSTED, _TOO_LONG_TO_READ)
        begun = time.perf_counter()
        try:
            found = hello_of(data)
        finally:
            self._efforts.spend((time.perf_counter() - begun) * 1_000, caller)
        hello = found.words
        if hello.protocol != wire.PROTOCOL:
            told = f"the scheduler speaks protocol {wire.PROTOCOL}, the agent {hello.protocol}"
            raise AgentRefused(grpc.StatusCode.FAILED_PRECONDITION, told)
        problem = wire.hello_problem(hello, self._namespace)
        problem = problem or peers.address_problem(hello.endpoint.address, context.peer(), self._address)
        if problem:
            raise AgentRefused(grpc.StatusCode.INVALID_ARGUMENT, problem, hello.pod[:_LONGEST_POD])
        return found

    async def _take_inventory(self, session: AgentSession, caller: str) -> None:
        """Takes the states that a hello tells, behind those of the agents that came before. Raises
        AgentRefused."""
        # Any number of agents call from a loopback address: the words of the hello tell them apart.
        agent = f"{caller} {session.id}" if peers.is_loopback(caller) else caller
        if agent in self._greeting:
            raise AgentRefused(_EXHAUSTED, "an earlier hello of this agent is being read", str(session.id))
        self._greeting.add(agent)
        try:
            async with self._taking:
                await session.take_inventory()
        finally:
            self._greeting.discard(agent)


def caller_of(context: Context) -> str:
    """Returns the address that an agent calls from."""
    return str(address_of(context.peer()))
