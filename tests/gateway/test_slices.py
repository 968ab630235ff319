"""Work in slices: others run in between, also when a caller leaves."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.loop_turns import loop_turns

from bailie.gateway.slices import sliced, whole


def work(done):
    for number in range(10):
        done.append(number)
        yield
    return "all"


async def left(way, done):
    """Cancels the caller of the work between its first slices."""
    task = asyncio.get_running_loop().create_task(way(work(done)))
    await asyncio.sleep(0)
    assert 0 < len(done) < 10
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("way", [sliced, whole])
async def test_others_run_between_slices(way):
    done = []
    async with loop_turns() as turns:
        assert await way(work(done)) == "all"
    assert turns.count >= 10
    assert done == list(range(10))


async def test_the_work_of_a_caller_who_leaves_comes_to_its_end_and_others_run_meanwhile():
    done = []
    async with loop_turns() as turns:
        await left(whole, done)
    assert done == list(range(10))
    assert turns.count >= 10


async def test_work_that_may_be_left_half_done_ends_with_its_caller():
    done = []
    await left(sliced, done)
    assert len(done) < 10
