"""Waiting in tests: for a condition, with a deadline, never for a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def until(condition: Callable[[], T], *, seconds: float = 10.0) -> T:
    """Returns the first true value of `condition`; fails with its last value when the deadline passes."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (found := condition()):
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"still {found!r} after {seconds:g}s: {condition}")
        await asyncio.sleep(0.01)
    return found
