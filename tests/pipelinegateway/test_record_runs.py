"""The table of graphs and requests (`tests/dataflow/cases`), as records: endings, and data of the steps."""

from __future__ import annotations

import asyncio

import pytest
from tests.dataflow.engine import TIME_OUT_MS, Engine, plan_of
from tests.dataflow.test_cases import CASES, expected_ending
from tests.pipelinegateway.client import message_of, running
from tests.pipelinegateway.models import from_wire, serving
from tests.pipelinegateway.records import ANSWERS, ERRORS, PIPELINE, PLACE, on
from tests.pipelinegateway.test_pipeline_run import ONE_MOMENT, Case, inputs_of, wanted, written
from tests.support.virtualtime import VirtualLoop

from bailie._gen import inference_pb2 as pb
from bailie.kafka.records import IncomingRecord
from bailie.kafka.topics import parsed_topic
from bailie.pipelinegateway.record_runs import PipelineRecordRun

WITHOUT_CALLER = [
    row
    for row in CASES
    if not any("leaves" in each for each in row.values[1].get("requests", [row.values[1]]))
]
"""The rows of callers who do not leave: a record has no caller."""


def is_tried_again(spec, case):
    """Says whether a row ends before any step was reached: such a record waits for its models."""
    engine, found = Engine(plan_of(spec)), False
    for request in case.get("requests", [case]):
        engine.models = request.get("models", {})
        trace = engine.run(request.get("ask", ["i"]), rows=request.get("rows", 1))
        found |= any(each.untouched for each in trace.fails)
    return found


async def run(engine, request):
    """Returns the records that follow from a request."""
    done = asyncio.get_running_loop().create_future()
    value = message_of(inputs_of(request)).SerializeToString()
    record = IncomingRecord(PIPELINE, 0, 0, b"p.id", value)
    never = {"again": lambda: False}
    PipelineRecordRun(engine, PLACE, record, owner="p", ended=done.set_result, **never).begin()
    return await done


def ending(outputs):
    (answer,) = on(outputs, ANSWERS)
    failed = dict(answer.headers).get("seldon-pipeline-errors")
    if failed is not None:
        assert answer.value in {each.value for each in on(outputs, ERRORS)}
        return "fail", answer.value.decode()
    message = pb.ModelInferResponse.FromString(answer.value)
    return "answer", [written(from_wire(each)) for each in message.outputs]


def ending_of_row(request, steps):
    ((kind, told),) = wanted(request, "rest")
    if kind == "answer":
        return kind, told
    failed, _, words = told[1].partition(" : ")
    return kind, words if failed in steps else told[1]


def sent_to_steps(outputs):
    """Returns the tensors of the records with inputs of steps, by step."""
    found = {}
    for each in outputs:
        topic = parsed_topic("seldon", "ns", each.topic)
        if topic is not None and (topic.kind, topic.side) == ("model", "inputs"):
            inputs = pb.ModelInferRequest.FromString(each.value).inputs
            found.setdefault(topic.name, []).append([written(from_wire(one)) for one in inputs])
    return found


async def run_case(folder, spec, case):
    row = Case()
    async with (
        serving(row.behave) as models,
        running(folder, models, {"p_1": spec}, seconds=TIME_OUT_MS / 1000) as (engine, _),
    ):
        for request in case.get("requests", [case]):
            assert expected_ending(request)
            row.models, row.visits, row.calls = request.get("models", {}), {}, {}
            outputs = await run(engine, request)
            assert ending(outputs) == ending_of_row(request, {each["name"] for each in spec["steps"]})
            sent = sent_to_steps(outputs)
            for step, calls in (request.get("calls") or {}).items():
                visits = calls if calls and isinstance(calls[0], list) else [calls] if calls else []
                assert row.calls.get(step, []) == visits, step
                assert sent.get(step, []) == visits, step


@pytest.mark.parametrize(("spec", "case"), WITHOUT_CALLER)
def test_a_record_ends_as_a_request_in_the_pure_flow(tmp_path, spec, case):
    if case["name"] in ONE_MOMENT:
        pytest.skip("the answer comes after the timer of the same moment")
    if is_tried_again(spec, case):
        pytest.skip("a record waits for models that cannot be reached")
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run_case(tmp_path, spec, case))


def test_the_table_is_long_enough():
    assert len(WITHOUT_CALLER) >= 150
