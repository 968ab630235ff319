"""Places that groups and their callers share: nobody has more than is left to others, and nobody waits in
vain."""

import asyncio
from collections import Counter
from itertools import cycle, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailie.kube.places import ANYONE, NoTurn, Places

WHOLE = 16


class Guests:
    """Callers that have a place until they are told to leave."""

    def __init__(self, whole=WHOLE):
        self.places, self.inside, self.order = Places(whole), Counter(), []

    async def come(self, group, caller, leave, seconds=30.0):
        async with self.places.place(group, caller, seconds):
            self.order.append((group, caller))
            self.inside[group] += 1
            self.inside[group, caller] += 1
            await leave.wait()
            self.inside[group] -= 1
            self.inside[group, caller] -= 1


@pytest.fixture
async def guests():
    """No place is taken, and nobody is remembered, when all have gone."""
    found = Guests()
    yield found
    assert (found.places._free, found.places._groups) == (WHOLE, {})


async def settled():
    """Lets all tasks come as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def crowd(group, guests, leave, names, count=100):
    """Has so many calls of each (group, caller) come, by turns."""
    tasks = [group.create_task(guests.come(*name, leave)) for _ in range(count) for name in names]
    await settled()
    return tasks


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ([("a", "one")], {"a": 4}),
        ([("a", ANYONE)], {"a": 8}),
        ([("a", str(number)) for number in range(9)], {"a": 8}),
        ([("a", str(number)) for number in range(9)] + [("b", ANYONE)], {"a": 8, "b": 4}),
    ],
    ids=["an address", "many at an address", "addresses", "two groups"],
)
async def test_some_places_are_always_left_to_others(guests, names, taken):
    leave = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = await crowd(group, guests, leave, names)
        assert {name: guests.inside[name] for name in taken} == taken
        gone = asyncio.Event()
        gone.set()
        await guests.come("another", "one", gone, 0.0)
        leave.set()
    assert all(task.done() for task in tasks)


async def test_five_groups_of_any_number_of_addresses_leave_none_and_a_sixth_gets_the_first_that_is_free(
    guests,
):
    leave, later = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for name in "abcde":
            await crowd(group, guests, leave, [(name, str(number)) for number in range(20)], 10)
        assert [guests.inside[name] for name in "abcde"] == [8, 4, 2, 1, 1]
        await crowd(group, guests, later, [("f", "one")], 1)
        assert not guests.inside["f"]
        guests.order.clear()
        leave.set()
        await settled()
        assert guests.order[0] == ("f", "one")
        later.set()


async def test_a_caller_gets_a_place_that_others_of_its_group_fill_again_and_again(guests):
    leave = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        await crowd(group, guests, leave, [("a", f"bad-{number}") for number in range(20)], 10)
        await crowd(group, guests, leave, [("a", "good")], 1)
        guests.order.clear()
        leave.set()
        await settled()
        assert ("a", "good") in guests.order[: WHOLE // 2 + 15]


async def test_those_with_as_many_places_take_turns():
    guests, leave = Guests(1), asyncio.Event()
    leave.set()
    async with asyncio.TaskGroup() as group:
        first = asyncio.Event()
        await crowd(group, guests, first, [("first", "one")], 1)
        await crowd(group, guests, leave, [("a", "one"), ("b", "one"), ("b", "two")], 30)
        first.set()
    assert guests.order[1:61] == list(
        islice(cycle([("a", "one"), ("b", "one"), ("a", "one"), ("b", "two")]), 60)
    )


async def test_nobody_waits_for_a_place_for_ever(guests):
    leave = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        await crowd(group, guests, leave, [("a", ANYONE)], 8)
        with pytest.raises(NoTurn):
            await guests.come("a", "one", leave, 0.01)
        leave.set()


async def test_a_time_out_of_the_work_is_no_missing_place(guests):
    with pytest.raises(TimeoutError):
        async with guests.places.place("a", "one", 30.0):
            raise TimeoutError


async def test_who_leaves_keeps_no_place_whenever_that_is(guests):
    """Also at the moment at which a place has come."""
    leave = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        inside = await crowd(group, guests, leave, [("a", ANYONE)], 8)
        waiting = await crowd(group, guests, leave, [("a", ANYONE)], 8)
        for task in waiting[:4]:
            task.cancel()
        leave.set()
        await asyncio.wait(inside, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting[4:]:
            task.cancel()


async def test_calls_of_one_caller_do_not_pile_up(guests):
    leave = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        await crowd(group, guests, leave, [("a", "one")], 1_000 + 4)
        with pytest.raises(NoTurn):
            await guests.come("a", "one", leave)
        leave.set()


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "x", "y"]), st.booleans()), max_size=60)
)
def test_never_more_than_there_are_and_all_are_free_again(steps):
    async def play():
        guests, leaving = Guests(6), []
        async with asyncio.TaskGroup() as group:
            for name, caller, comes in steps:
                if comes or not leaving:
                    leave = asyncio.Event()
                    leaving.append(leave)
                    group.create_task(guests.come(name, caller, leave))
                else:
                    leaving.pop(0).set()
                await settled()
                taken = sum(guests.inside[each] for each in "abc")
                assert taken == 6 - guests.places._free <= 6
                waits = {
                    (each, who)
                    for each, of_group in guests.places._groups.items()
                    for who, of_caller in of_group.callers.items()
                    if of_caller.waiting
                }
                assert not any(guests.places._may(*each) for each in waits), "nobody waits who may come"
            for leave in leaving:
                leave.set()
        assert (guests.places._free, guests.places._groups) == (6, {})

    asyncio.run(play())


class Watched(Places):
    """Counts how often it is asked whether somebody may come."""

    looks = 0

    def _may(self, group, caller):
        self.looks += 1
        return super()._may(group, caller)


async def test_a_place_that_becomes_free_costs_no_more_where_thousands_wait():
    places, names = Watched(WHOLE), [(f"group-{number % 40}", f"caller-{number}") for number in range(4_000)]

    async def come(name, leave):
        async with places.place(*name, 30.0):
            await leave.wait()

    first, others = asyncio.Event(), asyncio.Event()
    others.set()
    async with asyncio.TaskGroup() as group:
        for _ in range(WHOLE // 2):
            group.create_task(come(("first", ANYONE), first))
        await settled()
        for name in names:
            group.create_task(come(name, others))
        first.set()
    assert places.looks < 20 * len(names)
