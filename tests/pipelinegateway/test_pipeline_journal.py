"""Requests over REST and gRPC are in the topics of a broker, and go on without it."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from tests.pipelinegateway.client import ask, ask_bytes, grpc_bytes, message_of, settings_of
from tests.pipelinegateway.models import serving, tensor
from tests.support.broker import running_broker
from tests.support.waiting import until

from bailie._gen import inference_pb2 as pb
from bailie.kafka.settings import KafkaVariables
from bailie.pipelinegateway.plan_file import write_plans
from bailie.pipelinegateway.plans import PlanSource
from bailie.pipelinegateway.run import gateway

CHAIN = {
    "steps": [{"name": "one"}, {"name": "two", "inputs": ["one"]}],
    "output": {"steps": ["two"]},
}
TOPICS = [
    f"seldon.ns.{owner}.{side}"
    for owner in ("pipeline.p", "model.one", "model.two")
    for side in ("inputs", "outputs")
]


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with running_broker(tmp_path_factory.mktemp("broker")) as found:
        yield found


@asynccontextmanager
async def journalling(folder, models, brokers, specs=None, *, note=True, **kafka):
    """Runs a gateway with a broker; yields it when its topics are there."""
    place = folder / "kafka.json"
    place.write_text(json.dumps({"bootstrap.servers": brokers, **kafka}))
    settings = settings_of(folder, models, kafka=KafkaVariables(file=place))
    write_plans(
        settings.plan_file, [PlanSource(name, 1, spec) for name, spec in (specs or {"p": CHAIN}).items()]
    )
    async with gateway(settings) as found:
        if note:
            await until(lambda: found.broker.note(next(iter(specs or {"p": 0}))).kept)
        yield found


def told(message):
    return {name: value.decode() for name, value in message.headers()}


def of_request(broker, topics, request_id, count):
    """Returns the records of one request, by topic."""
    deadline = time.monotonic() + 20
    while True:
        found = [each for each in broker.read(*topics) if told(each).get("x-request-id") == request_id]
        if len(found) >= count or time.monotonic() > deadline:
            assert len(found) == count, [each.topic() for each in found]
            return {each.topic(): each for each in found}


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
async def test_a_request_is_in_the_topics_of_its_pipeline_and_models(tmp_path, broker, protocol):
    async with (
        serving() as models,
        journalling(tmp_path, models, broker.address, topics={"numPartitions": 3}) as found,
    ):
        headers = [("x-request-id", f"{protocol}-1"), ("x-own", "mine"), ("authorization", "secret")]
        if protocol == "rest":
            heard = await ask(found.port, headers=headers)
        else:
            heard = await ask_bytes(found.port, grpc_bytes(headers=headers))
        assert heard.texts() == {"x": ["in>one>two"]}
        records = await asyncio.to_thread(of_request, broker, TOPICS, f"{protocol}-1", 6)
    assert set(records) == set(TOPICS)
    (partition,) = {each.partition() for each in records.values()}
    assert {each.key() for each in records.values()} == {f"{partition}.p.{protocol}-1".encode()}
    texts = {}
    for topic, each in records.items():
        kind = pb.ModelInferRequest if topic.endswith("inputs") else pb.ModelInferResponse
        message = kind.FromString(each.value())
        (got,) = message.inputs if topic.endswith("inputs") else message.outputs
        texts[topic] = got.contents.bytes_contents[0].decode()
        header = told(each)
        assert (header["pipeline"], header["x-pipeline-version"], header["x-own"]) == ("p", "1", "mine")
        assert header.get("x-bailie-ran") == (
            "seldon-pipelinegateway-0" if topic.endswith("inputs") else None
        )
        assert "authorization" not in header
    assert list(texts.values()) == [texts[topic] for topic in records]
    assert [texts[each] for each in TOPICS] == [
        "in", "in>one>two", "in", "in>one", "in>one", "in>one>two",
    ]  # fmt: skip
    assert told(records["seldon.ns.pipeline.p.outputs"])["x-seldon-route"] == ":two_1:"


async def test_a_failure_is_on_the_topic_of_errors_and_on_that_of_answers(tmp_path, broker):
    async with (
        serving(lambda asked: (400, {"error": "no such column"}, 0.0)) as models,
        journalling(
            tmp_path,
            models,
            broker.address,
            {"f": {"steps": [{"name": "one"}], "output": {"steps": ["one"]}}},
        ) as found,
    ):
        assert (await ask(found.port, "f_1", headers=[("x-request-id", "failed")])).status == 400
        topics = ["seldon.ns.pipeline.f.outputs", "seldon.ns.errors.errors", "seldon.ns.pipeline.f.inputs"]
        records = await asyncio.to_thread(of_request, broker, topics, "failed", 3)
    for topic in topics[:2]:
        assert records[topic].value() == b"no such column"
        assert told(records[topic])["seldon-pipeline-errors"] == "one"


async def test_without_the_broker_requests_go_on_and_the_gap_is_counted(tmp_path):
    with running_broker(tmp_path / "broker") as broker:
        async with (
            serving() as models,
            journalling(
                tmp_path,
                models,
                broker.address,
                producer={"queue.buffering.max.messages": 30, "retries": 100},
            ) as found,
        ):
            journal = found.broker.journal
            assert (await ask(found.port)).status == 200
            await until(lambda: journal.counts.written == 6)
            broker.stop()
            await until(lambda: not found.broker.note("p").kept, seconds=10)
            assert "no broker of 127.0.0.1" in found.broker.note("p").words
            for _ in range(10):
                assert (await ask(found.port)).status == 200
            await until(lambda: journal.counts.dropped == 30)
            assert journal.waiting == 30
            await asyncio.to_thread(broker.start)
            await until(lambda: journal.counts.written == 36)
            assert "records were dropped lately" in (await until(lambda: lately(found))).words
            await until(lambda: found.broker.note("p").kept)
            assert (await ask(found.port)).status == 200
            await until(lambda: journal.counts.written == 42)
        assert len(broker.read(*TOPICS)) == 42


def lately(found):
    note = found.broker.note("p")
    return note if "lately" in note.words else None


async def test_an_answer_may_wait_for_its_records(tmp_path):
    spec = {**CHAIN, "journal": "before"}
    with running_broker(tmp_path / "broker") as broker:
        async with (
            serving() as models,
            journalling(tmp_path, models, broker.address, {"p": spec}) as found,
        ):
            assert (await ask(found.port)).status == 200
            assert found.broker.journal.counts.written == 6
            heard = await ask(found.port, "p_1", b"{")
            assert heard.status == 400
            broker.stop()
            await until(lambda: not found.broker.note("p").kept, seconds=10)
            heard = await ask(found.port)
    assert heard.status == 503
    assert (
        "the journal comes first here, and cannot be written: no broker of 127.0.0.1" in heard.json["error"]
    )


async def test_data_that_is_too_large_for_a_topic_is_left_out_and_its_size_told(tmp_path, broker):
    admin = AdminClient(broker.client())
    small = NewTopic("seldon.ns.model.big.inputs", num_partitions=1, config={"max.message.bytes": "20000"})
    for future in admin.create_topics([small]).values():
        future.result(timeout=10)
    spec = {"steps": [{"name": "big"}], "output": {"steps": ["big"]}}
    async with (
        serving() as models,
        journalling(tmp_path, models, broker.address, {"b": spec}) as found,
    ):
        assert "more than" in found.broker.note("b").words
        heard = await ask(
            found.port, "b_1", {"inputs": [tensor("x", ["a" * 30_000])]}, headers=[("x-request-id", "big")]
        )
        assert heard.status == 200
        topics = ["seldon.ns.pipeline.b.inputs", "seldon.ns.model.big.inputs"]
        records = await asyncio.to_thread(of_request, broker, topics, "big", 2)
    assert len(records[topics[0]].value()) > 30_000
    assert records[topics[1]].value() in (None, b"")
    assert int(told(records[topics[1]])["x-bailie-cut"]) > 30_000


async def test_topics_go_with_their_pipeline_where_it_asks(tmp_path, broker):
    spec = {
        "steps": [{"name": "kept"}], "output": {"steps": ["kept"]}, "dataflow": {"cleanTopicsOnDelete": True},
    }  # fmt: skip
    async with serving() as models, journalling(tmp_path, models, broker.address, {"c": spec}) as found:
        own = {f"seldon.ns.pipeline.c.{side}" for side in ("inputs", "outputs")}
        assert own < broker.topics()
        found.broker.gone("c", clean=True)
        await until(lambda: not own & broker.topics())
        assert "seldon.ns.model.kept.inputs" in broker.topics()


@pytest.mark.parametrize("kind", ["producer", "consumer"])
async def test_a_property_that_the_library_does_not_know_is_told_in_its_words(tmp_path, kind):
    async with (
        serving() as models,
        journalling(tmp_path, models, "127.0.0.1:1", note=False, **{kind: {"no.such.property": 1}}) as found,
    ):
        note = found.broker.note("p")
        assert not note.kept
        assert 'No such configuration property: "no.such.property"' in note.words
        assert (await ask(found.port)).status == 200


async def test_a_broker_that_never_answers_keeps_no_gateway_from_its_work(tmp_path):
    async with serving() as models, journalling(tmp_path, models, "127.0.0.1:1", note=False) as found:
        for _ in range(3):
            assert (await ask(found.port)).status == 200
        await until(lambda: "127.0.0.1:1 answers (" in found.broker.note("p").words)


async def test_a_record_is_run_beside_requests_and_answered_in_the_topics(tmp_path, broker):
    spec = {"steps": [{"name": "both"}], "output": {"steps": ["both"]}}
    async with serving() as models, journalling(tmp_path, models, broker.address, {"r": spec}) as found:
        assert (await ask(found.port, "r_1", headers=[("x-request-id", "asked")])).status == 200
        value = message_of([tensor("x", ["sent"])]).SerializeToString()
        record = (b"0.r.sent", value)
        await asyncio.to_thread(broker.write, "seldon.ns.pipeline.r.inputs", record)
        topic = "seldon.ns.pipeline.r.outputs"
        records = await asyncio.to_thread(lambda: broker.read(topic, count=2))
        again = await asyncio.to_thread(lambda: broker.read(topic))
        assert "wait" not in found.broker.note("r").words
        found.broker._consumer = SimpleNamespace(trouble="no right to transactions")
        assert found.broker.note("r").words.endswith("; requests in topics wait: no right to transactions")
        assert found.broker.note("r").kept
    texts = {each.key(): pb.ModelInferResponse.FromString(each.value()) for each in records}
    assert {key: text.outputs[0].contents.bytes_contents[0] for key, text in texts.items()} == {
        b"0.r.asked": b"in>both",
        b"0.r.sent": b"sent>both",
    }
    assert len(again) == 2, "the request over REST has run once"
