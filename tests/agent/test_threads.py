"""Blocking work beside the event loop, and work that hangs."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

import pytest
from tests.support.waiting import until

from bailie.agent.threads import HangingWork, WorkHangs, in_thread


@contextmanager
def stuck():
    """A function that does not stop until the block ends, as a read from a file server that is away."""
    back = threading.Event()
    try:
        yield lambda: back.wait(30)
    finally:
        back.set()


async def test_work_that_ends_gives_its_result_or_its_error():
    work = HangingWork(1)
    assert await work.run(lambda: 7, lambda: None, 10) == 7
    with pytest.raises(FileNotFoundError):
        await work.run(lambda: open("/nowhere/at/all"), lambda: None, 10)  # noqa: SIM115, PTH123


async def test_work_that_takes_too_long_is_told_to_stop():
    stop, work = threading.Event(), HangingWork(1)
    with pytest.raises(WorkHangs, match="did not end within 0 s"):
        await work.run(lambda: stop.wait(30), stop.set, 0.05)
    assert stop.is_set()


async def test_work_that_hangs_stops_no_other_and_is_bounded():
    """The loop's own threads are a few: 40 that hang would take them all."""
    work = HangingWork(40, grace=0.05)
    with stuck() as hang:
        async with asyncio.TaskGroup() as group:
            tries = [group.create_task(_hung(work, hang)) for _ in range(40)]
            assert await in_thread(lambda: 1) == 1
        assert all("did not end" in each.result() for each in tries)
        assert await _hung(work, hang) == "was not begun: 40 earlier ones hang"
        assert await in_thread(lambda: 2) == 2
    await until(lambda: work.hanging == 0)
    assert await work.run(lambda: 3, lambda: None, 10) == 3


async def _hung(work, hang):
    with pytest.raises(WorkHangs) as caught:
        await work.run(hang, lambda: None, 0.05)
    return str(caught.value)


async def test_work_that_is_not_wanted_any_more_is_told_to_stop():
    stop, begun, work = threading.Event(), threading.Event(), HangingWork(1)

    def wait():
        begun.set()
        stop.wait(30)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run(wait, stop.set, 30))
        await until(begun.is_set)
        task.cancel()
    assert task.cancelled()
    assert stop.is_set()
