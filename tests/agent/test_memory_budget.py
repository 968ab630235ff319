"""Who may be in memory: reserving, waiting, and who must leave."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.timelapse import LeapingLoop

from bailie.agent.memory_budget import RECENT_SECONDS, MemoryBudget


class Replica:
    """A budget whose evictions end when the test says; `asked` are the versions to evict."""

    def __init__(self, capacity: int | None = 10) -> None:
        self.budget = MemoryBudget(capacity)
        self.asked: list[str] = []
        self.busy: set[str] = set()
        self.awaited: set[str] = set()
        self.budget.evict_by(self.asked.extend, self.busy.__contains__, self.awaited.__contains__)

    def loaded(self, *names: str, size: int = 5) -> None:
        for name in names:
            self.budget.confirm(name, size)


@asynccontextmanager
async def reserving(replica: Replica, name: str, size: int = 5):
    task = asyncio.get_running_loop().create_task(replica.budget.reserve(name, size))
    await asyncio.sleep(0)
    yield task
    if not task.done():
        task.cancel()
        await asyncio.wait([task])


def run_timelapse(story):
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        runner.run(story)


async def turn():
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_load_that_fits_is_admitted_at_once():
    replica = Replica()
    await replica.budget.reserve("a", 5)
    await replica.budget.reserve("b", 5)
    assert replica.asked == []


async def test_without_overcommit_no_load_waits():
    replica = Replica(None)
    await replica.budget.reserve("a", 5)
    await replica.budget.reserve("b", 500)
    assert replica.asked == []


async def test_the_least_recently_used_version_is_evicted_first():
    replica = Replica()
    replica.loaded("a", "b")
    replica.budget.touch(["a", "unknown"])
    async with reserving(replica, "c") as waiting:
        assert (replica.asked, waiting.done()) == (["b"], False)
        replica.budget.release("b")
        await turn()
        assert waiting.done()
    assert replica.asked == ["b"]


async def test_an_eviction_is_asked_for_once_and_its_memory_counts_until_it_ends():
    replica = Replica()
    replica.loaded("a", "b")
    async with reserving(replica, "c"):
        replica.budget.rebalance()
        replica.budget.rebalance()
        async with reserving(replica, "d") as other:
            assert replica.asked == ["a", "b"]
            replica.budget.release("a")
            await turn()
            assert not other.done()


async def test_evictions_for_all_queued_loads_begin_together():
    replica = Replica()
    replica.loaded("a", "b", "c", "d", "e", size=2)
    async with reserving(replica, "f", 2), reserving(replica, "g", 2), reserving(replica, "h", 2):
        assert replica.asked == ["a", "b", "c"]


async def test_versions_that_were_asked_for_make_room_for_one_load_at_a_time():
    """Many new Models at once are loaded one after the other, and nobody waits for them."""
    replica = Replica()
    replica.loaded("polite", "old", "other", "busy", "last", size=2)
    replica.budget.touch(["old", "other", "last", "busy", "polite"])
    async with reserving(replica, "f", 2), reserving(replica, "g", 2), reserving(replica, "h", 2):
        assert replica.asked == ["old"]
        replica.budget.release("old")
        await turn()
        assert replica.asked == ["old"]
        replica.loaded("f", size=2)
        assert replica.asked == ["old", "f"]  # nobody has asked for it
        replica.budget.release("f")
        await turn()
        replica.loaded("g", size=2)
        assert replica.asked == ["old", "f", "g"]


def test_a_load_that_hangs_delays_the_next_for_a_while_only():
    async def story():
        replica = Replica()
        await replica.budget.reserve("hangs", 5)
        replica.loaded("a")
        for _ in range(4):
            replica.budget.touch("a")
            async with reserving(replica, "b"):
                assert replica.asked == []
                await asyncio.sleep(RECENT_SECONDS / 4)
        async with reserving(replica, "b"):
            assert replica.asked == ["a"]

    run_timelapse(story())


async def test_versions_that_were_asked_for_leave_for_all_loads_that_requests_wait_for():
    replica = Replica()
    replica.loaded("a", "b", "c", "d", "e", size=2)
    replica.budget.touch("abcde")
    replica.awaited |= {"g"}
    async with reserving(replica, "f", 2), reserving(replica, "h", 2), reserving(replica, "g", 2):
        assert replica.asked == ["a", "b"]


def test_a_version_counts_as_asked_for_a_while_only():
    async def story():
        replica = Replica()
        replica.loaded("a", "b")
        replica.budget.touch("ab")
        await asyncio.sleep(RECENT_SECONDS)
        async with reserving(replica, "c"), reserving(replica, "d"):
            assert replica.asked == ["a", "b"]

    run_timelapse(story())


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.sets(st.integers(0, 11)),
)
def test_room_is_made_for_the_first_load_and_nobody_asked_for_leaves_in_vain(residents, loads, touched):
    async def story():
        replica = Replica(sum(residents))
        for index, size in enumerate(residents):
            replica.loaded(f"r{index}", size=size)
        replica.budget.touch(f"r{index}" for index in touched)
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(replica.budget.reserve(f"l{i}", size)) for i, size in enumerate(loads)]
        await asyncio.sleep(0)
        sizes = {f"r{index}": size for index, size in enumerate(residents)}
        hot = sum(sizes[name] for name in replica.asked if int(name[1:]) in touched)
        idle = sum(size for index, size in enumerate(residents) if index not in touched)
        assert sum(sizes[name] for name in replica.asked) >= min(loads[0], sum(residents))
        lacking = max(0, loads[0] - idle)
        assert hot == 0 if lacking == 0 else hot < lacking + 9
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(story())


async def test_no_more_versions_are_evicted_than_the_queued_loads_need():
    replica = Replica()
    replica.loaded("a", "b")
    async with reserving(replica, "c"), reserving(replica, "d"), reserving(replica, "e"):
        assert replica.asked == ["a", "b"]
        replica.budget.release("a")
        replica.budget.release("b")
        await turn()
        replica.loaded("c")
        assert replica.asked == ["a", "b", "c"]


async def test_a_busy_version_is_not_evicted():
    replica = Replica()
    replica.loaded("a", "b")
    replica.busy |= {"a", "b"}
    async with reserving(replica, "c"):
        assert replica.asked == []
        replica.busy.discard("b")
        replica.budget.rebalance()
        assert replica.asked == ["b"]


async def test_a_version_that_is_being_loaded_is_not_evicted():
    replica = Replica()
    await replica.budget.reserve("a", 5)
    await replica.budget.reserve("b", 5)
    async with reserving(replica, "c"):
        assert replica.asked == []
        replica.loaded("b")
        assert replica.asked == ["b"]


async def test_small_loads_do_not_overtake_a_large_one():
    replica = Replica()
    replica.loaded("a", "b")
    replica.busy.add("a")
    async with reserving(replica, "large", 10) as large, reserving(replica, "small", 1) as small:
        replica.budget.release("b")
        await turn()
        assert not small.done()
        replica.busy.clear()
        replica.budget.rebalance()
        replica.budget.release("a")
        await turn()
        assert (large.done(), small.done()) == (True, False)


async def test_a_version_larger_than_all_memory_is_loaded_alone():
    """It turned out to be so at an earlier load; it must not wait for ever."""
    replica = Replica()
    replica.loaded("a", "b")
    async with reserving(replica, "huge", 99) as huge:
        assert replica.asked == ["a", "b"]
        replica.budget.release("a")
        await turn()
        assert not huge.done()
        replica.budget.release("b")
        await turn()
        assert huge.done()
        async with reserving(replica, "none", 0) as none:
            await turn()
            assert none.done()


async def test_a_cancelled_load_leaves_the_queue():
    replica = Replica()
    replica.loaded("a", "b")
    async with reserving(replica, "c", 10) as first:
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    async with reserving(replica, "d", 5) as second:
        replica.budget.release("a")
        await turn()
        assert second.done()


async def test_the_measured_size_counts_after_the_load():
    replica = Replica()
    await replica.budget.reserve("a", 1)
    replica.budget.confirm("a", 8)
    async with reserving(replica, "b", 5):
        assert replica.asked == ["a"]


async def test_a_load_that_waits_for_one_that_hangs_delays_none_that_fits():
    replica = Replica()
    await replica.budget.reserve("hangs", 6)
    replica.loaded("a", size=4)
    async with reserving(replica, "large", 6) as large, reserving(replica, "small", 4) as small:
        assert replica.asked == ["a"]
        replica.budget.release("a")
        await turn()
        assert (large.done(), small.done()) == (False, True)
        replica.budget.confirm("small", 4)
        assert replica.asked == ["a"]
        replica.budget.release("hangs")
        await turn()
        assert large.done()


SIZES = st.lists(st.integers(0, 12), max_size=6)


@given(SIZES, SIZES, SIZES)
def test_no_load_waits_for_one_that_hangs_where_memory_is_left(hanging, loaded, waiting):
    """Once all have left who were asked to, whoever still waits does not fit beside those on their way in."""

    async def case():
        replica = Replica(20)
        replica.loaded(*(f"l{number}" for number in range(len(loaded))), size=3)
        async with asyncio.TaskGroup() as group:
            tasks = {}
            for number, size in enumerate([*hanging, *waiting]):
                tasks[f"w{number}", size] = group.create_task(replica.budget.reserve(f"w{number}", size))
                await turn()
            for name in replica.asked:  # grows meanwhile
                replica.budget.release(name)
                await turn()
            arriving = [size for (_, size), task in tasks.items() if task.done()]
            left = [size for (_, size), task in tasks.items() if not task.done()]
            assert sum(arriving) <= 20
            assert all(sum(arriving) + size > 20 for size in left)
            for task in tasks.values():
                task.cancel()

    asyncio.run(case())
