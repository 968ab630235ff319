"""The usual course beside `Flow`: `FlowAndPassage` compares the effects, also where the tables run."""

from __future__ import annotations

import random

import pytest
from tests.dataflow.engine import FlowAndPassage, parcel, plan_of
from tests.dataflow.test_flow import DIAMOND

from bailie.dataflow import Course, CourseRoom
from bailie.dataflow.course import Passage
from bailie.dataflow.events import (
    Asked,
    Call,
    CallerLeft,
    FailCode,
    Reply,
    StepAnswered,
    StepFailed,
    TimeOut,
    WindowEnded,
)

CHOOSING = {
    "steps": [
        {"name": "a"},
        {"name": "b", "inputs": ["a.outputs.x"], "tensorMap": {"a.outputs.x": "y"}},
        {"name": "c", "inputs": ["p.inputs"], "triggers": ["a.outputs.x"]},
    ],
    "output": {"steps": ["b", "c"]},
}
ASKED = Asked(parcel("request", ["i"]))


def answered(step, *names):
    return StepAnswered(step, 1, parcel(step, names or ["x"]))


def turns(turn):
    return 1 + sum(turns(each) for each in turn.after.values() if each is not None)


def weight(turn):
    return turn.weight + sum(weight(each) for each in turn.after.values() if each is not None)


@pytest.mark.parametrize("spec", [DIAMOND, CHOOSING], ids=["diamond", "choosing"])
def test_a_usual_request_makes_no_flow(spec):
    plan = plan_of(spec)
    for _ in range(2):
        passage, events, replies = Passage(course := Course(plan, CourseRoom())), [ASKED], []
        while events:
            effects = passage.event(events.pop(0))
            events += [answered(each.step) for each in effects if isinstance(each, Call)]
            replies += [each for each in effects if isinstance(each, Reply)]
        assert passage.over
        assert passage._flow is None
        assert passage._data == {}
        assert len(replies) == 1
        assert turns(course.start) == len(plan.steps) + 2


UNUSUAL = {
    "a tensor that is missing": [answered("a", "other")],
    "no tensor": [StepAnswered("a", 1, parcel("a", []))],
    "a failure": [StepFailed("a", 1, FailCode.STEP_ERROR, "boom")],
    "a failure later": [answered("a"), StepFailed("c", 1, FailCode.UNREACHABLE, "away"), answered("b")],
    "a caller that leaves": [answered("a"), CallerLeft(), answered("b")],
    "a time that is over": [answered("a"), answered("b"), TimeOut()],
    "a window that ends": [WindowEnded("c", 1), answered("a")],
    "an answer that nobody waits for": [answered("z"), answered("a"), answered("b"), answered("c")],
    "an answer that comes twice": [answered("a"), answered("a"), answered("b"), answered("c")],
    "an answer of another visit": [StepAnswered("a", 2, parcel("a", ["x"])), answered("a")],
    "an event after the end": [answered("a"), answered("b"), answered("c"), CallerLeft(), TimeOut()],
}


@pytest.mark.parametrize("events", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_not_usual_goes_as_in_a_flow(events):
    course = Course(plan_of(CHOOSING), CourseRoom())
    for _ in range(2):
        flow = FlowAndPassage(course.plan, (), course)
        for event in (ASKED, *events):
            flow.event(event)


def test_answers_that_come_together_are_one_turn():
    course = Course(plan_of(DIAMOND), CourseRoom())
    flow = FlowAndPassage(course.plan, (), course)
    for events in ([ASKED], [answered("a")], [answered("c"), answered("b")], [answered("d")]):
        flow.event(*events)
    assert flow.passage.over
    assert flow.passage._flow is None


def test_no_more_turns_are_learnt_than_memory_is_for():
    names = [f"s{number}" for number in range(12)]
    plan = plan_of({"steps": [{"name": name} for name in names], "output": {"steps": names}})
    course, pick = Course(plan, CourseRoom()), random.Random(1)
    for _ in range(100):
        flow = FlowAndPassage(plan, (), course)
        flow.event(ASKED)
        for name in pick.sample(names, len(names)):
            flow.event(answered(name))
    assert flow.over
    assert turns(course.start) > 20
    assert 1_000 <= weight(course.start) < 1_200


@pytest.mark.parametrize(
    "steps",
    [
        [{"name": "a"}, {"name": "b", "inputs": ["a.inputs"]}],
        [{"name": "a", "batch": {"size": 2}}, {"name": "b"}],
    ],
    ids=["inputs of a step", "a batch"],
)
def test_a_plan_that_is_not_straight_has_no_course(steps):
    course = Course(plan_of({"steps": steps, "output": {"steps": ["b"]}}), CourseRoom())
    FlowAndPassage(course.plan, (), course).event(ASKED)
    assert turns(course.start) == 1
