"""Calls of gRPC that cannot be answered, and the words that their callers get."""

from __future__ import annotations

import asyncio

import pytest
from tests.pipelinegateway.client import (
    ask_bytes,
    grpc_bytes,
    message_of,
    read_answer,
    request_bytes,
    running,
)
from tests.pipelinegateway.models import echo, serving, tensor
from tests.support.waiting import until

from bailie._gen import inference_pb2 as pb

CHAIN = {"steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}], "output": {"steps": ["b"]}}
X = tensor("x", ["a"])


def wish(name):
    return message_of([X], outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name=name)])


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"body": b""}, 3, "the body is no inference request: there is no message in it"),
        ({"body": b"\0\0\0\0\5ab"}, 3, "its message has 5 bytes, and 2 have come"),
        (
            {"body": b"\1\0\0\0\0"},
            3,
            "compressed messages are not supported, send them with encoding identity",
        ),
        ({"body": b"\0\0\0\0\2\x2a\x05"}, 3, "field 5 at byte 0 ends behind its message"),
        ({"message": wish("no")}, 3, 'the answer has no output "no" (outputs: x)'),
        (
            {"method": "ModelStreamInfer"},
            12,
            "pipelines answer ModelInfer, ModelReady and ModelMetadata (namespace ns)",
        ),
        ({"method": "x%0a"}, 12, "pipelines answer"),
        ({"key": "q_1"}, 14, "has no pipeline q.pipeline_1: try again later"),
        ({"headers": [("grpc-timeout", "soon")]}, 3, "the header grpc-timeout is no time"),
        ({"headers": [("grpc-timeout", "0m")]}, 4, 'no output in time: "a" had not answered'),
        ({"message": message_of([tensor("x", ["l" * 3_000])])}, 8, "takes bodies of 2Ki at most"),
    ],
)
async def test_what_cannot_be_answered_is_said_and_the_connection_goes_on(tmp_path, changes, code, words):
    async with (
        serving() as models,
        running(tmp_path, models, {"p_1": CHAIN}, most_body_bytes=2_000) as (engine, port),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(grpc_bytes(**{"key": "p_1", **changes}) + grpc_bytes("p_1") + request_bytes("p_1"))
        first, second, third = [await read_answer(reader) for _ in range(3)]
        writer.close()
        assert (first.status, first.code, first.body) == (200, code, b"")
        assert words in first.words
        assert first.values("content-type") == ["application/grpc"]
        assert second.texts() == third.texts() == {"x": ["in>a>b"]}
        assert await engine.finish(5)
        assert engine.budget.used == 0


async def test_a_wish_chooses_outputs(tmp_path):
    async with serving() as models, running(tmp_path, models, {"p_1": CHAIN}) as (_, port):
        asked = message_of([tensor("y", ["b"]), X])
        asked.outputs.add(name="x")
        heard = await ask_bytes(port, grpc_bytes("p_1", asked))
    assert heard.texts() == {"x": ["a>a>b"]}


async def test_the_time_of_a_caller_ends_its_steps(tmp_path):
    async with serving(lambda _: None) as models, running(tmp_path, models, {"p_1": CHAIN}) as (engine, port):
        heard = await ask_bytes(port, grpc_bytes(headers=[("grpc-timeout", "80m")]))
        assert (heard.code, heard.words) == (4, 'no output in time: "a" had not answered')
        await until(lambda: models.cancelled == ["a"])
        assert await engine.finish(5)


async def test_more_calls_than_may_be_are_told_to_come_again(tmp_path):
    async with (
        serving(lambda _: None) as models,
        running(tmp_path, models, {"p_1": CHAIN, "q_1": CHAIN}, most_requests=1) as (_, port),
    ):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(grpc_bytes())
        await until(lambda: models.calls)
        heard = await ask_bytes(port, grpc_bytes())
        other = await ask_bytes(port, grpc_bytes("q_1"))
        writer.close()
    assert (heard.code, heard.values("retry-after")) == (8, ["1"])
    assert "1 request to pipeline p in progress, as many as it leaves to the others" in heard.words
    assert (other.code, "has as many requests in progress as it may have" in other.words) == (8, True)


async def test_a_message_that_does_not_come_is_not_waited_for(tmp_path):
    async with serving() as models, running(tmp_path, models, {"p_1": CHAIN}, seconds=0.2) as (engine, port):
        heard = await ask_bytes(port, grpc_bytes()[:-5])
        assert (heard.code, "took longer" in heard.words) == (4, True)
        await until(lambda: engine.budget.used == 0)


@pytest.mark.parametrize("missing", ["", "b"])
async def test_readiness_is_that_of_the_models(tmp_path, missing):
    def behave(asked):
        return (503 if asked.step == missing else 200), {}, 0

    async with serving(behave) as models, running(tmp_path, models, {"p_1": CHAIN}) as (_, port):
        heard = await ask_bytes(port, grpc_bytes(method="ModelReady"))
    assert heard.code == 0
    assert pb.ModelReadyResponse.FromString(heard.body[5:]).ready is not bool(missing)


BATCHED = {
    "steps": [{"name": "a"}, {"name": "drift", "batch": {"size": 2, "windowMs": 1000}}],
    "output": {"steps": ["a"]},
}


async def test_a_batch_has_the_requests_of_one_protocol(tmp_path):
    async with serving() as models, running(tmp_path, models, {"p_1": BATCHED}) as (engine, port):
        for text, over_grpc in (("one", True), ("two", False), ("three", True)):
            body = {"inputs": [tensor("x", [text])]}
            data = grpc_bytes("p_1", message_of(body["inputs"])) if over_grpc else request_bytes("p_1", body)
            assert (await ask_bytes(port, data)).texts() == {"x": [f"{text}>a"]}
        await until(lambda: models.steps().count("drift") == 2)
        drift = [each for each in models.calls if each.step == "drift"]
        assert {each.grpc: each.tensors for each in drift} == {
            True: [tensor("x", ["one", "three"], [2])],
            False: [tensor("x", ["two"])],
        }
        assert await engine.finish(5)
        assert engine.budget.used == 0


async def test_a_side_branch_and_a_follower_speak_the_callers_protocol(tmp_path):
    follower = {
        "steps": [{"name": "f"}],
        "input": {"externalInputs": ["p.outputs"]},
        "output": {"steps": ["f"]},
    }
    specs = {"p_1": CHAIN, "q_1": follower}
    async with serving() as models, running(tmp_path, models, specs) as (engine, port):
        assert (await ask_bytes(port, grpc_bytes())).texts() == {"x": ["in>a>b"]}
        await until(lambda: models.steps()[-1] == "f")
        assert all(each.grpc for each in models.calls)
        assert models.calls[-1].tensors == [tensor("x", ["in>a>b"])]
        assert await engine.finish(5)


async def test_the_inputs_of_a_batched_step_can_be_the_answer(tmp_path):
    """The request that fills the batch answers with the whole batch, in both protocols."""
    spec = {"steps": [{"name": "d", "batch": {"size": 1}}], "output": {"steps": ["d.inputs"]}}
    async with serving(echo) as models, running(tmp_path, models, {"p_1": spec}) as (engine, port):
        for data in (grpc_bytes(), request_bytes()):
            assert (await ask_bytes(port, data)).texts() == {"x": ["in"]}
        assert await engine.finish(5)
