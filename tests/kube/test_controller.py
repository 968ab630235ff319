"""The controller loop: retries, deadlines, requeueing and what it says."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from tests.support.waiting import DEADLINE

from bailie.kube.backoff import Backoff
from bailie.kube.controller import Controller, Result
from bailie.kube.errors import Conflict, Unreachable


async def run_until(controller, condition, seconds=DEADLINE):
    """Runs the controller until the event is set."""
    async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
        task = group.create_task(controller.run())
        await condition.wait()
        task.cancel()


@pytest.mark.parametrize(
    ("error", "level"),
    [(ValueError("bug"), "error"), (Unreachable("api away"), "warning"), (Conflict("stale"), "debug")],
    ids=["bug", "world", "conflict"],
)
async def test_a_failure_is_logged_once_with_its_key_and_tried_again(error, level):
    done = asyncio.Event()
    calls = []

    async def reconcile(key):
        calls.append(key)
        if len(calls) == 1:
            raise error
        done.set()

    controller = Controller("test", reconcile)
    controller.enqueue("a")
    with structlog.testing.capture_logs() as logs:
        await run_until(controller, done)
    assert calls == ["a", "a"]
    assert [(entry["log_level"], entry["key"]) for entry in logs] == [(level, "a")]
    assert controller.queue.retry("a") <= Backoff().initial, "the success ended the back-off"


async def test_a_reconcile_that_hangs_meets_its_deadline_and_others_go_on():
    done = asyncio.Event()
    hung: list[str] = []

    async def reconcile(key):
        if key == "stuck" and not hung:
            hung.append(key)
            await asyncio.sleep(3600)
        elif key == "stuck":
            done.set()

    controller = Controller("test", reconcile, workers=1, deadline=0.02)
    controller.enqueue("stuck")
    with structlog.testing.capture_logs() as logs:
        await run_until(controller, done)
    assert [entry["error"] for entry in logs] == ["not done after 0.02 s"]


async def test_a_result_asks_for_the_key_again():
    done = asyncio.Event()
    calls = []

    async def reconcile(key):
        calls.append(key)
        if len(calls) == 3:
            done.set()
        return Result(requeue_after=0.01)

    controller = Controller("test", reconcile)
    controller.queue.add_after("a", 0.01)
    await run_until(controller, done)
    assert calls == ["a"] * 3
