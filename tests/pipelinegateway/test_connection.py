"""A gateway on real sockets: order, limits, ends of callers, and nobody gets the answer of another."""

from __future__ import annotations

import asyncio
import json

import pytest
from structlog.testing import capture_logs
from tests.pipelinegateway.client import ask, ask_bytes, read_answer, request_bytes, running
from tests.pipelinegateway.models import echo, serving, tensor
from tests.support.waiting import until

CHAIN = {
    "steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}, {"name": "c", "inputs": ["b"]}],
    "output": {"steps": ["c"]},
}
SIDE = {"steps": [{"name": "a"}, {"name": "drift"}], "output": {"steps": ["a"]}}


def texts(text):
    return {"inputs": [tensor("x", [text])]}


async def test_a_chain_answers_with_its_data_routes_version_and_the_callers_headers(tmp_path):
    given = [
        ("x-request-id", "one"),
        ("x-tag", "t"),
        ("x-seldon-route", ":a_9:"),
        ("x-envoy-peer", "p"),
        ("y", "z"),
    ]
    trace = [("traceparent", "00-1-2-01"), ("x-forwarded-for", "1.2.3.4"), ("x-seldon-alibi-type", "explain")]
    async with serving() as models, running(tmp_path, models, {"p_7": CHAIN}) as (_, port):
        heard = await ask(port, "p_7", texts("in"), headers=given + trace)
    assert heard.status == 200
    assert heard.json == {"model_name": "", "outputs": [tensor("x", ["in>a>b>c"])]}
    assert heard.values("x-seldon-route") == [":a_1:", ":b_1:", ":c_1:", ":p.pipeline:"]
    assert heard.values("x-pipeline-version") == ["7"]
    assert [key for key, _ in heard.headers if key in dict(given + trace)] == [
        "x-request-id",
        "x-tag",
        *["x-seldon-route"] * 4,
    ]
    for call in models.calls:
        assert call.path == f"/v2/models/{call.step}/infer"
        assert [key for key, _ in call.headers if key in dict(given + trace)] == [
            "x-request-id",
            "x-tag",
            "traceparent",
        ]


async def test_two_hundred_requests_with_one_id_get_their_own_answers(tmp_path):
    async def slow(asked):
        await asyncio.sleep(0.001 * (len(asked.body) % 7))
        return echo(asked)

    async with serving(slow) as models, running(tmp_path, models, {"p_1": CHAIN}) as (_, port):
        same = [("x-request-id", "the same")]
        asked = [str(number) * (1 + number % 9) for number in range(200)]
        heard = await asyncio.gather(*(ask(port, "p_1", texts(each), headers=same) for each in asked))
    assert [each.texts() for each in heard] == [{"x": [f"{each}>a>b>c"]} for each in asked]


async def test_pipelined_requests_are_answered_in_their_order(tmp_path):
    bodies = [texts(str(number)) for number in range(30)]
    data = b"".join(request_bytes("p_1", body) for body in bodies) + request_bytes(
        "p_1", path="/x", method="GET"
    )
    async with serving() as models, running(tmp_path, models, {"p_1": CHAIN}) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for at in range(0, len(data), 701):
            writer.write(data[at : at + 701])
            await asyncio.sleep(0)
        heard = [await read_answer(reader) for _ in range(31)]
        writer.close()
    assert [each.texts()["x"] for each in heard[:-1]] == [[f"{number}>a>b>c"] for number in range(30)]
    assert heard[-1].status == 404


async def test_a_caller_that_goes_ends_its_calls_and_holds_nothing(tmp_path):
    async with serving(lambda _: None) as models, running(tmp_path, models, {"p_1": CHAIN}) as (engine, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes("p_1") * 3)
        await until(lambda: models.calls)
        assert engine.budget.used > 0
        writer.close()
        await until(lambda: models.cancelled == ["a"])
        assert await engine.finish(5)
        assert engine.budget.used == 0
        assert models.steps() == ["a"]


async def test_a_side_branch_changes_no_answer_and_is_given_up_with_the_time(tmp_path):
    def behave(asked):
        return echo(asked) if asked.step == "a" else None

    async with (
        serving(behave) as models,
        running(tmp_path, models, {"p_1": SIDE}, seconds=0.3) as (engine, port),
    ):
        heard = await ask(port)
        assert heard.status == 200
        await until(lambda: models.cancelled == ["drift"])
        assert await engine.finish(5)
        assert engine.budget.used == 0


async def test_the_steps_that_an_answer_needs_are_called_before_its_side_branches(tmp_path):
    sides = [{"name": f"side-{number}"} for number in range(5)]
    spec = {"steps": [*sides, {"name": "a"}, {"name": "b"}], "output": {"steps": ["a", "b"]}}
    async with serving() as models, running(tmp_path, models, {"p_1": spec}) as (engine, port):
        assert (await ask(port)).status == 200
        assert await engine.finish(5)
        assert sorted(models.steps()[:2]) == ["a", "b"]
        assert sorted(models.steps()[2:]) == [each["name"] for each in sides]


async def test_failures_of_a_side_branch_are_counted_each_and_logged_at_times(tmp_path):
    spec = {"steps": [{"name": "a"}, {"name": "side"}], "output": {"steps": ["a"]}}

    def behave(asked):
        return echo(asked) if asked.step == "a" else (500, {"error": "boom"}, 0.0)

    async with serving(behave) as models, running(tmp_path, models, {"p_1": spec}) as (engine, port):
        counts = engine.plans.newest("p").steps["side"]
        for quiet_until, logged in ((0.0, ["boom"]), (float("inf"), []), (0.0, ["boom"])):
            counts.quiet_until = quiet_until
            with capture_logs() as logs:
                assert (await ask(port)).status == 200
                assert await engine.finish(5)
            assert [each["cause"] for each in logs if each["event"] == "side branch failed"] == logged
        assert sum(counts.failed.values()) == 3


async def test_side_branches_beyond_their_limit_are_given_up_the_newest_first(tmp_path):
    def behave(asked):
        return echo(asked) if asked.step == "a" else None

    async with (
        serving(behave) as models,
        running(tmp_path, models, {"p_1": SIDE}, most_side_runs=2) as (engine, port),
    ):
        for _ in range(4):
            assert (await ask(port)).status == 200
        await until(lambda: models.cancelled == ["drift"] * 2)
        assert len(engine._sides) == 2


async def test_more_requests_than_may_be_are_told_to_come_again(tmp_path):
    answer = asyncio.Event()

    async def behave(asked):
        await answer.wait()
        return echo(asked)

    async with (
        serving(behave) as models,
        running(tmp_path, models, {"p_1": CHAIN, "q_1": CHAIN}, most_requests=4) as (_, port),
        asyncio.TaskGroup() as group,
    ):
        first = [group.create_task(ask(port)) for _ in range(2)]
        await until(lambda: len(models.calls) == 2)
        refused = await ask(port)
        other = group.create_task(ask(port, "q_1"))
        await until(lambda: len(models.calls) == 3)
        answer.set()
    assert refused.status == 429
    assert refused.values("retry-after") == ["1"]
    assert refused.json["reason"] == "Overloaded"
    assert "2 requests to pipeline p in progress, as many as it leaves to the others" in refused.json["error"]
    assert [task.result().status for task in (*first, other)] == [200] * 3


async def test_bytes_beyond_the_budget_are_refused_and_side_branches_go_first(tmp_path):
    def behave(asked):
        return echo(asked) if asked.step == "a" else None

    large = texts("l" * 400_000)
    limits = {"most_bytes": 1 << 20}
    async with (
        serving(behave) as models,
        running(tmp_path, models, {"p_1": SIDE, "q_1": CHAIN}, **limits) as (engine, port),
    ):
        assert (await ask(port, "p_1", large)).status == 200
        assert engine.budget.used > 800_000
        assert (await ask(port, "p_1", large)).status == 200
        assert models.cancelled == ["drift"]
        refused = await ask(port, "q_1", texts("l" * 900_000))
    assert refused.status in {429, 503}


@pytest.mark.parametrize("whole", [True, False])
async def test_a_pipeline_that_is_full_takes_no_memory_from_another(tmp_path, whole):
    """Its model hangs, or its callers send their bodies for ever."""

    def behave(asked):
        return None if asked.step == "hangs" else echo(asked)

    hangs = {"steps": [{"name": "hangs"}], "output": {"steps": ["hangs"]}}
    data = request_bytes("h_1", texts("l" * 100_000))
    async with (
        serving(behave) as models,
        running(tmp_path, models, {"h_1": hangs, "q_1": CHAIN}, most_bytes=1 << 20) as (engine, port),
        asyncio.TaskGroup() as group,
    ):
        full = [
            group.create_task(ask_bytes(port, data if whole else data[:-1]))
            for _ in range(engine.budget.most // 100_000)
        ]
        await until(lambda: sum(each.done() for each in full) >= len(full) - 5)
        assert {each.result().status for each in full if each.done()} == {429}
        heard = await ask(port, "q_1", texts("l" * 100_000))
        for each in full:
            each.cancel()
    assert heard.status == 200


async def test_a_batch_that_grows_without_end_is_given_up_and_takes_no_memory_from_others(tmp_path):
    batched = {**SIDE, "steps": [{"name": "a"}, {"name": "drift", "batch": {"size": 2**31}}]}
    async with (
        serving() as models,
        running(tmp_path, models, {"p_1": batched, "q_1": CHAIN}, most_bytes=1 << 20) as (engine, port),
    ):
        with capture_logs() as logs:
            for _ in range(20):
                assert (await ask(port, "p_1", texts("l" * 50_000))).status == 200
                assert (await ask(port, "q_1", texts("l" * 150_000))).status == 200
        told = [each for each in logs if each["event"] == "batch given up"]
        assert [(each["pipeline"], each["step"]) for each in told] == [("p.pipeline_1", "drift")] * len(told)
        dropped = engine.plans.newest("p").counts
        assert dropped.side_dropped >= len(told) > 0
        assert "batch.size" in told[0]["hint"]
        assert not engine.batches.drop("q.pipeline_1")
        before = dropped.side_dropped
        assert engine.batches.drop("")
        assert dropped.side_dropped == before + 1
        assert engine.budget.used == 0


async def test_a_caller_who_takes_no_answer_ends_no_batch_of_another_pipeline(tmp_path):
    batched = {**SIDE, "steps": [{"name": "a"}, {"name": "drift", "batch": {"size": 2**31}}]}
    one = {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}
    async with (
        serving() as models,
        running(tmp_path, models, {"p_1": batched, "q_1": one}, most_bytes=16 << 20) as (engine, port),
    ):
        assert (await ask(port, "p_1", texts("kept"))).status == 200
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        writer.write(request_bytes("q_1", texts("l" * 7_000_000)))
        try:
            await until(lambda: len(models.calls) == 2 and not engine._waiting)
            assert engine.plans.newest("p").counts.side_dropped == 0
        finally:
            writer.transport.abort()


async def test_tensors_without_data_fill_a_batch_as_others_do(tmp_path):
    batched = {**SIDE, "steps": [{"name": "a"}, {"name": "drift", "batch": {"size": 2**31}}]}
    empty = {"inputs": [tensor(f"x{number}", [], [0]) for number in range(100)]}
    async with serving() as models, running(tmp_path, models, {"p_1": batched}) as (engine, port):
        assert (await ask(port, "p_1", empty)).status == 200
        await engine.finish(5)
        assert engine.budget.used > 100 * 100


async def test_a_long_body_is_refused_before_it_has_come(tmp_path):
    head = request_bytes("p_1", b"").replace(b"content-length: 0", b"content-length: 3000")
    async with (
        serving() as models,
        running(tmp_path, models, {"p_1": CHAIN}, most_body_bytes=2_000) as (_, port),
    ):
        heard = await ask_bytes(port, head)
    assert heard.status == 413
    assert "2" in heard.json["error"]


async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path):
    half = request_bytes("p_1")[:-5]
    async with serving() as models, running(tmp_path, models, {"p_1": CHAIN}, seconds=0.2) as (engine, port):
        heard = await ask_bytes(port, half)
        assert heard.status == 408
        await until(lambda: engine.budget.used == 0)


async def test_an_answer_that_nobody_takes_is_given_up(tmp_path):
    one = {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}
    async with serving() as models, running(tmp_path, models, {"p_1": one}, seconds=6) as (engine, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        writer.write(request_bytes("p_1", texts("l" * 16_000_000)))
        try:
            await until(lambda: models.calls and not engine._waiting)
            assert engine.budget.used > 16_000_000
            await until(lambda: engine.budget.used == 0)
        finally:
            writer.transport.abort()


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"body": b"{"}, 400, "MalformedRequest"),
        ({"body": b'{"inputs":[{"name":"x"}]}'}, 400, "MalformedRequest"),
        ({"body": {"inputs": [tensor("x", ["a"])], "outputs": [{"name": "no"}]}}, 400, "NoSuchOutput"),
        ({"path": "/v2/models/p.pipeline_1/other"}, 404, "PathNotServed"),
        ({"path": "/v2/models/p.pipeline_1/infer", "method": "GET"}, 404, "PathNotServed"),
        ({"key": "q_1"}, 503, "PipelineNotLoaded"),
        ({"headers": [("inference-header-content-length", "x")]}, 400, "MalformedRequest"),
    ],
)
async def test_what_cannot_be_answered_is_said_and_the_connection_goes_on(tmp_path, changes, status, reason):
    async with serving() as models, running(tmp_path, models, {"p_1": CHAIN}) as (engine, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes(**{"key": "p_1", **changes}) + request_bytes("p_1"))
        first, second = await read_answer(reader), await read_answer(reader)
        writer.close()
        assert (first.status, first.json["reason"]) == (status, reason)
        assert first.json["namespace"] == "ns"
        assert second.status == 200
        assert await engine.finish(5)
        assert engine.budget.used == 0


async def test_a_failed_step_is_named_with_the_status_of_its_model(tmp_path):
    def behave(asked):
        return echo(asked) if asked.step == "a" else (500, {"error": "no such column"}, 0)

    async with serving(behave) as models, running(tmp_path, models, {"p_3": CHAIN}) as (_, port):
        heard = await ask(port, "p_3")
    assert heard.status == 400
    assert heard.json == {
        "error": "b : no such column",
        "reason": "StepError",
        "pipeline": "p",
        "step": "b",
        "status": 500,
        "namespace": "ns",
    }
    assert models.steps() == ["a", "b"]


@pytest.mark.parametrize("missing", ["", "b"])
async def test_readiness_is_that_of_the_models(tmp_path, missing):
    def behave(asked):
        assert asked.path == f"/v2/models/{asked.step}/ready"
        return (503 if asked.step == missing else 200), {}, 0

    async with serving(behave) as models, running(tmp_path, models, {"p_1": CHAIN}) as (_, port):
        heard = await ask(port, path="/v2/models/p.pipeline_1/ready", method="GET")
    assert heard.status == (424 if missing else 200)
    assert heard.json["ready"] is not bool(missing)
    if missing:
        assert "no answer from b" in heard.json["error"]


async def test_requests_in_progress_end_well_when_the_gateway_ends(tmp_path):
    answer = asyncio.Event()

    async def behave(asked):
        await answer.wait()
        return echo(asked)

    async with serving(behave) as models, asyncio.TaskGroup() as group:
        async with running(tmp_path, models, {"p_1": CHAIN}) as (_, port):
            asked = group.create_task(ask(port))
            await until(lambda: models.calls)
            asyncio.get_running_loop().call_later(0.2, answer.set)
        heard = await asked
        assert heard.status == 200
        assert ("connection", "close") in heard.headers
        with pytest.raises(ConnectionRefusedError):
            await ask(port)


FOLLOWER = {
    "steps": [{"name": "f"}],
    "input": {"externalInputs": ["p.outputs"]},
    "output": {"steps": ["f"]},
}


async def test_a_pipeline_that_follows_runs_after_the_answer(tmp_path):
    async with (
        serving() as models,
        running(tmp_path, models, {"p_1": CHAIN, "q_1": FOLLOWER}) as (engine, port),
    ):
        heard = await ask(port, "p_1", texts("in"))
        assert heard.texts() == {"x": ["in>a>b>c"]}
        await until(lambda: models.steps()[-1] == "f")
        assert models.calls[-1].tensors == [tensor("x", ["in>a>b>c"])]
        assert await engine.finish(5)
        assert engine.budget.used == 0


async def test_a_batch_is_sent_when_its_window_ends(tmp_path):
    spec = json.loads(json.dumps(SIDE))
    spec["steps"][1]["batch"] = {"size": 10, "windowMs": 1000}
    async with serving() as models, running(tmp_path, models, {"p_1": spec}) as (engine, port):
        for text in ("one", "two"):
            assert (await ask(port, "p_1", texts(text))).status == 200
        await until(lambda: "drift" in models.steps())
        (batch,) = [each for each in models.calls if each.step == "drift"]
        assert batch.tensors == [tensor("x", ["one", "two"], [2])]
        assert await engine.finish(5)
        assert engine.budget.used == 0
