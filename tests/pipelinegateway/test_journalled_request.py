"""The records of one request: handed on with the answer, one by one afterwards, and before it where asked."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.support.timelapse import TimelapseLoop

from bailie.dataflow.events import FailCode
from bailie.pipelinegateway import json_bodies
from bailie.pipelinegateway.journalled_request import AwaitedAnswers, JournalledRequest
from bailie.pipelinegateway.pipeline_run import RunEnding
from bailie.pipelinegateway.plans import Plans, PlanSource
from bailie.pipelinegateway.record_outputs import RecordPlace
from bailie.pipelinegateway.rest_dialect import REST

CHAIN = {"steps": [{"name": "one"}], "output": {"steps": ["one"]}}
BODY = {"inputs": [{"name": "x", "datatype": "INT32", "shape": [1], "data": [7]}]}


class Journal:
    """Keeps entries until the test settles them."""

    def __init__(self):
        self.entries = []

    def put(self, records, done=None):
        self.entries.append((records, done))

    @property
    def topics(self):
        return [
            [record.topic.removeprefix("seldon.ns.") for record in records] for records, _ in self.entries
        ]


@pytest.fixture
def served():
    plans = Plans("ns")
    plans.put(PlanSource("p", 1, CHAIN))
    return plans.get("p.pipeline_1")


def request_of(journal, awaited=None):
    place = RecordPlace("seldon", "ns", "gateway-0")
    asked = ((b"x-request-id", b"7"), (b"accept", b"*/*"))
    awaited = awaited or AwaitedAnswers()
    return JournalledRequest(
        journal, place, "p", key=b"0.p.7", partition=0, asked=asked, dialect=REST, awaited=awaited
    )


def parcel():
    return json_bodies.decode_request(json.dumps(BODY).encode())


def topic(served, side="inputs"):
    return served.plan.request if side == "inputs" else served.plan.answer


async def test_records_go_with_the_answer_and_later_ones_by_themselves(served):
    journal = Journal()
    request, answer = request_of(journal), parcel()
    heard = []
    tell = request.hearing(heard.append, first=False)
    request.data(served, topic(served), parcel())
    assert journal.entries == []
    ending = RunEnding(answer, routes=(b":one_1:",))
    tell(ending)
    assert heard == [ending]
    request.data(served, topic(served, "outputs"), answer)
    assert journal.topics == [["pipeline.p.inputs", "pipeline.p.outputs"]]
    request.failure(served, "side", "side : no", ends=False)
    request.over()
    assert journal.topics[1:] == [["errors.errors"]]
    first, last = journal.entries[0][0]
    assert dict(first.headers)["x-bailie-ran"] == b"gateway-0"
    assert dict(last.headers)["x-seldon-route"] == b":one_1:"
    assert journal.entries[1][0][0].encode() == b"no"
    assert b"accept" not in dict(first.headers)


async def test_a_request_whose_caller_has_gone_is_handed_on_at_its_end(served):
    journal = Journal()
    request = request_of(journal)
    request.hearing(lambda _: None, first=True)
    request.data(served, topic(served), parcel())
    request.over()
    assert journal.topics == [["pipeline.p.inputs"]]


@pytest.mark.parametrize("problem", ["", "no broker"])
async def test_an_answer_waits_until_its_records_are_there_or_lost(served, problem):
    journal, heard = Journal(), []
    request, answer = request_of(journal), parcel()
    tell = request.hearing(heard.append, first=True)
    request.data(served, topic(served), parcel())
    tell(RunEnding(answer))
    request.data(served, topic(served, "outputs"), answer)
    request.over()
    assert heard == []
    journal.entries[0][1](problem)
    await asyncio.sleep(0)
    (ending,) = heard
    if problem:
        assert ending.answer is None
        assert (ending.fail.code, ending.fail.words) == (
            FailCode.UNREACHABLE,
            "the request ran and its records are not in the journal: no broker",
        )
    else:
        assert ending.answer is answer


@pytest.mark.parametrize("leaves", [False, True])
async def test_answers_that_wait_are_counted_and_bounded(served, leaves):
    journal, heard, awaited = Journal(), [], AwaitedAnswers()
    for number in range(1_000):
        assert not awaited.hindrance
        request = request_of(journal, awaited)
        tell = request.hearing(heard.append, first=True)
        if not leaves:
            tell(RunEnding(parcel()))
        request.data(served, topic(served, "outputs"), parcel())
        request.over()
        assert awaited.number == number + 1
    assert awaited.hindrance == f"1000 answers with {awaited.size} bytes wait for the broker"
    for _, done in journal.entries:
        done("")
    await asyncio.sleep(0)
    assert awaited == AwaitedAnswers()
    assert len(heard) == (0 if leaves else 1_000)
    assert AwaitedAnswers(1, 64 << 20).hindrance


async def test_a_failure_waits_too(served):
    journal, heard = Journal(), []
    request = request_of(journal)
    tell = request.hearing(heard.append, first=True)
    request.failure(served, "one", "no", ends=True)
    failed = RunEnding(None)
    tell(failed)
    journal.entries[0][1]("")
    await asyncio.sleep(0)
    assert heard == [failed]


def test_an_answer_waits_for_some_seconds_only(served):
    async def wait():
        journal, heard = Journal(), []
        request, answer = request_of(journal), parcel()
        tell = request.hearing(heard.append, first=True)
        tell(RunEnding(answer))
        request.data(served, topic(served, "outputs"), answer)
        await asyncio.sleep(11)
        journal.entries[0][1]("")
        await asyncio.sleep(1)
        return heard

    with asyncio.Runner(loop_factory=lambda: TimelapseLoop(20)) as runner:
        (ending,) = runner.run(wait())
    assert "no acknowledgement came in time" in ending.fail.words
