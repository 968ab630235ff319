"""Blocking work beside the event loop, for `artifacts`, `loading` and others.

Work on the agent's own disk and on /proc shares a few threads of the event loop. Work on other volumes may
hang for ever, as on a file server that is away: it gets a thread of its own each time, so that it stops no
other work.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_GRACE_SECONDS = 5.0


class WorkHangs(Exception):  # noqa: N818 - a state of the world
    """Work did not end in time, or was not begun because of earlier work that hangs; the text says which."""


class HangingWork:
    """Work that may hang, each in a thread of its own. At most `most` threads that hang are left behind, each
    `grace` seconds after it was told to stop."""

    def __init__(self, most: int, grace: float = _GRACE_SECONDS) -> None:
        self._most, self._grace = most, grace
        self.hanging = 0

    async def run(self, function: Callable[[], T], stop: Callable[[], None], seconds: float) -> T:
        """Runs a function, and calls `stop` where it does not end in time, or is cancelled. Raises WorkHangs.

        Work that goes on although it was told to stop is left behind: it must do nothing more once it can.
        """
        if self.hanging >= self._most:
            raise WorkHangs(f"was not begun: {self.hanging} earlier ones hang")
        ended = _in_thread_of_its_own(function)
        try:
            await asyncio.wait([ended], timeout=seconds)
            if ended.done():
                return ended.result()
            raise WorkHangs(f"did not end within {seconds:.0f} s")
        finally:
            if not ended.done():
                stop()
                await self._leave(ended)

    async def _leave(self, ended: asyncio.Future[T]) -> None:
        """Waits a little for work that was told to stop; the result of such work is dropped."""
        self.hanging += 1

        def seen(future: asyncio.Future[T]) -> None:
            self.hanging -= 1
            future.exception()

        ended.add_done_callback(seen)
        await asyncio.wait([ended], timeout=self._grace)


def _in_thread_of_its_own(function: Callable[[], T]) -> asyncio.Future[T]:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        tell: tuple[Callable[[Any], None], Any]
        try:
            tell = ended.set_result, function()
        except Exception as error:
            tell = ended.set_exception, error
        with suppress(RuntimeError):  # the process ends
            loop.call_soon_threadsafe(*tell)

    # A daemon, so that one that hangs does not keep the process from its end.
    threading.Thread(target=run, daemon=True, name="work that may hang").start()
    return ended


async def in_thread(function: Callable[..., T], *args: object) -> T:
    """Runs a function in a thread and returns when it has ended, also when cancelled: a thread that still
    writes must not outlive the call that clears up after it."""
    future = asyncio.get_running_loop().run_in_executor(None, function, *args)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # seen: the cancellation is what counts
        raise
