"""What a scheduler says of its namespace while it works."""

from __future__ import annotations

from tests.support.loop_turns import loop_turns
from tests.support.waiting import until, until_true

from bailie.control.usage import SLICE
from bailie.routing.requests import RecentRequests

COUNT = 4 * SLICE


async def _knows(scheduler, count):
    return len((await scheduler.usage("") or {}).get("models", ())) == count


async def test_how_all_models_are_used_is_said_while_the_loop_goes_on(namespace):
    """Counted in turns of the loop: at once, the answer about 5,000 Models held it for 650 ms."""
    namespace.server()
    for number in range(COUNT):
        namespace.model(f"model-{number:03}")
    async with namespace.scheduler() as scheduler:
        await until_true(lambda: _knows(scheduler, COUNT))
        namespace.publisher.recent = {"model-007": RecentRequests(per_second=3.0)}
        async with loop_turns() as turns:
            told = await scheduler.usage(namespace.name)
        assert turns.count >= COUNT / SLICE
        assert [row["model"] for row in told["models"]] == [f"model-{number:03}" for number in range(COUNT)]
        assert told["models"][7] == await scheduler.usage(f"{namespace.name}/model-007")
        assert told["models"][7]["requestsPerSecond"] == 3.0
        assert await scheduler.usage("elsewhere") is None
    assert await scheduler.usage("") is None


async def test_a_look_at_the_load_that_raises_does_not_end_the_scheduling(namespace):
    namespace.server()
    namespace.model(metadata={"annotations": {"bailie.io/scale": "rps=10"}}, maxReplicas=3)
    asked = []

    def totals(names):
        asked.append(names)
        raise ZeroDivisionError("a mistake of our own")

    namespace.publisher.totals = totals
    former = namespace.publisher
    async with namespace.scheduler():
        await until(lambda: namespace.publisher is not former)
        namespace.publisher.totals = totals
        await until(lambda: asked, seconds=30.0)
        namespace.model("late")
        await until(lambda: namespace.condition("ModelReady", "late"), seconds=30.0)
