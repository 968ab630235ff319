"""The trace of a request: for each row of the table (`cases/`) it says what happened, and nothing else."""

from __future__ import annotations

import msgspec
import pytest
from tests.dataflow.engine import Engine, compiled, parcel, plan_of
from tests.dataflow.test_cases import CASES

from bailie.dataflow.events import Asked, StepAnswered
from bailie.dataflow.flow import Flow
from bailie.dataflow.tracing import FlowTrace, TracedFlow

SWITCH = {
    "steps": [
        {"name": "a"},
        {"name": "b", "inputs": ["a.outputs.x"]},
        {"name": "c", "inputs": ["a.outputs.y"]},
    ],
    "output": {"steps": ["b", "c"], "stepsJoin": "any"},
}


def run(spec, models, **named):
    plan = plan_of(spec)
    trace = Engine(plan, models).run(["i"], **named)
    return trace.traced.told.data(plan)


def edges(data):
    return {(each["from"], each["to"], each["trigger"]): each for each in data["edges"]}


def states(data):
    return {each["step"]: each["state"] for each in data["steps"]}


@pytest.mark.parametrize(("spec", "case"), CASES)
def test_a_trace_tells_each_call_and_each_edge(spec, case):
    plan = plan_of(spec)
    engine = Engine(plan)
    for request in case.get("requests", [case]):
        engine.models = request.get("models", {})
        trace = engine.run(
            request.get("ask", ["i"]), rows=request.get("rows", 1), leaves_ms=request.get("leaves")
        )
        data = trace.traced.told.data(plan)
        packed = msgspec.msgpack.encode(trace.traced.told)
        assert msgspec.msgpack.decode(packed, type=TracedFlow).data(plan) == data
        steps = {each["step"]: each for each in data["steps"]}
        assert {name: len(each["calls"]) for name, each in steps.items() if "calls" in each} == {
            name: len(calls) for name, calls in trace.calls.items()
        }
        assert steps.keys() == plan.steps.keys()
        assert all("why" in each for each in steps.values() if each["state"] in {"skipped", "batched"})
        assert all(each["present"] or each["why"] for each in data["edges"])
        assert all(each["tensors"] for each in data["edges"] if each["present"])
        if trace.answers:
            assert (data["ending"], data["ms"]) == ("answered", trace.ended_ms)
        if trace.fails:
            assert (data["ending"], data["words"]) == (trace.fails[0].code.name.lower(), trace.fails[0].words)
        if request.get("leaves") and not trace.answers:
            assert data["ending"] == "cancelled"
        assert not any(call.ended is None for call in trace.traced.told.calls.values())


def test_a_switch_says_which_branch_got_nothing_and_why():
    data = run(SWITCH, {"a": ["x"], "b": ["o"]})
    assert states(data) == {"a": "answered", "b": "answered", "c": "skipped"}
    found = edges(data)
    assert found["a.outputs", "b", False]["tensors"] == ["x"]
    assert found["a.outputs", "c", False]["why"] == "none of y came, only x"
    assert found["c.outputs", "p", False]["why"] == "skipped"


def test_data_that_came_after_the_answer_is_told():
    spec = {"steps": [{"name": "a"}, {"name": "b"}], "output": {"steps": ["a", "b"], "stepsJoin": "any"}}
    data = run(spec, {"a": ["x"], "b": {"gives": ["y"], "ms": 9}})
    assert edges(data)["b.outputs", "p", False]["why"] == "it came after the join had ended"
    assert "why" not in edges(data)["a.outputs", "p", False]


def test_times_and_sizes_of_a_call():
    data = run({"steps": [{"name": "a"}], "output": {"steps": ["a"]}}, {"a": {"gives": ["x", "y"], "ms": 7}})
    assert data["steps"][0]["calls"] == [
        {"visit": 1, "begun_ms": 0, "sent_bytes": 1, "ms": 7, "outcome": "answered", "received_bytes": 2}
    ]


@pytest.mark.parametrize(
    ("models", "outcome", "why"),
    [
        ({"b": {"error": "bad \x1b[1m"}}, "step_error", "it failed: bad \\u001b[1m"),
        ({"b": {}}, "cancelled", "not answered yet"),
        ({"b": []}, "answered", "no tensor came"),
    ],
)
def test_a_side_branch_without_data_says_why(models, outcome, why):
    spec = {
        "steps": [{"name": "a"}, {"name": "b"}, {"name": "c", "inputs": ["b"]}],
        "output": {"steps": ["a"]},
    }
    data = run(spec, models, time_out_ms=50)
    assert data["ending"] == "answered"
    assert data["steps"][1]["calls"][0]["outcome"] == outcome
    told = edges(data)["b.outputs", "c", False]["why"]
    assert told == why if outcome != "cancelled" else told in {"given up", why, "it failed: " + LATE}


LATE = "had not answered when the time for the request was over"


def test_a_request_that_runs_says_so():
    plan = plan_of(SWITCH)
    trace = FlowTrace(lambda _: 0)
    events = [Asked(parcel("request", ["i"]))]
    trace.turn(0.0, events, Flow(plan).event(*events))
    data = trace.told.data(plan)
    assert data["ending"] == "running"
    assert states(data) == {"a": "running", "b": "not reached", "c": "not reached"}
    assert edges(data)["a.outputs", "b", False]["why"] == "not answered yet"


def test_a_trace_is_bounded():
    spec = {
        "allowCycles": True,
        "maxStepRevisits": 5_000,
        "steps": [{"name": "a", "inputs": ["p", "a.outputs.x"], "inputsJoinType": "any"}],
        "output": {"steps": ["a.outputs.done"]},
    }
    plan = compiled(spec).plan
    trace, flow = FlowTrace(lambda _: 0), Flow(plan)
    events = [Asked(parcel("request", ["i"]))]
    for visit in range(1, 2_000):
        trace.turn(0.0, events, flow.event(*events))
        events = [StepAnswered("a", visit, parcel("a", ["x" * 5_000] * 50 + ["x"]))]
    assert len(trace.told.calls) <= 500
    assert sum(map(len, trace.told.arrivals.values())) <= 1_500
    assert len(msgspec.msgpack.encode(trace.told)) < 1 << 20
    assert {each["present"] for each in trace.told.data(plan)["edges"]} == {True}
