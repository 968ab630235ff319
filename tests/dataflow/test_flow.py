"""Events of one request: in any order, late, and after the end."""

from __future__ import annotations

from itertools import permutations

import pytest
from tests.dataflow.engine import Engine, parcel, plan_of
from tests.dataflow.test_cases import assert_nothing_is_left, ending

from bailie.dataflow import Flow, Parcel
from bailie.dataflow.events import (
    Absence,
    Asked,
    BatchCompleted,
    BatchTook,
    Call,
    CallerLeft,
    CancelCall,
    Fail,
    FailCode,
    Follow,
    GoOn,
    NoRoom,
    Reply,
    StepAnswered,
    StepFailed,
    TimeOut,
    WindowEnded,
)

DIAMOND = {
    "steps": [
        {"name": "a"},
        {"name": "b", "inputs": ["a"]},
        {"name": "c", "inputs": ["a"]},
        {"name": "d", "inputs": ["b", "c"]},
    ],
    "output": {"steps": ["d"]},
}


def answered(step, *names):
    return StepAnswered(step, 1, parcel(step, names or ["o"]))


@pytest.mark.parametrize("order", list(permutations(["b", "c"])))
def test_a_join_waits_for_both_in_any_order(order):
    flow = Flow(plan_of(DIAMOND))
    flow.event(Asked(parcel("request", ["i"])))
    flow.event(answered("a"))
    first, second = order
    assert [e for e in flow.event(answered(first)) if isinstance(e, Call)] == []
    assert [e.step for e in flow.event(answered(second)) if isinstance(e, Call)] == ["d"]
    assert any(isinstance(e, Reply) for e in flow.event(answered("d")))
    assert flow.over


LATE = [
    answered("z"),
    StepFailed("z", 1, FailCode.STEP_ERROR, "boom"),
    answered("a"),
    StepFailed("a", 1, FailCode.STEP_ERROR, "boom"),
    BatchTook("a", 1),
    BatchCompleted("a", 1, parcel("batch", ["i"])),
    WindowEnded("d", 1),
    WindowEnded("nothing", 1),
    WindowEnded("p", 9),
]


@pytest.mark.parametrize("event", LATE, ids=repr)
def test_an_event_that_nobody_waits_for_has_no_effect(event):
    flow = Flow(plan_of(DIAMOND))
    flow.event(Asked(parcel("request", ["i"])))
    flow.event(answered("a"))
    assert flow.event(event) == []
    assert not flow.over


@pytest.mark.parametrize("event", [*LATE, TimeOut(), CallerLeft(), answered("b")], ids=repr)
def test_an_event_after_the_end_has_no_effect(event):
    flow = Flow(plan_of(DIAMOND))
    flow.event(Asked(parcel("request", ["i"])))
    flow.event(TimeOut())
    assert flow.over
    assert flow.event(event) == []


def test_events_of_one_turn_after_the_end_have_no_effect():
    flow = Flow(plan_of(DIAMOND))
    flow.event(Asked(parcel("request", ["i"])))
    effects = flow.event(TimeOut(), answered("a"), BatchCompleted("b", 1, parcel("batch", ["i"])))
    assert [type(e).__name__ for e in effects] == ["Fail", "CancelCall"]
    assert flow.over


def test_the_answer_of_a_call_that_was_given_up_is_forgotten():
    spec = {"steps": [{"name": "a"}, {"name": "b"}], "output": {"steps": ["a"]}}
    flow = Flow(plan_of(spec))
    flow.event(Asked(parcel("request", ["i"])))
    flow.event(answered("a"))
    assert CancelCall("b", 1) in flow.event(TimeOut())
    assert flow.event(answered("b")) == []


def test_a_batch_whose_window_has_ended_runs_alone_with_the_steps_behind_it():
    spec = {
        "steps": [
            {"name": "a"},
            {"name": "drift", "batch": {"size": 9}},
            {"name": "alert", "inputs": ["drift.outputs.bad"]},
            {"name": "both", "inputs": ["a", "alert"], "inputsJoinType": "outer"},
        ],
        "output": {"steps": ["a"]},
    }
    engine = Engine(plan_of(spec), {"drift": ["bad"]})
    for _ in range(2):
        assert engine.run(["i"]).answers == [["a.o"]]
    (form,) = engine.batches["drift"].forms
    trace = engine.run([], first=engine.batches["drift"].flush("drift", form))
    assert ending(trace) == []
    assert trace.calls == {
        "drift": [["request.i+request.i"]],
        "alert": [["drift.bad"]],
        "both": [["alert.o"]],
    }
    assert_nothing_is_left(trace)
    assert engine.batches["drift"].forms == []


SHARED = BatchCompleted("drift", 1, parcel("batch", ["i"]), shared=True)


def carrying(spec):
    """Returns a flow whose request has filled a batch of several, and has been left by its caller."""
    flow = Flow(plan_of(spec))
    flow.event(Asked(parcel("request", ["i"])))
    effects = flow.event(SHARED, CallerLeft())
    assert [each.step for each in effects if isinstance(each, Call)] == ["drift"]
    assert GoOn() in effects
    assert not flow.over
    return flow


BESIDE = {"steps": [{"name": "a"}, {"name": "drift", "batch": {"size": 2}}], "output": {"steps": ["a"]}}


@pytest.mark.parametrize("event", [TimeOut(), NoRoom()])
def test_a_batch_that_goes_on_ends_with_its_own_time_or_for_lack_of_room(event):
    flow = carrying(BESIDE)
    effects = flow.event(event)
    assert CancelCall("drift", 1) in effects
    assert flow.over


def test_a_side_branch_that_carries_a_batch_ends_at_once_for_lack_of_room():
    flow = Flow(plan_of(BESIDE))
    flow.event(Asked(parcel("request", ["i"])))
    flow.event(SHARED, answered("a"))
    assert CancelCall("drift", 1) in flow.event(NoRoom())
    assert flow.over


def test_pipelines_that_follow_a_batch_get_its_data_after_the_caller_has_left():
    plan = plan_of({**BESIDE, "output": {"steps": ["a", "drift"]}})
    topics = plan.outputs["drift"], plan.outputs["a"], plan.answer
    flow = Flow(plan, topics)
    flow.event(Asked(parcel("request", ["i"])))
    left = flow.event(SHARED, CallerLeft())
    told = {each.topic: type(each.data) for each in left if isinstance(each, Follow)}
    assert told == {plan.outputs["a"]: Absence, plan.answer: Absence}
    follows = [each for each in flow.event(answered("drift")) if isinstance(each, Follow)]
    assert [(each.topic, type(each.data)) for each in follows] == [(plan.outputs["drift"], Parcel)]
    assert flow.over


def test_a_request_whose_batch_is_on_its_way_is_not_to_be_sent_again():
    flow = Flow(plan_of({**BESIDE, "output": {"steps": ["a", "drift"]}}))
    flow.event(Asked(parcel("request", ["i"])))
    effects = flow.event(SHARED, StepFailed("a", 1, FailCode.UNREACHABLE, "is away"))
    (fail,) = [each for each in effects if isinstance(each, Fail)]
    assert not fail.untouched


def test_each_way_to_fail_has_its_statuses():
    """As in Seldon Core for a model's own error; the others as for models."""
    assert {code.name: (code.rest, code.grpc) for code in FailCode} == {
        "STEP_ERROR": (400, 2),
        "UNREACHABLE": (503, 14),
        "TOO_SLOW": (504, 4),
        "NO_OUTPUT": (422, 9),
    }


@pytest.mark.parametrize("maybe_ran", [False, True])
def test_a_request_may_be_sent_again_only_if_no_model_can_have_run(maybe_ran):
    flow = Flow(plan_of({"steps": [{"name": "a"}], "output": {"steps": ["a"]}}))
    flow.event(Asked(parcel("request", ["x"])))
    failure = StepFailed("a", 1, FailCode.UNREACHABLE, "is away", maybe_ran=maybe_ran)
    (fail,) = flow.event(failure)
    assert fail.untouched is not maybe_ran
