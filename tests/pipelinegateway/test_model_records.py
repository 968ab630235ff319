"""Records of models: the bytes of a record go to the model, and its answer into a record."""

from __future__ import annotations

import json

import pytest
from tests.pipelinegateway.models import echo, serving, tensor
from tests.pipelinegateway.records import ERRORS, MODEL, answer_of, failure_of, on, records, request_of
from tests.support.waiting import until

MODEL_ANSWERS = MODEL.replace("inputs", "outputs")
GIVEN = tensor("x", ["in"])
JSON = json.dumps({"id": "7", "inputs": [GIVEN]}).encode()


async def test_protobuf_goes_in_and_comes_out(tmp_path):
    async with serving() as models, records(tmp_path, models, {}) as (engine, partition):
        outputs = await partition.run(
            request_of(), topic=MODEL, headers=[("x-tenant", b"t"), ("pipeline", b"p")]
        )
        assert answer_of(outputs, MODEL_ANSWERS) == [tensor("x", ["in>m"])]
        (answer,) = outputs
        assert (answer.key, answer.partition) == (b"p.id", 0)
        assert answer.headers == (
            ("pipeline", b"p"),
            ("x-request-id", b"p.id"),
            ("x-tenant", b"t"),
            ("seldon-infer-type", b"proto/InferModelResponse"),
            ("x-seldon-route", b":m_1:"),
        )
        (asked,) = models.calls
        assert (asked.step, asked.header("x-tenant"), asked.grpc) == ("m", "t", True)
        await until(lambda: engine.budget.used == 0)


@pytest.mark.parametrize("headers", [[], [("seldon-infer-type", b"json/inferModelRequest")]])
async def test_json_goes_in_and_comes_out(tmp_path, headers):
    async with serving() as models, records(tmp_path, models, {}) as (_, partition):
        (answer,) = await partition.run(JSON, topic=MODEL, headers=headers)
        assert answer.topic == MODEL_ANSWERS
        assert json.loads(answer.value) == {"model_name": "m", "outputs": [tensor("x", ["in>m"])]}
        assert dict(answer.headers)["seldon-infer-type"] == b"json/inferModelResponse"
        (asked,) = models.calls
        assert asked.body == JSON
        assert asked.header("x-seldon-route") is None


BINARY = b"\x01\x00\x00\x00\x02\x00\x00\x00"
OF_BINARY = {"name": "x", "datatype": "INT32", "shape": [2], "parameters": {"binary_data_size": len(BINARY)}}


async def test_binary_data_behind_json_has_the_header_of_http(tmp_path):
    """A caller of REST may ask for it (`binary_data_output`), and may send it."""
    given = json.dumps({"inputs": [OF_BINARY], "parameters": {"binary_data_output": True}}).encode()
    told = json.dumps({"model_name": "m", "outputs": [OF_BINARY]}).encode()

    def behave(asked):
        length = f"inference-header-content-length: {len(told)}"
        body = told + BINARY
        head = f"HTTP/1.1 200 OK\r\n{length}\r\ncontent-length: {len(body)}\r\n\r\n"
        return 200, head.encode() + body, 0.0

    async with serving(behave) as models, records(tmp_path, models, {}) as (_, partition):
        headers = [("inference-header-content-length", b"%d" % len(given))]
        (answer,) = await partition.run(given + BINARY, topic=MODEL, headers=headers)
        assert answer.value == told + BINARY
        assert dict(answer.headers)["inference-header-content-length"] == b"%d" % len(told)
        (asked,) = models.calls
        assert asked.body == given + BINARY
        assert asked.header("inference-header-content-length") == str(len(given))
        (second,) = await partition.run(
            answer.value, topic="seldon.ns.model.b.inputs", headers=answer.headers
        )
        assert second.value == told + BINARY


async def test_a_length_of_json_that_is_none_is_told(tmp_path):
    async with serving() as models, records(tmp_path, models, {}) as (_, partition):
        headers = [("inference-header-content-length", b"-1")]
        failed, words = failure_of(await partition.run(JSON, topic=MODEL, headers=headers))
        assert (failed, models.calls) == ("m", [])
        assert "inference-header-content-length is no number" in words


async def test_answers_of_one_model_are_requests_to_the_next(tmp_path):
    async with serving() as models, records(tmp_path, models, {}) as (_, partition):
        for value in (request_of(), JSON):
            (first,) = await partition.run(value, topic="seldon.ns.model.a.inputs")
            (second,) = await partition.run(
                first.value, topic="seldon.ns.model.b.inputs", headers=first.headers
            )
            told = dict(second.headers)
            assert b"in>a>b" in second.value
            assert told["x-seldon-route"] == b":b_1:"
        assert [each.step for each in models.calls] == ["a", "b", "a", "b"]


@pytest.mark.parametrize("value", [None, b"\x07nonsense", b'{"inputs": 3}'])
async def test_a_poison_record_ends_in_words(tmp_path, value):
    async with serving() as models, records(tmp_path, models, {}) as (_, partition):
        outputs = await partition.run(value, topic=MODEL)
        assert [each.topic for each in outputs] == [ERRORS]
        failed, words = failure_of(outputs)
        assert failed == "m"
        assert words.startswith("the record is no inference request: ")
        assert models.calls == []


@pytest.mark.parametrize("value", [request_of(), JSON])
async def test_the_failure_of_a_model_is_on_the_errors_topic(tmp_path, value):
    async with (
        serving(lambda asked: (400, {"error": "bad value"}, 0.0)) as models,
        records(tmp_path, models, {}) as (_, partition),
    ):
        outputs = await partition.run(value, topic=MODEL)
        assert [each.topic for each in outputs] == [ERRORS]
        assert failure_of(outputs) == ("m", "bad value")
        assert len(models.calls) == 1


@pytest.mark.parametrize("value", [request_of(), JSON])
async def test_a_model_that_is_silent_is_given_up(tmp_path, value):
    async with (
        serving(lambda asked: None) as models,
        records(tmp_path, models, {}, seconds=0.2) as (engine, partition),
    ):
        assert failure_of(await partition.run(value, topic=MODEL)) == ("m", "had not answered after 0 s")
        assert len(models.calls) == 1
        await until(lambda: engine.budget.used == 0)


@pytest.mark.parametrize("value", [request_of(), JSON])
async def test_a_record_waits_for_a_model_that_is_starting(tmp_path, value):
    tries = []

    def behave(asked):
        tries.append(asked)
        if len(tries) < 3:
            return 503, {"error": "no replica is ready", "reason": "NotReady"}, 0.0
        return echo(asked)

    async with serving(behave) as models, records(tmp_path, models, {}) as (_, partition):
        outputs = await partition.run(value, topic=MODEL)
        assert len(on(outputs, MODEL_ANSWERS)) == 1
        assert len(tries) == 3


async def test_an_answer_of_no_protocol_is_a_failure(tmp_path):
    async with (
        serving(lambda asked: (200, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 0.0)) as models,
        records(tmp_path, models, {}) as (_, partition),
    ):
        for value, words in (
            (JSON, "the answer is no inference response"),
            (request_of(), "no status of gRPC"),
        ):
            failed, told = failure_of(await partition.run(value, topic=MODEL))
            assert failed == "m"
            assert words in told
