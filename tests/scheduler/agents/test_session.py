"""One session: the inventory that it takes, and the memory that it keeps."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from tests.support.agents import hello, report
from tests.support.loop_turns import loop_turns

from bailie._gen import agent_pb2 as pb
from bailie.control.agent_port import UnloadCommand
from bailie.lifecycle.wire import LONGEST_REPORT
from bailie.placement import VersionId
from bailie.scheduler.agents.hello_parts import hello_parts
from bailie.scheduler.agents.session import AgentRefused, AgentSession


def session_of(said):
    parts = hello_parts(pb.AgentMessage(hello=said).SerializeToString())
    return AgentSession(1, parts, itertools.count(1).__next__)


def tensors(count, name=""):
    side = [pb.TensorMetadata(name=name)] * count
    return pb.ModelSignature(inputs=side, outputs=side)


async def test_a_large_inventory_leaves_the_loop_to_others_while_it_is_taken():
    """Counted in turns of the loop: without pauses 20,000 versions took it for half a second."""
    session = session_of(hello(inventory=[report(number=number) for number in range(20_000)]))
    async with loop_turns() as turns:
        await session.take_inventory()
    assert session.versions == 20_000
    assert turns.count >= 20_000 / 200


async def test_a_session_keeps_nothing_of_the_hello_but_what_it_needs():
    """A part of a message would keep all of it, fields among it that nobody knows."""
    said = hello(inventory=[report(number=number) for number in range(10)])
    said.MergeFromString(b"\xa2\x06\x64" + b"x" * 100)
    session = session_of(said)
    before = session.snapshot()
    await session.take_inventory()
    kept = [each for each in vars(session).values() if isinstance(each, pb.Hello)]
    assert [each.ByteSize() < said.ByteSize() - 100 for each in kept] == [True]
    assert dataclasses.replace(session.snapshot(), models=()) == before
    assert session.versions == 10


async def test_a_report_of_the_inventory_that_is_none_is_refused():
    parts = hello_parts(pb.AgentMessage(hello=hello(inventory=[report()])).SerializeToString())
    session = AgentSession(1, parts._replace(reports=[b"\xff"]), itertools.count(1).__next__)
    with pytest.raises(AgentRefused, match="no message of the agents' protocol"):
        await session.take_inventory()


async def test_signatures_and_words_have_room_for_so_many_models_and_the_others_go_without():
    """A tensor without a name is two bytes of a message, and more than a hundred of memory."""
    session = session_of(hello())
    many, usual = 2_100, tensors(3, "predict")
    for number in range(many):
        session.take_report(report(number=number, signature=tensors(64), message="w"))
    told = session.snapshot().models
    with_details = [each for each in told if each.signature is not None]
    assert len(told) == many
    assert {len(each.signature.inputs) for each in with_details} == {64}
    assert 1_900 < len(with_details) < many
    assert {each.message for each in told if each.signature is None} == {""}

    for number in range(many):
        session.take_report(report(number=number, signature=usual))
    assert all(len(each.signature.inputs) == 3 for each in session.snapshot().models)
    for number in range(many):
        session.take_report(report(number=number, state=pb.MODEL_STATE_UNLOADED))
    session.take_report(report(message="m" * 4_000, ignored=["i" * 300] * 4, signature=usual))
    (last,) = session.snapshot().models
    assert (len(last.message), len(last.ignored), last.signature is not None) == (4_000, 4, True)


def test_the_longest_report_of_an_agent_is_no_longer_than_it_may_be():
    tensor = pb.TensorMetadata(name="\U0001f40d" * 128, datatype="\U0001f40d" * 16, shape=[-(2**31) + 1] * 8)
    signature = pb.ModelSignature(inputs=[tensor] * 64, outputs=[tensor] * 64)
    words = {"message": "\U0001f40d" * 4_000, "reason": "A" * 64, "ignored": ["\U0001f40d" * 300] * 4}
    longest = report("n" * 253, "i" * 64, 2**32 - 1, signature=signature, artifact_path="p" * 4_096, **words)
    assert longest.ByteSize() < LONGEST_REPORT


async def test_uses_leave_before_the_loads_that_may_need_memory_of_others():
    session = session_of(hello())
    for number in (1, 2):
        session.put(UnloadCommand(version=VersionId("iris", "x"), number=number))
    session.note_used(["polite_1"])
    session.note_models(["iris"], [])
    kinds = [(await session.next_message(1)).WhichOneof("message") for _ in range(4)]
    assert kinds == ["used", "unload", "unload", "models"]
