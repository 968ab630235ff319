"""Callers that never tire, by the clock of the test."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.support.waiting import until

from bailie.kube.limits import Allowance, Complaints, Places


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


class Guests:
    """Callers that have a place until they are told to leave."""

    def __init__(self, each, whole):
        self.places, self.inside, self.most = Places(each, whole), Counter(), Counter()

    async def come(self, caller, leave, seconds=30.0):
        async with self.places.place(caller, seconds):
            self.inside[caller] += 1
            self.most[caller] = max(self.most[caller], self.inside[caller])
            self.most[None] = max(self.most[None], self.inside.total())
            await leave.wait()
            self.inside[caller] -= 1


async def test_so_many_have_a_place_for_each_caller_and_in_all_and_others_get_theirs_later():
    guests, leave = Guests(2, 5), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(guests.come(caller, leave)) for caller in "aaaabbbbccc" for _ in range(9)]
        await until(lambda: guests.inside.total() == 5)
        leave.set()
    assert all(task.done() for task in tasks)
    assert (guests.most["a"], guests.most["b"], guests.most[None]) == (2, 2, 5)
    assert guests.most["c"] <= 2
    assert not guests.places._turns


async def test_a_caller_who_has_all_its_places_keeps_none_of_those_of_others():
    guests, leave = Guests(2, 5), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        crowd = [group.create_task(guests.come("crowd", leave)) for _ in range(100)]
        await until(lambda: guests.inside["crowd"] == 2)
        gone = asyncio.Event()
        gone.set()
        await guests.come("other", gone)
        for task in crowd:
            task.cancel()
    assert not guests.places._turns


async def test_who_has_no_name_is_bounded_with_all_alone():
    guests, leave = Guests(2, 5), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(guests.come("", leave))
        await until(lambda: guests.inside[""] == 5)
        leave.set()


async def test_nobody_waits_for_a_place_for_ever():
    guests, leave = Guests(1, 5), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(guests.come("a", leave))
        await until(lambda: guests.inside["a"])
        with pytest.raises(TimeoutError):
            await guests.come("a", leave, 0.01)
        leave.set()
    assert not guests.places._turns


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
