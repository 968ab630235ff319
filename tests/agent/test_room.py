"""Who may be in memory: entering, waiting, and who must leave."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.agent.room import Room


class House:
    """A room whose guests leave when the test says; `asked` are those who were asked to."""

    def __init__(self, capacity: int | None = 10) -> None:
        self.room = Room(capacity)
        self.asked: list[str] = []
        self.busy: set[str] = set()
        self.room.govern(self.asked.extend, self.busy.__contains__)

    def settled(self, *names: str, size: int = 5) -> None:
        for name in names:
            self.room.settle(name, size)


@asynccontextmanager
async def entering(house: House, name: str, size: int = 5):
    task = asyncio.get_running_loop().create_task(house.room.enter(name, size))
    await asyncio.sleep(0)
    yield task
    if not task.done():
        task.cancel()
        await asyncio.wait([task])


async def turn():
    for _ in range(3):
        await asyncio.sleep(0)


async def test_who_fits_enters_at_once():
    house = House()
    await house.room.enter("a", 5)
    await house.room.enter("b", 5)
    assert house.asked == []


async def test_without_overcommit_nobody_waits():
    house = House(None)
    await house.room.enter("a", 5)
    await house.room.enter("b", 500)
    assert house.asked == []


async def test_the_least_recently_used_leaves_first():
    house = House()
    house.settled("a", "b")
    house.room.use(["a", "unknown"])
    async with entering(house, "c") as waiting:
        assert (house.asked, waiting.done()) == (["b"], False)
        house.room.leave("b")
        await turn()
        assert waiting.done()
    assert house.asked == ["b"]


async def test_who_is_asked_to_leave_is_asked_once_and_counts_until_it_is_gone():
    house = House()
    house.settled("a", "b")
    async with entering(house, "c"):
        house.room.arrange()
        house.room.arrange()
        async with entering(house, "d") as other:
            assert house.asked == ["a", "b"]
            house.room.leave("a")
            await turn()
            assert not other.done()


async def test_all_who_wait_are_made_room_for_at_one_time():
    house = House()
    house.settled("a", "b", "c", "d", "e", size=2)
    async with entering(house, "f", 2), entering(house, "g", 2), entering(house, "h", 2):
        assert house.asked == ["a", "b", "c"]


async def test_no_more_leave_than_there_is_room_for_those_who_wait():
    house = House()
    house.settled("a", "b")
    async with entering(house, "c"), entering(house, "d"), entering(house, "e"):
        assert house.asked == ["a", "b"]
        house.room.leave("a")
        house.room.leave("b")
        await turn()
        house.settled("c")
        assert house.asked == ["a", "b", "c"]


async def test_who_is_busy_stays_until_it_is_not():
    house = House()
    house.settled("a", "b")
    house.busy |= {"a", "b"}
    async with entering(house, "c"):
        assert house.asked == []
        house.busy.discard("b")
        house.room.arrange()
        assert house.asked == ["b"]


async def test_who_is_on_its_way_in_is_not_sent_away():
    house = House()
    await house.room.enter("a", 5)
    await house.room.enter("b", 5)
    async with entering(house, "c"):
        assert house.asked == []
        house.settled("b")
        assert house.asked == ["b"]


async def test_nobody_overtakes_one_who_needs_much():
    house = House()
    house.settled("a", "b")
    house.busy.add("a")
    async with entering(house, "large", 10) as large, entering(house, "small", 1) as small:
        house.room.leave("b")
        await turn()
        assert not small.done()
        house.busy.clear()
        house.room.arrange()
        house.room.leave("a")
        await turn()
        assert (large.done(), small.done()) == (True, False)


async def test_one_that_is_larger_than_all_has_it_to_itself():
    """It turned out to be so at an earlier load; it must not wait for ever."""
    house = House()
    house.settled("a", "b")
    async with entering(house, "huge", 99) as huge:
        assert house.asked == ["a", "b"]
        house.room.leave("a")
        await turn()
        assert not huge.done()
        house.room.leave("b")
        await turn()
        assert huge.done()
        async with entering(house, "none", 0) as none:
            await turn()
            assert none.done()


async def test_who_gives_up_waiting_leaves_its_place():
    house = House()
    house.settled("a", "b")
    async with entering(house, "c", 10) as first:
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    async with entering(house, "d", 5) as second:
        house.room.leave("a")
        await turn()
        assert second.done()


async def test_what_was_measured_counts_from_then_on():
    house = House()
    await house.room.enter("a", 1)
    house.room.settle("a", 8)
    async with entering(house, "b", 5):
        assert house.asked == ["a"]


async def test_who_waits_for_a_load_that_hangs_keeps_nobody_who_fits_beside_it():
    house = House()
    await house.room.enter("hangs", 6)
    house.settled("a", size=4)
    async with entering(house, "large", 6) as large, entering(house, "small", 4) as small:
        assert house.asked == ["a"]
        house.room.leave("a")
        await turn()
        assert (large.done(), small.done()) == (False, True)
        house.room.settle("small", 4)
        assert house.asked == ["a"]
        house.room.leave("hangs")
        await turn()
        assert large.done()


SIZES = st.lists(st.integers(0, 12), max_size=6)


@given(SIZES, SIZES, SIZES)
def test_nobody_waits_for_a_load_that_hangs_where_there_is_room_beside_it(hanging, loaded, waiting):
    """Once all have left who were asked to, whoever still waits does not fit beside those on their way in."""

    async def case():
        house = House(20)
        house.settled(*(f"l{number}" for number in range(len(loaded))), size=3)
        async with asyncio.TaskGroup() as group:
            tasks = {}
            for number, size in enumerate([*hanging, *waiting]):
                tasks[f"w{number}", size] = group.create_task(house.room.enter(f"w{number}", size))
                await turn()
            for name in house.asked:  # grows meanwhile
                house.room.leave(name)
                await turn()
            arriving = [size for (_, size), task in tasks.items() if task.done()]
            left = [size for (_, size), task in tasks.items() if not task.done()]
            assert sum(arriving) <= 20
            assert all(sum(arriving) + size > 20 for size in left)
            for task in tasks.values():
                task.cancel()

    asyncio.run(case())
