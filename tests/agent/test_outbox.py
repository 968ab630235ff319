"""The inventory of a replica whose models describe more tensors than one message has room for."""

from __future__ import annotations

from bailie._gen import agent_pb2 as pb
from bailie.agent.outbox import MOST_SIGNATURE_BYTES, Outbox

LARGE = pb.ModelSignature(inputs=[pb.TensorMetadata(name="x" * 100_000)])


def report(number, signature=None):
    version = pb.ModelVersion(name="m", identity="i", number=number)
    return pb.ModelReport(version=version, state=pb.MODEL_STATE_LOADED, signature=signature)


def outbox(*reports):
    made = Outbox(pb.ReplicaStatus())
    for each in reports:
        made.publish(each)
    return made


def test_signatures_with_room_are_in_the_inventory_and_no_news():
    reports = [report(1, LARGE), report(2)]
    told = outbox(*reports)
    assert told.inventory() == reports
    assert told.take() == []


async def test_signatures_without_room_follow_the_inventory():
    reports = [report(0), *(report(number, LARGE) for number in range(1, 200)), report(200)]
    told = outbox(*reports)
    for _ in range(2):  # a session that is lost at once changes nothing
        inventory = told.inventory()
        assert [each.version for each in inventory] == [each.version for each in reports]
        assert MOST_SIGNATURE_BYTES - 200_000 < pb.Hello(inventory=inventory).ByteSize() < 5 << 20
    assert await told.wait(5)
    left = [each for each, said in zip(reports, inventory, strict=True) if each != said]
    assert [message.report for message in told.take()] == left
    assert len(left) == 200 - 1 - 41
    assert told.take() == []
