from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs
from tests.pipelinegateway.client import ask, ask_bytes, grpc_bytes, message_of, running
from tests.pipelinegateway.models import serving, tensor
from tests.support.waiting import until

from bailie.dataflow.batches import MOST_BATCHES

FAR = 2**31


def batched(size, **more):
    batch = {"size": size, **more}
    return {"steps": [{"name": "a"}, {"name": "drift", "batch": batch}], "output": {"steps": ["a"]}}


def row(text, width=1):
    return {"inputs": [tensor("x", [text] * width, [1, width])]}


def batches_of(models):
    return [each.tensors[0]["data"] for each in models.calls if each.step == "drift"]


async def test_an_odd_caller_who_comes_first_keeps_no_batch_from_the_others(tmp_path):
    async with serving() as models, running(tmp_path, models, {"p_1": batched(3)}) as (engine, port):
        for text, width in (("odd", 2), ("one", 1), ("two", 1), ("three", 1)):
            assert (await ask(port, "p_1", row(text, width))).status == 200
        await until(lambda: batches_of(models) == [["one", "two", "three"]])
        assert engine.plans.newest("p").counts.side_dropped == 0
        assert await engine.finish(5)
        assert engine.budget.used == sum(batch.held.size for batch in engine.batches._open.values()) > 0


async def test_a_caller_who_changes_the_form_with_each_request_is_bounded_and_harms_nobody(tmp_path):
    async with serving() as models, running(tmp_path, models, {"p_1": batched(3)}) as (engine, port):
        for text in ("one", "two"):
            await ask(port, "p_1", row(text))
        with capture_logs() as logs:
            for number in range(3 * MOST_BATCHES):
                odd = {"inputs": [tensor(f"x{number}", ["odd"])]}
                assert (await ask(port, "p_1", odd)).status == 200
        assert len(engine.batches._open) == MOST_BATCHES + 1
        assert engine.plans.newest("p").counts.side_dropped == 2 * MOST_BATCHES
        told = [each for each in logs if each["event"] == "batch given up"]
        assert 0 < len(told) <= 5  # one a second
        assert "forms" in told[0]["hint"]
        await ask(port, "p_1", row("three"))
        await until(lambda: batches_of(models) == [["one", "two", "three"]])
        assert await engine.finish(5)
        while engine.batches.drop(""):
            pass
        assert engine.budget.used == 0


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
async def test_no_row_is_read_by_the_parameters_of_another_callers_message(tmp_path, protocol):
    async with serving() as models, running(tmp_path, models, {"p_1": batched(2)}) as (_, port):
        for text, told in (("one", "np"), ("two", "pd"), ("three", "np"), ("four", "pd")):
            inputs = row(text)["inputs"]
            if protocol == "rest":
                body = {"id": text, "parameters": {"content_type": told}, "inputs": inputs}
                assert (await ask(port, "p_1", body)).status == 200
            else:
                message = message_of(inputs)
                message.id = text
                message.parameters["content_type"].string_param = told
                assert (await ask_bytes(port, grpc_bytes("p_1", message))).code == 0
        await until(lambda: sorted(batches_of(models)) == [["one", "three"], ["two", "four"]])


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
async def test_rows_that_are_not_there_fill_no_batch_of_others(tmp_path, protocol):
    async with serving() as models, running(tmp_path, models, {"p_1": batched(2)}) as (_, port):
        hostile = {"inputs": [tensor("x", ["many"], [10**9, 1])]}
        with capture_logs() as logs:
            for body in (row("one"), hostile, row("two")):
                if protocol == "rest":
                    assert (await ask(port, "p_1", body)).status == 200
                else:
                    assert (await ask_bytes(port, grpc_bytes("p_1", message_of(body["inputs"])))).code == 0
            await until(lambda: batches_of(models) == [["one", "two"]])
        (told,) = [each for each in logs if each["event"] == "side branch failed"]
        assert 'the data of tensor "x" are ' in told["cause"]


async def test_a_value_that_its_type_cannot_hold_fails_its_own_request_alone(tmp_path):
    """The model is asked for the whole batch, and would refuse the rows of all for this one."""
    spec = {"steps": [{"name": "drift", "batch": {"size": 2}}], "output": {"steps": ["drift"]}}
    async with serving() as models, running(tmp_path, models, {"p_1": spec}) as (_, port):
        said = [await ask(port, "p_1", numbers(value)) for value in (1, 300, -1, 2)]
        assert [each.status for each in said] == [422, 400, 400, 200]
        for refused in said[1:3]:
            assert refused.json["reason"] == "StepError"
            assert 'the data of tensor "x" have a value that UINT8 cannot hold' in refused.json["error"]
        assert batches_of(models) == [[1, 2]]


def numbers(value):
    return {"inputs": [{**tensor("x", [value], [1, 1]), "datatype": "UINT8"}]}


async def test_each_form_has_its_window(tmp_path):
    spec = batched(10, windowMs=200)
    async with serving() as models, running(tmp_path, models, {"p_1": spec}) as (engine, port):
        for width in (1, 2, 1):
            await ask(port, "p_1", row("text", width))
        await until(lambda: len(batches_of(models)) == 2)
        assert batches_of(models) == [["text", "text"], ["text", "text"]]
        assert await engine.finish(5)
        assert engine.budget.used == 0


async def test_batches_of_a_version_that_is_gone_are_let_go_in_all_forms(tmp_path):
    async with serving() as models, running(tmp_path, models, {"p_1": batched(FAR)}) as (engine, port):
        for width in (1, 2, 3):
            await ask(port, "p_1", row("text", width))
        await engine.finish(5)
        assert len(engine.batches._open) == 3
        engine.batches.keep(frozenset())
        assert engine.budget.used == 0
        assert not engine.batches.drop("")


async def test_the_run_that_fills_a_batch_is_not_the_one_that_is_given_up_for_it(tmp_path):
    """Its data has no room; an older run of the pipeline has a model that hangs."""
    go_on = asyncio.Event()

    async def behave(asked):
        (given,) = asked.tensors[0]["data"]
        if asked.step != "slow" or given == "one":
            return 200, {"outputs": [tensor("x", [given], [1, 1])]}, 0.0
        if given != "two":
            return None
        await go_on.wait()
        return 200, {"outputs": [tensor("x", ["l" * 500_000], [1, 1])]}, 0.0

    steps = [{"name": "a"}, {"name": "slow"}, {"name": "drift", "inputs": ["slow"], "batch": {"size": 2}}]
    spec = {"steps": steps, "output": {"steps": ["a"]}}
    async with (
        serving(behave) as models,
        running(tmp_path, models, {"p_1": spec}, most_bytes=4 << 20) as (engine, port),
    ):
        for text in ("one", "l" * 600_000, "two"):
            assert (await ask(port, "p_1", row(text))).status == 200
        go_on.set()
        await until(lambda: engine.plans.newest("p").counts.side_dropped == 1)
        await until(lambda: batches_of(models))
        assert await engine.finish(5)
        assert models.cancelled == ["slow"]
        assert engine.budget.used == 0


async def test_the_largest_batches_are_given_up_first(tmp_path):
    specs = {"p_1": batched(FAR), "q_1": batched(FAR)}
    async with serving() as models, running(tmp_path, models, specs) as (engine, port):
        for key, text, width in (("p_1", "small", 1), ("q_1", "l" * 10_000, 2), ("p_1", "l" * 3_000, 3)):
            await ask(port, key, row(text, width))
        await engine.finish(5)
        dropped = {name: engine.plans.newest(name).counts for name in "pq"}
        assert engine.batches.drop("p.pipeline_1")
        assert (dropped["p"].side_dropped, dropped["q"].side_dropped) == (1, 0)
        assert engine.batches.drop("")
        assert dropped["q"].side_dropped == 1
        assert 0 < engine.budget.used < 1_000
        assert engine.batches.drop("")
        assert not engine.batches.drop("")
