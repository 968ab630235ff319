"""The loop of our own controllers: every key once, failures again, nothing starved."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from tests.support.waiting import until

from kubeapi.controllers.worker import Worker
from kubeapi.errors import ApiError


@asynccontextmanager
async def running(worker):
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(worker.run())
        yield
        task.cancel()


async def test_a_key_added_twice_is_processed_once():
    seen = []
    worker = Worker("test", seen.append)
    worker.add("a")
    worker.add("a")
    worker.add("b")
    async with running(worker):
        await until(lambda: len(seen) >= 2)
    assert seen == ["a", "b"]


async def test_failures_are_tried_again_and_hold_up_nobody():
    seen = []

    def process(key):
        seen.append(key)
        if key == "refused" and seen.count(key) == 1:
            raise ApiError(409, "Conflict", "changed meanwhile")
        if key == "broken" and seen.count(key) == 1:
            raise ZeroDivisionError

    worker = Worker("test", process, retry_seconds=0.01)
    for key in ("refused", "broken", "fine"):
        worker.add(key)
    async with running(worker):
        await until(lambda: seen.count("refused") == 2 and seen.count("broken") == 2)
    assert seen[:3] == ["refused", "broken", "fine"]


async def test_work_may_add_work():
    seen = []

    def process(number):
        seen.append(number)
        if number < 200:
            worker.add(number + 1)

    worker = Worker("test", process)
    worker.add(0)
    async with running(worker):
        await until(lambda: len(seen) == 201)
