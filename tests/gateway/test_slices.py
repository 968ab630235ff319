"""Work in slices: others run in between, and none of it is left half done."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.loop_turns import loop_turns

from bailie.gateway.slices import whole


def work(done):
    for number in range(10):
        done.append(number)
        yield
    return "all"


async def test_others_run_between_slices():
    done = []
    async with loop_turns() as turns:
        assert await whole(work(done)) == "all"
    assert turns.count >= 10
    assert done == list(range(10))


async def test_the_work_of_a_caller_who_leaves_comes_to_its_end():
    done = []
    task = asyncio.get_running_loop().create_task(whole(work(done)))
    await asyncio.sleep(0)
    assert 0 < len(done) < 10
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == list(range(10))
