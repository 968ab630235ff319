"""Waiting in tests: for a condition, with a deadline, never for a time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

DEADLINE = 30.0
"""Seconds. Bounds a failure only, so it is far longer than anything takes on a busy machine."""
_RARE = 0.1
"""Seconds between two looks that cost a request each."""
_TIMES = 20
"""A pause is so many times as long as the processor time of the look before it, or looks over HTTP would take
the processors from what is waited for."""


async def until(condition: Callable[[], T], *, seconds: float = DEADLINE) -> T:
    """Returns the first true value of `condition`; fails with its last value when the deadline passes.

    The seconds are the machine's, also where those of the event loop are shorter (`timelapse`).
    """
    deadline = time.monotonic() + seconds
    while True:
        begun = time.thread_time()
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"still {found!r} after {seconds:g}s: {condition}")
        await asyncio.sleep(min(max(0.01, _TIMES * (time.thread_time() - begun)), _RARE))


def until_blocking(
    condition: Callable[[], T], *, seconds: float = DEADLINE, pause: float = 0.02, what: str = ""
) -> T:
    """The same for tests without an event loop, whose other side runs in a thread or a process.

    `pause`: seconds between two looks; longer where a look costs processor time that the other side needs. A
    long wait has longer ones, too (`until_true`). `what` names the condition where the test is one of many
    that wait for the same function.
    """
    begun = time.monotonic()
    while not (found := condition()):
        waited = time.monotonic() - begun
        if waited > seconds:
            raise AssertionError(f"still {found!r} after {seconds:g}s: {what or condition}")
        time.sleep(max(pause, min(waited / 10, _RARE)))
    return found


async def until_true(condition: Callable[[], Awaitable[T]], *, seconds: float = DEADLINE) -> T:
    """As `until`, for a condition that has to be awaited.

    Such a condition asks an API or a server: the longer the wait, the rarer the looks, up to `_RARE` seconds
    apart, so that they do not take the processor time from what is waited for.
    """
    now = asyncio.get_running_loop().time
    begun = now()
    while not (found := await condition()):
        waited = now() - begun
        if waited > seconds:
            raise AssertionError(f"still {found!r} after {seconds:g}s: {condition}")
        await asyncio.sleep(min(max(0.01, waited / 10), _RARE))
    return found
