"""The key queue: at most once, one worker per key, nothing lost."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from bailie.kube.backoff import Backoff
from bailie.kube.queue import KeyQueue


async def test_a_key_added_twice_comes_once():
    queue: KeyQueue[str] = KeyQueue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_while_worked_on_comes_again_after_done():
    queue: KeyQueue[str] = KeyQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"


async def test_the_sooner_of_two_delays_counts():
    queue: KeyQueue[str] = KeyQueue()
    queue.add_after("a", 60)
    queue.add_after("a", 0.01)
    queue.add_after("a", 60)
    async with asyncio.timeout(60):
        assert await queue.get() == "a"
    queue.close()


async def test_an_add_replaces_the_delayed_one():
    queue: KeyQueue[str] = KeyQueue()
    queue.add_after("a", 0.02)
    queue.add("a")
    assert await queue.get() == "a"
    queue.done("a")
    queue.add_after("b", 0.04)
    assert await queue.get() == "b"
    assert len(queue) == 0


async def test_failures_back_off_until_forgotten():
    queue: KeyQueue[str] = KeyQueue(Backoff(initial=1, factor=2, maximum=5, jitter=0))
    assert [queue.retry("a") for _ in range(4)] == [1, 2, 4, 5]
    queue.forget("a")
    assert queue.retry("a") == 1
    queue.close()


@settings(deadline=None, max_examples=200)
@given(
    script=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=40),
    durations=st.lists(st.integers(0, 4), min_size=1, max_size=10),
    workers=st.integers(1, 4),
)
def test_one_worker_per_key_and_a_look_after_every_add(script, durations, workers):
    """Whatever the timing: never two workers on a key; work on it starts after each add."""
    asyncio.run(_play(script, durations, workers))


async def _play(script, durations, workers):
    queue: KeyQueue[str] = KeyQueue()
    wanted = dict.fromkeys("abc", 0)
    seen = dict.fromkeys("abc", 0)
    busy = set()

    async def work(index):
        turn = index
        while True:
            key = await queue.get()
            assert key not in busy
            busy.add(key)
            seen[key] = wanted[key]
            for _ in range(durations[turn % len(durations)]):
                await asyncio.sleep(0)
            turn += 1
            busy.discard(key)
            queue.done(key)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work(index)) for index in range(workers)]
        for key, pause in script:
            wanted[key] += 1
            queue.add(key)
            for _ in range(pause):
                await asyncio.sleep(0)
        while len(queue) or busy:  # noqa: ASYNC110 - turns of the loop are what is tested
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
    assert seen == wanted
