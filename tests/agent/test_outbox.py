"""The inventory of a replica whose models describe more tensors than one message has room for."""

from __future__ import annotations

from bailie._gen import agent_pb2 as pb
from bailie.agent.outbox import MOST_DETAIL_BYTES, Outbox

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
        assert MOST_DETAIL_BYTES - 200_000 < pb.Hello(inventory=inventory).ByteSize() < 5 << 20
    assert await told.wait(5)
    left = [each for each, said in zip(reports, inventory, strict=True) if each != said]
    assert [message.report for message in told.take()] == left
    assert len(left) == 200 - 1 - 41
    assert told.take() == []


def test_words_of_many_failures_follow_the_inventory():
    """A storage that is away: each of thousands of models says in thousands of characters what failed."""
    said = {"state": pb.MODEL_STATE_FAILED, "reason": "DownloadFailed", "message": "\N{BULLET}" * 4_000}
    reports = [report(number) for number in range(3_000)]
    for each in reports:
        each.MergeFrom(pb.ModelReport(**said, deaths=1, ignored=["x" * 300]))
    told = outbox(*reports)
    inventory = told.inventory()
    assert pb.Hello(inventory=inventory).ByteSize() < 8 << 20
    assert {(each.state, each.reason, each.deaths) for each in inventory} == {
        (pb.MODEL_STATE_FAILED, "DownloadFailed", 1)
    }
    left = [each for each, short in zip(reports, inventory, strict=True) if each != short]
    assert 0 < len(left) < len(reports)
    assert [message.report for message in told.take()] == left


def test_a_report_that_is_longer_than_the_scheduler_takes_goes_without_its_words():
    """The files of a model, which may be a stranger's, decide about some of them."""
    long = report(1)
    long.MergeFrom(pb.ModelReport(ignored=["x" * 1_000] * 200, artifact_path="p" * 5_000))
    told = outbox(long)
    (message,) = told.take()
    assert message.report == report(1)
    assert told.inventory() == [report(1)]
