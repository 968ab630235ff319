"""Records run as requests over HTTP do, beside them, and never instead of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import pytest
from tests.pipelinegateway.models import echo, serving, tensor
from tests.pipelinegateway.records import (
    ANSWERS,
    ERRORS,
    answer_of,
    failure_of,
    on,
    records,
    request_of,
)
from tests.support.waiting import until

from bailie.dataflow import FollowerIndex
from bailie.pipelinegateway.record_queues import MOST

CHAIN = {"steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}], "output": {"steps": ["b"]}}
SPECS = {"p_1": CHAIN}
ANSWERED = 2
"""Calls of one request: once it has an answer, the others of its topic run together."""


def holding_big_ones(gate):
    """Models that answer requests of the kind `big` once the gate is open, and others at once."""

    async def behave(asked):
        if "big" in str(asked.header("x-kind")):
            await gate.wait()
        return echo(asked)

    return behave


async def test_a_record_has_the_answer_and_the_data_of_all_steps(tmp_path):
    async with serving() as models, records(tmp_path, models, SPECS) as (engine, partition):
        outputs = await partition.run(request_of(), headers=[("x-tenant", b"t"), ("x-request-id", b"mine")])
        assert answer_of(outputs)
        assert [each.topic.removeprefix("seldon.ns.") for each in outputs] == [
            "model.a.inputs",
            "model.a.outputs",
            "model.b.inputs",
            "model.b.outputs",
            "pipeline.p.outputs",
        ]
        assert models.steps() == ["a", "b"]
        assert {each.header("x-tenant") for each in models.calls} == {"t"}
        assert {each.header("x-request-id") for each in models.calls} == {"mine"}
        routes = [value for name, value in on(outputs, ANSWERS)[0].headers if name == "x-seldon-route"]
        assert routes == [b":a_1:", b":b_1:"]
        await until(lambda: engine.budget.used == 0)


@pytest.mark.parametrize("value", [None, b"\x07nonsense", b'{"inputs": []}', b"\xff" * 100])
async def test_a_poison_record_ends_in_words_and_the_next_one_runs(tmp_path, value):
    async with serving() as models, records(tmp_path, models, SPECS) as (_, partition):
        outputs = await partition.run(value)
        failed, words = failure_of(outputs)
        assert failed == "p"
        assert words.startswith("the record is no inference request: ")
        assert on(outputs, ANSWERS)[0].value.decode() == words
        assert answer_of(await partition.run(request_of()))


async def test_the_failure_of_a_model_is_the_records_end(tmp_path):
    def behave(asked):
        return 500, {"error": "bad value"}, 0.0

    async with serving(behave) as models, records(tmp_path, models, SPECS) as (_, partition):
        outputs = await partition.run(request_of())
        assert failure_of(outputs) == ("a", "bad value")
        assert on(outputs, ANSWERS)[0].value == b"bad value"
        assert models.steps() == ["a"]


async def test_a_record_that_takes_too_long_is_not_repeated(tmp_path):
    async with (
        serving(lambda asked: None) as models,
        records(tmp_path, models, SPECS, seconds=1.0) as (_, partition),
    ):
        outputs = await partition.run(request_of())
        assert failure_of(outputs) == ("p", 'no output in time: "a" had not answered')
        assert models.steps() == ["a"]


async def test_a_record_waits_for_models_that_are_starting(tmp_path):
    tries = []

    def behave(asked):
        tries.append(asked.step)
        if len(tries) < 3:
            return 503, {"error": "no replica is ready", "reason": "NotReady"}, 0.0
        return echo(asked)

    async with serving(behave) as models, records(tmp_path, models, SPECS) as (_, partition):
        outputs = await partition.run(request_of())
        assert answer_of(outputs)
        assert on(outputs, ERRORS) == []
        assert tries == ["a", "a", "a", "b"]
        assert partition.executor._young == 0, "each try gives its place back at its end"


async def test_a_record_waits_for_models_only_as_long_as_a_request_may_take(tmp_path):
    def behave(asked):
        return 503, {"error": "no replica is ready", "reason": "NotReady"}, 0.0

    async with serving(behave) as models, records(tmp_path, models, SPECS, seconds=1.0) as (_, partition):
        failed, words = failure_of(await partition.run(request_of()))
        assert failed == "a"
        assert "no replica is ready" in words


async def test_a_pipeline_that_is_gone_is_named(tmp_path):
    async with serving() as models, records(tmp_path, models, {"q_1": CHAIN}) as (_, partition):
        assert failure_of(await partition.run(request_of())) == ("p", "namespace ns has no pipeline p")


async def test_a_record_that_is_too_long_is_told_so(tmp_path):
    limits = {"most_bytes": 1 << 20, "most_body_bytes": 64 << 20}
    async with serving() as models, records(tmp_path, models, SPECS, **limits) as (_, partition):
        failed, words = failure_of(await partition.run(request_of(tensor("x", ["a" * (1 << 20)]))))
        assert failed == "p"
        assert "a request may have 524288" in words
        assert answer_of(await partition.run(request_of()))


async def test_so_many_records_run_at_a_time_and_the_others_wait(tmp_path):
    gate, most, now = asyncio.Event(), 0, 0

    async def behave(asked):
        nonlocal most, now
        now += 1
        most = max(most, now)
        if len(models.calls) > ANSWERED:
            await gate.wait()
        now -= 1
        return echo(asked)

    async with serving(behave) as models, records(tmp_path, models, SPECS) as (_, partition):
        reads = [partition.put(request_of()) for _ in range(100)]
        await until(lambda: now == MOST)
        gate.set()
        await until(lambda: all(read.outputs for read in reads))
        assert most == MOST
        assert all(answer_of(read.outputs) for read in reads)


@pytest.mark.parametrize("answered", [0, 1])
async def test_topics_whose_models_hang_leave_room_to_others(tmp_path, answered):
    """However many they are, and also where the models have answered before."""
    gate, calls = asyncio.Event(), Counter()

    async def behave(asked):
        calls[asked.step] += 1
        if asked.step.startswith("hangs") and calls[asked.step] > answered:
            await gate.wait()
        return echo(asked)

    async with serving(behave) as models, records(tmp_path, models, SPECS) as (_, partition):
        hanging = [
            partition.put(request_of(), topic=f"seldon.ns.model.hangs{number}.inputs")
            for _ in range(MOST)
            for number in range(40)
        ]
        await until(lambda: sum(calls.values()) >= 2 * MOST)
        for _ in range(3):
            reads = [partition.put(request_of()) for _ in range(50)]
            await until(lambda reads=reads: all(read.outputs for read in reads))
        assert not all(read.outputs for read in hanging)
        gate.set()
        await until(lambda: all(read.outputs for read in hanging))
        await until(lambda: partition.executor._queues == {})
        assert partition.executor._young == 0


async def test_a_backlog_of_a_model_that_is_away_is_not_felt_by_others(tmp_path):
    def behave(asked):
        if asked.step == "away":
            return 503, {"error": "no replica is ready", "reason": "NotReady"}, 0.0
        return echo(asked)

    async with serving(behave) as models, records(tmp_path, models, SPECS, seconds=1.0) as (_, partition):
        away = [partition.put(request_of(), topic="seldon.ns.model.away.inputs") for _ in range(200)]
        reads = [partition.put(request_of()) for _ in range(200)]
        await until(lambda: all(read.outputs for read in reads))
        await until(lambda: all(read.outputs for read in away))  # together, after the time of one
        assert models.steps().count("away") < 250, "one at a time, and few of them twice"
        assert {failure_of(read.outputs)[0] for read in away} == {"away"}


async def test_a_record_without_room_holds_up_no_smaller_one_of_another_topic(tmp_path):
    gate = asyncio.Event()

    large, kind = request_of(tensor("x", ["a" * (700 << 10)])), [("x-kind", b"big")]
    async with (
        serving(holding_big_ones(gate)) as models,
        records(tmp_path, models, SPECS, most_bytes=2 << 20) as (_, partition),
    ):
        big = [
            partition.put(large, topic=f"seldon.ns.model.big{number}.inputs", headers=kind)
            for number in range(3)
        ]
        await until(lambda: len(models.calls) == 1)
        assert answer_of(await partition.run(request_of()))
        gate.set()
        await until(lambda: all(read.outputs for read in big))


async def test_records_of_a_partition_that_went_away_are_not_begun(tmp_path):
    gate = asyncio.Event()

    async def behave(asked):
        if len(models.calls) > ANSWERED:
            await gate.wait()
        return echo(asked)

    async with serving(behave) as models, records(tmp_path, models, SPECS) as (_, partition):
        reads = [partition.put(request_of()) for _ in range(MOST + 50)]
        await until(lambda: models.steps().count("a") == 1 + MOST)
        partition.progress.revoke_all()
        gate.set()
        again = partition.put(request_of())
        await until(lambda: again.outputs is not None)
        assert not any(read.outputs for read in reads[1 + MOST :])
        assert models.steps().count("a") == MOST + 2


async def test_records_leave_half_of_the_memory_to_requests(tmp_path):
    gate = asyncio.Event()

    large = request_of(tensor("x", ["a" * (400 << 10)]))
    async with (
        serving(holding_big_ones(gate)) as models,
        records(tmp_path, models, SPECS, most_bytes=2 << 20) as (engine, partition),
    ):
        partition.put(request_of())
        reads = [partition.put(large, headers=[("x-kind", b"big")]) for _ in range(6)]
        await until(lambda: len(models.calls) == ANSWERED + 2)
        assert engine.budget.used <= engine.budget.most // 2
        gate.set()
        await until(lambda: all(read.outputs for read in reads))


async def test_the_memory_of_a_record_is_that_of_its_pipeline_or_model(tmp_path):
    async with (
        serving(lambda _: None) as models,
        records(tmp_path, models, {**SPECS, "q_1": CHAIN}) as (engine, partition),
    ):
        for owner in ("pipeline.p", "pipeline.q", "model.m"):
            partition.put(request_of(), topic=f"seldon.ns.{owner}.inputs")
        await until(lambda: len(models.calls) == 3)
        assert engine.budget._of.keys() == {"p.pipeline_1", "q.pipeline_1", "m"}


async def test_pipelines_behind_a_record_run_and_are_recorded_with_it(tmp_path):
    follower = {
        "input": {"externalInputs": ["p.outputs"]},
        "steps": [{"name": "c"}],
        "output": {"steps": ["c"]},
    }
    async with serving() as models, records(tmp_path, models, {**SPECS, "q_1": follower}) as (_, partition):
        outputs = await partition.run(request_of())
        assert models.steps() == ["a", "b", "c"]
        (inputs,) = on(outputs, "seldon.ns.pipeline.q.inputs")
        assert ("x-bailie-ran", b"gateway-0") in inputs.headers
        assert ("pipeline", b"q") in inputs.headers
        assert answer_of(outputs, "seldon.ns.pipeline.q.outputs")
        assert {each.key for each in outputs} == {b"p.id"}


async def test_requests_over_http_do_not_wait_for_a_batch_of_records(tmp_path):
    """Each turn of the event loop begins one record, however many have come."""
    async with serving() as models, records(tmp_path, models, SPECS) as (engine, partition):
        reads = [partition.put(request_of()) for _ in range(100)]
        begun = []
        while not all(read.outputs for read in reads):
            begun.append(len(engine._waiting))
            await asyncio.sleep(0)
        assert max(begun) > 2
        assert max(after - before for before, after in pairwise(begun)) <= 1


async def test_a_mistake_of_this_program_ends_one_record_alone(tmp_path):
    def raises(name):
        raise RuntimeError("a mistake")

    async with serving() as models, records(tmp_path, models, SPECS) as (engine, partition):
        newest = engine.plans.newest
        engine.plans = SimpleNamespace(newest=raises, get=engine.plans.get)
        failed, words = failure_of(await partition.run(request_of()))
        assert (failed, words) == ("p", "the pipeline gateway failed; its log says more")
        engine.plans = SimpleNamespace(newest=newest, followers=FollowerIndex({}))
        assert answer_of(await partition.run(request_of()))


async def test_a_mistake_at_a_further_try_ends_the_record_too(tmp_path):
    def raises(name):
        raise RuntimeError("a mistake")

    def behave(asked):
        engine.plans = SimpleNamespace(newest=raises, get=engine.plans.get, followers=FollowerIndex({}))
        return 503, {"error": "no replica is ready", "reason": "NotReady"}, 0.0

    async with serving(behave) as models, records(tmp_path, models, SPECS) as (engine, partition):
        failed, words = failure_of(await partition.run(request_of()))
        assert (failed, words) == ("p", "the pipeline gateway failed; its log says more")
        await until(lambda: partition.executor._queues == {})


async def test_other_topics_have_no_outputs(tmp_path):
    async with serving() as models, records(tmp_path, models, SPECS) as (_, partition):
        assert await partition.run(b"x", topic="elsewhere") == ()
        assert models.calls == []
