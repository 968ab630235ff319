"""Hellos that come together: how many are read at a time, and for how long."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from tests.support.agents import hello, report
from tests.support.waiting import until

from bailie._gen import agent_pb2 as pb
from bailie.kube.places import Places
from bailie.scheduler.agents.greetings import MOST_HELLOS, Greetings
from bailie.scheduler.agents.session import AgentRefused

WORDS = hello(endpoint=pb.Endpoint(address="10.0.0.9", http_port=1, grpc_port=1))


def encoded(said):
    return pb.AgentMessage(hello=said).SerializeToString()


class Caller:
    """The stream of an agent that says hello once it may: `reading` counts those that are read."""

    reading = 0

    def __init__(self, said, address="10.0.0.9", may=None):
        self.said, self.may = said, may or asyncio.Event()
        self.peer = lambda: f"ipv4:{address}:4711"
        if may is None:
            self.may.set()

    async def read(self):
        Caller.reading += 1
        try:
            await self.may.wait()
        finally:
            Caller.reading -= 1
        return self.said


PLACES = Places(MOST_HELLOS)


def greetings_of(namespace):
    return Greetings(namespace, "10.0.0.1", itertools.count(1).__next__, PLACES)


@pytest.fixture
def greetings():
    return greetings_of("a")


async def test_hellos_admitted_together_are_read_no_longer_than_those_that_follow_one_another(greetings):
    """All may have been admitted before the first of them is read."""
    said, told = encoded(hello(inventory=[pb.ModelReport()] * 60_000)), []
    while len(told) < 2_000 and "took too long" not in "".join(told):
        with pytest.raises(AgentRefused) as refused:
            await greetings.read(Caller(said))
        told.append(str(refused.value))
    assert told[0] == "a replica has at most 50000 versions, and this hello has more"
    assert told[-1] == "the hellos from there took too long to read; try again later"
    with pytest.raises(AgentRefused, match="at most 50000 versions"):
        await greetings.read(Caller(said, "10.0.0.8"))


@pytest.mark.parametrize(("addresses", "most"), [(["10.0.0.9"], 8), (["127.0.0.1"], 16), (range(40), 16)])
async def test_few_hellos_are_in_memory_at_a_time(greetings, addresses, most):
    may, callers = asyncio.Event(), 40
    places = itertools.cycle([each if isinstance(each, str) else f"10.0.1.{each}" for each in addresses])
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_outcome(greetings, Caller(b"", next(places), may))) for _ in range(callers)
        ]
        await until(lambda: Caller.reading == most, seconds=10)
        may.set()
    assert {task.result() for task in tasks} == {"a session begins with a hello"}
    assert Caller.reading == 0


async def test_a_slow_agent_keeps_those_at_other_addresses_from_nothing(greetings):
    slow = [Caller(b"", may=asyncio.Event()) for _ in range(100)]
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(_outcome(greetings, each)) for each in slow]
        other = hello(endpoint=pb.Endpoint(address="10.0.0.8", http_port=1, grpc_port=1))
        words, session = await greetings.introduced(1, Caller(encoded(other), "10.0.0.8"))
        assert (words.pod, session.versions) == ("mlserver-0", 0)
        for task in waiting:
            task.cancel()


async def test_agents_of_a_namespace_that_keep_silent_keep_those_of_another_from_nothing(greetings):
    silent = [Caller(b"", f"10.0.1.{number % 40}", asyncio.Event()) for number in range(400)]
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(_outcome(greetings, each)) for each in silent]
        await until(lambda: Caller.reading == 16)
        async with asyncio.timeout(1):
            other = encoded(hello(namespace="b", endpoint=WORDS.endpoint))
            assert (await greetings_of("b").introduced(1, Caller(other)))[1].versions == 0
        for task in waiting:
            task.cancel()


async def _outcome(greetings, caller):
    try:
        await greetings.introduced(1, caller)
    except AgentRefused as refused:
        return str(refused)


async def test_the_session_has_taken_the_inventory(greetings):
    said = hello(endpoint=WORDS.endpoint, inventory=[report(number=number) for number in range(300)])
    words, session = await greetings.introduced(1, Caller(encoded(said)))
    assert session.versions == 300
    assert not words.inventory
