"""The memory of all courses together: bounded, and left to those that are in use."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from tests.dataflow.engine import FlowAndPassage, parcel, plan_of

from bailie.dataflow import Course, CourseRoom
from bailie.dataflow.course import Passage
from bailie.dataflow.course_room import IDLE_PASSAGES, MOST_ENTRIES
from bailie.dataflow.events import Asked, Call, StepAnswered

NAMES = [f"s{number}" for number in range(8)]
WIDE = {"steps": [{"name": name} for name in NAMES], "output": {"steps": NAMES}}
STRAIGHT = {"steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}], "output": {"steps": ["b"]}}
ASKED = Asked(parcel("request", ["i"]))
LARGEST_TURN = 60


def go(flow, pick=None):
    """Takes a request through a flow or a passage; the steps answer in turn, or in any order."""
    open_calls, effects = [], flow.event(ASKED)
    while not flow.over:
        open_calls += [each.step for each in effects if isinstance(each, Call)]
        at = pick.randrange(len(open_calls)) if pick else 0
        effects = flow.event(StepAnswered(name := open_calls.pop(at), 1, parcel(name, ["x"])))


def entries(turn):
    return sum(1 if each is None else each.weight + entries(each) for each in turn.after.values())


def learnt(*courses):
    return sum(entries(each.start) for each in courses)


def test_the_courses_of_a_thousand_pipelines_have_a_bound_together():
    """Also where steps beside each other answer in any order; each request goes on as in a flow."""
    plan, room, pick = plan_of(WIDE), CourseRoom(), random.Random(1)
    courses = [Course(plan, room) for _ in range(1_000)]
    for course in courses[:100] * 4 + courses:
        go(Passage(course), pick)
    for course in courses[::100]:
        go(FlowAndPassage(plan, (), course), pick)
    assert learnt(*courses) == MOST_ENTRIES - room.left
    assert MOST_ENTRIES < learnt(*courses) <= MOST_ENTRIES + LARGEST_TURN


@pytest.mark.parametrize("spec", [WIDE, STRAIGHT], ids=["wide", "straight"])
def test_an_entry_takes_about_a_hundred_bytes(spec):
    plan, room, pick = plan_of(spec), CourseRoom(), random.Random(1)
    courses = [Course(plan, room) for _ in range(20)]
    tracemalloc.start()
    try:
        for course in courses * 2:
            go(Passage(course), pick)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 50 < taken / learnt(*courses) < 150


@pytest.fixture
def full():
    """A room that the first of two courses has filled."""
    room, plan = CourseRoom(20), plan_of(STRAIGHT)
    courses = [Course(plan, room) for _ in range(2)]
    go(Passage(courses[0]))
    go(Passage(courses[1]))
    assert room.left <= 0
    assert [learnt(each) > 0 for each in courses] == [True, False]
    return courses


def test_a_course_that_nobody_takes_any_more_makes_room(full):
    old, new = full
    for _ in range(IDLE_PASSAGES):
        Passage(new)
    on_its_way = Passage(old)
    old.last = 0
    go(Passage(new))
    assert [learnt(each) > 0 for each in full] == [False, True]
    go(on_its_way)
    go(Passage(old))
    assert learnt(*full) == 20 - new.room.left


def test_a_course_in_use_stays_however_many_want_its_room(full):
    old, new = full
    for _ in range(2 * IDLE_PASSAGES // 100):
        for _ in range(100):
            Passage(new)
        go(Passage(new))
        go(Passage(old))
    assert [learnt(each) > 0 for each in full] == [True, False]


def test_each_course_is_looked_at_in_its_turn():
    room, plan = CourseRoom(120), plan_of(STRAIGHT)
    courses = [Course(plan, room) for _ in range(10)]
    for course in courses:
        go(Passage(course))
    idle = next(each for each in courses[1:] if learnt(each))
    for course in courses:
        course.last = 0 if course is idle else IDLE_PASSAGES
    room.passages = IDLE_PASSAGES
    late = courses[-1]
    assert not learnt(late)
    for _ in courses:
        go(Passage(late))
    assert learnt(late)
    assert not learnt(idle)


def test_a_plan_that_has_gone_leaves_its_room_to_others(full):
    old, new = full
    on_its_way = Passage(old)
    on_its_way.event(ASKED)
    old.close()
    go(Passage(new))
    assert learnt(new) > 0
    for name in ("a", "b"):
        on_its_way.event(StepAnswered(name, 1, parcel(name, ["x"])))
    assert on_its_way.over
    go(Passage(old))
    assert learnt(old) == 0


def test_without_room_each_request_takes_a_flow():
    course = Course(plan_of(STRAIGHT), CourseRoom(0))
    go(FlowAndPassage(course.plan, (), course))
    assert learnt(course) == 0
