"""The metrics of a gateway: upstream's series with its labels, and those of each step."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.pipelinegateway.client import ask, ask_bytes, grpc_bytes, running
from tests.pipelinegateway.models import echo, serving, tensor
from tests.support.waiting import until

from bailie.dataflow.events import FailCode
from bailie.pipelinegateway.counts import MOST_STEPS, Counts
from bailie.pipelinegateway.metrics import CountedMetrics
from bailie.pipelinegateway.plans import Plans, PlanSource

SWITCH = {
    "steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}, {"name": "c", "inputs": ["a.outputs.no"]}],
    "output": {"steps": ["b", "c"], "stepsJoin": "any"},
}
LABELS = ("server", "pipeline", "step", "method", "method_type", "ending", "reason", "code", "le")


def series(counts):
    """Returns what a scrape of these counts shows: value by name and labels."""
    registry = CollectorRegistry()
    registry.register(CountedMetrics(counts))
    text = generate_latest(registry).decode()
    return {
        (sample.name, *(sample.labels[each] for each in LABELS if each in sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_upstream_s_series_of_requests(tmp_path):
    def behave(asked):
        return echo(asked) if b"good" in asked.body else (500, {"error": "no"}, 0.0)

    async with serving(behave) as models, running(tmp_path, models, {"p_1": SWITCH}) as (engine, port):
        for text in ("good", "good", "bad"):
            await ask(port, body={"inputs": [tensor("x", [text])]})
        await ask(port, body=b"nonsense")
        found = series(engine.plans.counts)
    server = "pipeline-gateway"
    assert found["seldon_pipeline_infer_total", server, "p", "rest", "200"] == 2
    assert found["seldon_pipeline_infer_total", server, "p", "rest", "400"] == 2
    assert found["seldon_pipeline_infer_seconds_total", server, "p", "rest", "200"] > 0
    assert found["seldon_pipeline_aggregate_infer_total", server, "rest"] == 4
    assert found["seldon_pipeline_aggregate_infer_seconds_total", server, "rest"] > 0
    assert found["seldon_pipeline_infer_api_seconds_count", server, "rest", "200"] == 2
    assert found["seldon_pipeline_infer_api_seconds_bucket", server, "rest", "200", "+Inf"] == 2
    assert ("seldon_pipeline_infer_api_seconds_bucket", server, "rest", "200", "0.005") in found


async def test_calls_of_grpc_have_their_own_codes(tmp_path):
    async with serving() as models, running(tmp_path, models, {"p_1": SWITCH}) as (engine, port):
        await ask_bytes(port, grpc_bytes())
        await ask_bytes(port, grpc_bytes(body=b"\x00\x00\x00\x00\x01\xff"))
        found = series(engine.plans.counts)
    assert found["seldon_pipeline_infer_total", "pipeline-gateway", "p", "grpc", "OK"] == 1
    assert found["seldon_pipeline_infer_total", "pipeline-gateway", "p", "grpc", "InvalidArgument"] == 1


async def test_each_step_by_ending_and_those_that_were_skipped(tmp_path):
    def behave(asked):
        return echo(asked) if asked.step == "a" else (500, {"error": "no"}, 0.0)

    async with serving(behave) as models, running(tmp_path, models, {"p_1": SWITCH}) as (engine, port):
        await ask(port)
        found = series(engine.plans.counts)
    assert found["bailie_pipeline_step_calls_total", "p", "a", "answered"] == 1
    assert found["bailie_pipeline_step_calls_total", "p", "b", "step_error"] == 1
    assert found["bailie_pipeline_step_skipped_total", "p", "c", "absent"] == 1
    assert found["bailie_pipeline_step_in_flight", "p", "a"] == 0
    assert found["bailie_pipeline_step_seconds_total", "p", "a"] > 0
    assert ("bailie_pipeline_step_in_flight", "p", "c") not in found


async def test_a_call_is_in_flight_until_its_caller_leaves(tmp_path):
    release = asyncio.Event()

    async def behave(asked):
        await release.wait()
        return echo(asked)

    spec = {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}
    async with serving(behave) as models, running(tmp_path, models, {"p_1": spec}) as (engine, port):
        asking = asyncio.ensure_future(ask(port))  # noqa: TID251 - cancelled below
        await until(lambda: models.calls)
        assert series(engine.plans.counts)["bailie_pipeline_step_in_flight", "p", "a"] == 1
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert await engine.finish(5.0)
        found = series(engine.plans.counts)
        release.set()
    assert found["bailie_pipeline_step_in_flight", "p", "a"] == 0
    assert found["bailie_pipeline_step_calls_total", "p", "a", "cancelled"] == 1


def test_a_new_version_goes_on_counting_and_a_deleted_pipeline_is_forgotten():
    plans = Plans("ns")
    plans.put(PlanSource("p", 1, SWITCH))
    plans.get("p.pipeline_1").steps["a"].answer(0.5)
    plans.put(PlanSource("p", 2, {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}))
    plans.take_out("p.pipeline_1")
    assert [name for _, name, _ in plans.counts.steps()] == ["a"]
    assert plans.get("p.pipeline_2").steps["a"].answered == 1
    plans.take_out("p.pipeline_2")
    assert list(plans.counts.steps()) == []
    assert plans.counts._steps == 0


def test_series_are_bounded():
    counts = Counts()
    names = [f"s{number}" for number in range(MOST_STEPS + 100)]
    found = counts.of("p", names)
    for name in names:
        found.steps[name].called += 1
        found.steps[name].fail(FailCode.STEP_ERROR, 0.0)
    calls = {
        labels: value for labels, value in series(counts).items() if labels[0].endswith("step_calls_total")
    }
    assert len(calls) == MOST_STEPS + 1
    assert calls["bailie_pipeline_step_calls_total", "", "", "step_error"] == 100


def test_without_a_gateway_there_are_no_series():
    assert not [name for name, *_ in series(Counts()) if "step" in name or name.startswith("seldon")]
