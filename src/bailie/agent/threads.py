"""Blocking work beside the event loop, for `artifacts` and `loading`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def in_thread(
    function: Callable[..., T], *args: object, on_cancel: Callable[[], None] | None = None
) -> T:
    """Runs a function in a thread and returns when it has ended, also when cancelled: a thread that still
    writes must not outlive the call that clears up after it. `on_cancel` tells it to hurry."""
    future = asyncio.get_running_loop().run_in_executor(None, function, *args)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if on_cancel is not None:
            on_cancel()
        await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # seen: the cancellation is what counts
        raise
