"""Which copies routes lead to, with more than one subject to a copy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailie.control.acknowledgements import Departure
from bailie.control.fleet import CopyId
from bailie.control.routed_copies import RoutedCopies
from bailie.control.subjects import Subject
from bailie.placement import ReplicaId, VersionId

FIRST, SECOND = (CopyId(ReplicaId("mlserver", index), VersionId("iris", "a"), 1) for index in range(2))
MODEL, OTHER = Subject("Model", "iris"), Subject("Alias", "flower")


def at(revision):
    return Departure(revision, float(revision))


def test_a_copy_keeps_the_revision_that_led_there_first():
    routed = RoutedCopies()
    assert routed.lead(MODEL, [FIRST], at(1))
    assert routed.lead(MODEL, [FIRST, SECOND], at(2))
    assert not routed.lead(MODEL, [SECOND, FIRST], at(3))
    assert dict(routed.of(MODEL)) == {FIRST: 1, SECOND: 2}
    assert (routed.since(MODEL, SECOND), routed.since(OTHER, SECOND)) == (2, 0)
    assert set(routed.pairs()) == {(MODEL, FIRST, 1), (MODEL, SECOND, 2)}


def test_a_copy_is_left_when_the_last_subject_leaves_it():
    routed = RoutedCopies()
    routed.lead(MODEL, [FIRST], at(1))
    routed.lead(OTHER, [FIRST], at(2))
    assert routed.lead(MODEL, [], at(3))
    assert FIRST in routed
    assert routed.left == {}
    assert routed.lead(OTHER, [SECOND], at(4))
    assert FIRST not in routed
    assert routed.left == {FIRST: at(4)}


def test_a_copy_that_is_led_to_again_is_not_left():
    routed = RoutedCopies()
    routed.leave([FIRST, SECOND], at(1))
    routed.lead(MODEL, [FIRST], at(2))
    assert routed.left == {SECOND: at(1)}
    routed.forget(lambda copy, departure: (copy, departure) != (SECOND, at(1)))
    assert routed.left == {}


@given(
    st.lists(
        st.tuples(st.sampled_from(["lead", "leave", "forget"]), st.sets(st.sampled_from([FIRST, SECOND])))
    )
)
def test_the_copies_on_a_replica_are_those_that_routes_lead_to_or_have_left(steps):
    routed = RoutedCopies()
    for number, (step, copies) in enumerate(steps):
        if step == "forget":
            routed.forget(lambda copy, _, gone=copies: copy not in gone)
        elif step == "leave":
            routed.leave(copies, at(number))
        else:
            routed.lead((MODEL, OTHER)[number % 2], sorted(copies), at(number))
        for each in (FIRST, SECOND):
            assert list(routed.on(each.replica)) == [each] * (each in routed or each in routed.left)
        assert all(routed._here.values())
