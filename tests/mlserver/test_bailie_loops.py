"""What a loop of its own does for calls: where they run, how they end, and what comes back."""

import asyncio
import contextvars
import sqlite3
import threading
import time

import pytest

from bailie.mlserver.bailie_loops import LoopClosed, ModelLoop

NAME = contextvars.ContextVar("name", default="")


@pytest.fixture
async def loop():
    loop = ModelLoop("m")
    yield loop
    loop.close()
    await ended(loop)


async def ended(loop):
    async with asyncio.timeout(10):
        while not loop.ended:  # noqa: ASYNC110 - a thread's state
            await asyncio.sleep(0.01)


async def silent(loop, ticks):
    """Ticks, faster than in a second, until the loop has been silent for so many."""
    async with asyncio.timeout(10):
        while loop.silent_ticks < ticks:
            loop.tick()
            await asyncio.sleep(0.05)


async def here():
    return threading.current_thread().name


async def test_calls_run_in_one_thread_with_the_callers_variables(loop):
    NAME.set("iris")

    async def name():
        return NAME.get(), asyncio.get_running_loop(), await here()

    first, second = await asyncio.gather(loop.run(name), loop.run(name))
    assert first == second
    assert (first[0], first[2]) == ("iris", "model m")
    assert first[1] is not asyncio.get_running_loop()


async def test_a_call_from_within_is_a_call_like_any_other(loop):
    async def outer():
        return await loop.run(here)

    assert await loop.run(outer) == "model m"


class Own(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize(
    ("raised", "comes"),
    [
        (KeyError("x"), KeyError),
        (Own("x"), Own),
        (sqlite3.OperationalError("x"), sqlite3.OperationalError),
        (StopAsyncIteration(), StopAsyncIteration),
        (StopIteration(), RuntimeError),
        (SystemExit(3), RuntimeError),
        (KeyboardInterrupt(), RuntimeError),
        (asyncio.CancelledError(), RuntimeError),
        (TimeoutError(), TimeoutError),
    ],
)
async def test_what_is_raised_comes_back_and_the_loop_goes_on(loop, raised, comes):
    async def fail():
        raise raised

    with pytest.raises(comes):
        await loop.run(fail)
    assert await loop.run(here) == "model m"


async def test_what_cannot_be_awaited_fails_as_ever(loop):
    with pytest.raises(TypeError):
        await loop.run(lambda: 5)


async def test_cancellation_is_passed_on(loop):
    told, begun = threading.Event(), threading.Event()

    async def wait():
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            told.set()
            raise

    waiting = asyncio.get_running_loop().create_task(loop.run(wait))
    assert await asyncio.to_thread(begun.wait, 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(told.wait, 10)
    assert loop.waiting == 0


async def test_what_was_cancelled_behind_another_call_never_begins(loop):
    release, ran = threading.Event(), []

    async def block():
        release.wait(10)

    async def note():
        ran.append(1)

    blocking = asyncio.get_running_loop().create_task(loop.run(block))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(loop.run(note), 0.05)
    release.set()
    await blocking
    await loop.run(here)
    assert ran == []


async def numbers(received):
    NAME.set("there")
    async with asyncio.timeout(30):  # its end must be in the task of its beginning
        async for number in received:
            yield number, NAME.get(), await here()


async def counted(to, seen):
    for number in range(to):
        seen.append((number, await here()))
        yield number


async def test_a_stream_runs_there_and_reads_here(loop):
    seen = []
    answers = [each async for each in loop.stream(numbers, counted(5, seen))]
    assert answers == [(number, "there", "model m") for number in range(5)]
    assert seen == [(number, "MainThread") for number in range(5)]


async def test_a_stream_that_nobody_reads_any_more_ends(loop):
    ended_there = threading.Event()

    async def endless(received):
        try:
            while True:
                yield await here()
        finally:
            ended_there.set()

    stream = loop.stream(endless, counted(1, []))
    async for answer in stream:
        assert answer == "model m"
        break
    await stream.aclose()
    assert await asyncio.to_thread(ended_there.wait, 10)


async def test_a_stream_that_fails_says_so_after_what_it_said(loop):
    async def failing(received):
        yield 1
        raise Own

    stream = loop.stream(failing, counted(1, []))
    assert await anext(stream) == 1
    with pytest.raises(Own):
        await anext(stream)


async def test_a_loop_that_waits_is_not_silent(loop):
    waiting = asyncio.get_running_loop().create_task(loop.run(asyncio.sleep, 2.5))
    for _ in range(20):
        loop.tick()
        await asyncio.sleep(0.1)
        assert loop.silent_ticks < 5
    await waiting


def until(told):
    while not told.is_set():
        pass


@pytest.mark.parametrize("keep", ["time.sleep(4)", "until(told)"])
async def test_a_silent_loop_is_abandoned_and_python_code_in_it_ends(keep):
    loop, told, ran = ModelLoop("m"), threading.Event(), []

    async def hang():
        eval(keep, {"time": time, "until": until, "told": told})

    async def note():
        ran.append(1)

    calls = [asyncio.get_running_loop().create_task(loop.run(each)) for each in (hang, note)]
    await asyncio.sleep(1.1)
    await silent(loop, 3)
    loop.abandon(Own())
    for error in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(error, Own)
    await ended(loop)
    assert ran == []
    with pytest.raises(LoopClosed):
        await loop.run(here)


async def test_a_loop_is_stuck_while_its_thread_does_not_end():
    loop, begun, release = ModelLoop("m"), threading.Event(), threading.Event()

    async def hang():
        begun.set()
        release.wait(20)

    hanging = asyncio.get_running_loop().create_task(loop.run(hang))
    assert await asyncio.to_thread(begun.wait, 10)
    hanging.cancel()
    loop.close()
    await silent(loop, 5)
    assert (loop.stuck, loop.ended) == (True, False)
    release.set()
    await ended(loop)


async def test_calls_under_way_come_to_their_end_after_close():
    loop = ModelLoop("m")
    waiting = asyncio.get_running_loop().create_task(loop.run(asyncio.sleep, 0.3, "done"))
    await asyncio.sleep(0.05)
    loop.close()
    with pytest.raises(LoopClosed):
        await loop.run(here)
    assert await waiting == "done"
    await ended(loop)


async def test_what_a_model_began_ends_with_its_loop():
    loop, told, tasks = ModelLoop("m"), threading.Event(), []

    async def background():
        try:
            await asyncio.sleep(60)
        finally:
            told.set()

    async def load():
        tasks.append(asyncio.get_running_loop().create_task(background()))
        await asyncio.sleep(0)

    await loop.run(load)
    loop.close()
    await ended(loop)
    assert told.is_set()


async def test_a_thread_that_a_model_ends_is_silent(loop):
    async def load():
        asyncio.get_running_loop().call_soon(exit_now)

    await loop.run(load)
    await silent(loop, 3)
    with pytest.raises(LoopClosed):
        await loop.run(here)


def exit_now():
    raise SystemExit
