"""Callers that never tire, by the clock of the test."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bailie.kube.limits import Allowance, Complaints


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_burst_is_allowed_and_then_the_rate():
    clock = Clock()
    allowance = Allowance(2.0, 3, clock)
    assert [allowance.take("a") for _ in range(4)] == [True, True, True, False]
    assert allowance.wait("a") == 0.5
    clock.now += 0.5
    assert (allowance.take("a"), allowance.take("a"), allowance.take("b")) == (True, False, True)


@given(st.lists(st.floats(0, 3), max_size=60))
def test_no_more_is_taken_than_the_rate_gives(pauses):
    clock, taken = Clock(), 0
    allowance = Allowance(2.0, 3, clock)
    for pause in pauses:
        clock.now += pause
        taken += allowance.take()
        assert taken <= 3 + 2.0 * clock.now + 1e-6


def test_what_was_spent_beyond_the_allowance_is_made_up_for_by_that_name_alone():
    clock = Clock()
    allowance = Allowance(100.0, 2_000, clock)
    allowance.spend(1_500, "one")
    assert allowance.take("one")
    allowance.spend(1_500, "one")
    assert (allowance.take("one"), allowance.take("other")) == (False, True)
    assert allowance.wait("one") == pytest.approx(10.02)
    clock.now += 10.03
    assert allowance.take("one")


def test_invented_names_take_no_memory():
    allowance = Allowance(1.0, 1, Clock())
    for number in range(5_000):
        allowance.take(str(number))
    assert len(allowance._left) <= 1_000


def test_one_line_for_each_kind_and_caller_and_few_in_all():
    clock = Clock()
    complaints = Complaints(clock)
    with capture_logs() as lines:
        for number in range(10_000):
            complaints.warn("agent refused", "mlserver-0", cause=f"bytes {number}")
            complaints.warn("agent refused", f"invented-{number}", cause="bytes")
    assert [line["caller"] for line in lines].count("mlserver-0") == 1
    assert len(lines) == 30
    clock.now += 61
    with capture_logs() as lines:
        complaints.warn("agent refused", "mlserver-0", cause="bytes")
    assert len(lines) == 1
