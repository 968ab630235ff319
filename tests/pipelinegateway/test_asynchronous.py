"""Records through a real broker and gateway: answers once, whatever is killed; forms of Seldon Core."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from benchmarks.kafka_kills import run_kills
from tests.pipelinegateway.client import ask, message_of, running_gateway
from tests.pipelinegateway.models import from_wire, serving, tensor
from tests.support.broker import running_broker

from bailie._gen import inference_pb2 as pb
from bailie.kafka.settings import KafkaVariables
from bailie.pipelinegateway.asynchronous import followed_topics
from bailie.pipelinegateway.plans import PlanSource
from bailie.pipelinegateway.record_outputs import RecordPlace

SPEC = {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}
VALUE = message_of([tensor("x", ["in"])]).SerializeToString()


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    with running_broker(tmp_path_factory.mktemp("kafka")) as found:
        yield found


@asynccontextmanager
async def consuming(folder, kafka, specs, namespace, named=("a",), **config):
    """Runs a gateway with a broker that a scheduler has told of Models; yields its models, itself and its
    port."""
    folder.mkdir(exist_ok=True)
    place = folder / "kafka.json"
    place.write_text(json.dumps({"bootstrap.servers": kafka.address, **config}))
    given = {"namespace": namespace, "kafka": KafkaVariables(file=place)}
    async with serving() as models, running_gateway(folder, models, specs, **given) as found:
        found.models.take(named, (), whole=True)
        yield models, found, found.port


def made(kafka, namespace, *owners, partitions=2):
    topics = [f"seldon.{namespace}.{owner}.{side}" for owner in owners for side in ("inputs", "outputs")]
    kafka.make(*topics, f"seldon.{namespace}.errors.errors", partitions=partitions)
    return topics


async def test_requests_are_answered_once_while_the_gateway_and_the_broker_are_killed(tmp_path):
    with running_broker(tmp_path / "broker") as broker:
        outcome = await run_kills(tmp_path, broker, requests=240, kills=2, restarts=1, rate=60)
    assert (outcome.missing, outcome.twice, outcome.wrong) == (0, 0, []), outcome.summary()
    assert (outcome.kills, outcome.restarts) == (2, 1)


async def test_producers_and_readers_of_seldon_core_go_on(tmp_path, kafka):
    inputs, outputs, model_inputs, model_outputs = made(kafka, "e18", "pipeline.p", "model.a")
    async with consuming(tmp_path, kafka, {"p_1": SPEC}, "e18") as (models, *_):
        headers = [("pipeline", b"p"), ("x-tenant", b"t")]
        await asyncio.to_thread(
            kafka.write, inputs, (b"p.id-2.9", VALUE, 0), (b"1.p.id-2.10", VALUE, 1), headers=headers
        )
        await asyncio.to_thread(kafka.write, inputs, (b"order-17", VALUE, 1), (None, VALUE, 0))
        found = await asyncio.to_thread(kafka.read, outputs, count=4)
        assert {each.key() for each in found} == {b"p.id-2.9", b"1.p.id-2.10", b"order-17", None}
        for each in found:
            (answer,) = pb.ModelInferResponse.FromString(each.value()).outputs
            assert from_wire(answer) == tensor("x", ["in>a"])
            told = dict(each.headers())
            assert told["pipeline"] == b"p"
            assert told["x-pipeline-version"] == b"1"
            assert told["x-seldon-route"] == b":a_1:"
        partitions = {each.key(): each.partition() for each in found}
        assert partitions == {b"p.id-2.9": 0, b"1.p.id-2.10": 1, b"order-17": 1, None: 0}
        assert {each.header("x-request-id") for each in models.calls} >= {"id-2.9", "id-2.10", "order-17"}
        steps = await asyncio.to_thread(kafka.read, model_inputs, model_outputs, count=8)
        assert {dict(each.headers())["pipeline"] for each in steps} == {b"p"}

        await asyncio.to_thread(
            kafka.write, model_inputs, json.dumps({"inputs": [tensor("x", ["json"])]}).encode()
        )
        found = await asyncio.to_thread(kafka.read, model_outputs, count=5)
        (answer,) = [each for each in found if each.value().startswith(b"{")]
        assert json.loads(answer.value())["outputs"] == [tensor("x", ["json>a"])]
        assert len(models.calls) == 5, "records of steps are not run as requests to the model"

        await asyncio.to_thread(kafka.write, inputs, b"\x07nonsense", VALUE)
        (error,) = await asyncio.to_thread(kafka.read, "seldon.e18.errors.errors", count=1)
        assert dict(error.headers())["seldon-pipeline-errors"] == b"p"
        found = await asyncio.to_thread(kafka.read, outputs, count=6)
        assert error.value() in {each.value() for each in found}


async def test_records_of_strangers_end_in_words_and_hold_nobody_up(tmp_path, kafka):
    inputs, outputs, of_model, *_ = made(kafka, "strange", "pipeline.p", "model.a")
    key, large = b"\xff\xfe\x00key", [("x-large", b"a" * (800 << 10)), ("x-\u00e9", b"\x00"), ("", b"\r\n")]
    async with consuming(tmp_path, kafka, {"p_1": SPEC}, "strange"):
        for topic in (inputs, of_model):
            await asyncio.to_thread(kafka.write, topic, (key, VALUE, 0), headers=large)
            await asyncio.to_thread(kafka.write, topic, (key, b"\xff" * (100 << 10), 0), headers=large)
            await asyncio.to_thread(kafka.write, topic, (None, b"", 0), (b"", None, 0))
        await asyncio.to_thread(kafka.write, inputs, (b"good", VALUE, 0))
        found = await asyncio.to_thread(kafka.read, outputs, count=5)
        answered = [each for each in found if "seldon-pipeline-errors" not in dict(each.headers())]
        assert {each.key() for each in answered} >= {key, b"good"}
        assert all(len(each.value()) < 2_000 for each in found)
        errors = await asyncio.to_thread(kafka.read, "seldon.strange.errors.errors", count=2)
        assert all(len(dict(each.headers())) < 10 for each in errors)


async def test_a_group_that_begins_anew_replays(tmp_path, kafka):
    inputs, outputs, *_ = made(kafka, "replay", "pipeline.p", "model.a")
    kafka.write(inputs, *[VALUE] * 5)
    async with consuming(tmp_path, kafka, {"p_1": SPEC}, "replay"):
        await asyncio.to_thread(kafka.read, outputs, count=5)
    again = consuming(tmp_path / "again", kafka, {"p_1": SPEC}, "replay", consumerGroupIdPrefix="again")
    async with again:
        assert len(await asyncio.to_thread(kafka.read, outputs, count=10)) == 10


async def test_a_pipeline_that_comes_later_is_read(tmp_path, kafka):
    inputs, outputs, *_ = made(kafka, "later-on", "pipeline.p", "model.a")
    kafka.write(inputs, VALUE)
    async with consuming(tmp_path, kafka, {"q_1": SPEC}, "later-on") as (_, gateway, _):
        assert gateway.engine.plans.put(PlanSource("p", 1, SPEC)) == ""
        assert len(await asyncio.to_thread(kafka.read, outputs, count=1)) == 1


def test_the_topics_are_those_of_pipelines_and_models_that_are_there():
    found = followed_topics({"q", "p"}, {"m", "n.o"}, RecordPlace("seldon", "ns", "x"))
    assert found.subscription == (
        "seldon.ns.pipeline.p.inputs",
        "seldon.ns.pipeline.q.inputs",
        r"^seldon\.ns\.model\..+\.inputs$",
    )
    owners = ("pipeline.p", "pipeline.q", "model.m", "model.n.o")
    assert found.topics == {f"seldon.ns.{each}.inputs" for each in owners}


async def test_records_of_a_model_that_is_gone_wait_for_one_of_its_name(tmp_path, kafka):
    inputs, outputs, old, answers = made(kafka, "gone", "model.a", "model.old")
    kafka.write(old, *[VALUE] * 40)
    async with consuming(tmp_path, kafka, {"p_1": SPEC}, "gone") as (models, gateway, _):
        await asyncio.to_thread(kafka.write, inputs, VALUE)
        await asyncio.to_thread(kafka.read, outputs, count=1)
        assert models.steps() == ["a"]
        gateway.models.take(["old"], (), whole=False)
        await asyncio.to_thread(kafka.read, answers, count=40)
        assert models.steps().count("old") == 40


async def test_requests_over_http_go_on_without_the_broker(tmp_path):
    with running_broker(tmp_path / "broker") as broker:
        made(broker, "away", "pipeline.p", "model.a")
        async with consuming(tmp_path, broker, {"p_1": SPEC}, "away") as (_, _, port):
            await asyncio.to_thread(broker.write, "seldon.away.pipeline.p.inputs", VALUE)
            await asyncio.to_thread(broker.read, "seldon.away.pipeline.p.outputs", count=1)
            broker.stop()
            for _ in range(20):
                assert (await ask(port)).status == 200
            await asyncio.to_thread(broker.start)
            await asyncio.to_thread(broker.write, "seldon.away.pipeline.p.inputs", VALUE)
            # Those of the requests over HTTP, which are journalled, are there, too.
            outputs = await asyncio.to_thread(
                broker.read, "seldon.away.pipeline.p.outputs", count=22, seconds=60
            )
            assert len(outputs) == 22
