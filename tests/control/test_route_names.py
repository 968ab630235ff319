"""Who has a name: its own subject, or another subject that takes it over."""

from __future__ import annotations

import pytest

from bailie.control.route_names import RouteNames
from bailie.control.subjects import Subject
from bailie.routing.table import Backend, NotReady, ReplicaEndpoint, Route, RouteMirror

PLACE = (ReplicaEndpoint("s-0", "127.0.0.1", 9000, 9500),)
IRIS, ONE, TWO = (Subject("Model", "iris"), Subject("Experiment", "one"), Subject("Experiment", "two"))
AWAY = NotReady("NoCandidateAnswers", "none answers")


def route(name, mirror=None):
    return Route((Backend(name, 1, PLACE),), mirror=mirror)


@pytest.fixture
def names():
    found = RouteNames()
    found.put(IRIS, "iris", route("iris_1"), "")
    assert found.settle()
    return found


def test_a_taken_name_has_the_entry_of_the_other_subject_until_its_end(names):
    names.put(ONE, "one.experiment", route("rose_1"), "iris")
    assert names.settle()
    assert names.entries == {"iris": route("rose_1"), "one.experiment": route("rose_1")}
    assert (names.subject("iris"), names.subject("one.experiment")) == (ONE, ONE)
    names.put(IRIS, "iris", route("iris_2"), "")
    assert not names.settle(), "the name is taken"
    names.put(ONE, "one.experiment", None, "")
    assert names.settle()
    assert names.entries == {"iris": route("iris_2")}
    assert names.subject("iris") == IRIS
    assert names.subject("one.experiment") is None


def test_a_subject_that_cannot_answer_takes_no_name(names):
    names.put(ONE, "one.experiment", AWAY, "iris")
    assert names.settle()
    assert names.entries == {"iris": route("iris_1"), "one.experiment": AWAY}


@pytest.mark.parametrize("first", [ONE, TWO])
def test_a_name_may_change_hands_in_one_table(names, first):
    names.put(ONE, "one.experiment", route("a_1"), "iris")
    names.settle()
    changes = {ONE: ("one.experiment", None, ""), TWO: ("two.experiment", route("b_1"), "iris")}
    for subject in (first, TWO if first == ONE else ONE):
        names.put(subject, *changes[subject])
    assert names.settle()
    assert names.entries["iris"] == route("b_1")


def test_nothing_new_is_no_new_table(names):
    before = names.entries
    names.put(IRIS, "iris", route("iris_1"), "")
    assert not names.settle()
    assert names.entries is before


def test_a_mirror_is_led_to_by_the_entry_of_its_own(names):
    names.put(ONE, "one.experiment", route("rose_1", RouteMirror("iris", 10)), "iris")
    assert names.settle()
    assert names.mirrors == {"iris": route("iris_1")}
    names.put(IRIS, "iris", route("iris_2"), "")
    assert names.settle(), "no name leads elsewhere, but the copies do"
    assert names.mirrors == {"iris": route("iris_2")}
    names.put(IRIS, "iris", None, "")
    assert names.settle()
    assert names.mirrors == {}
    names.put(IRIS, "iris", route("iris_2"), "")
    names.put(ONE, "one.experiment", route("rose_1"), "")
    assert names.settle()
    assert names.mirrors == {}
