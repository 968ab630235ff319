"""Runs work that yields between its slices, so that others have the event loop between them.

Used by `ads` to read the reports of Envoys, and by `publisher` to add them up.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator

_Result = TypeVar("_Result")


async def sliced(slices: Generator[None, None, _Result]) -> _Result:
    """Returns the result of the work, which ends between two slices where the caller is cancelled."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            result: _Result = end.value
            return result
        await asyncio.sleep(0)


async def whole(slices: Generator[None, None, _Result]) -> _Result:
    """Returns the result of the work, which is not left half done: a caller who is cancelled meanwhile is so
    at its end."""
    cancelled: asyncio.CancelledError | None = None
    while True:
        try:
            next(slices)
        except StopIteration as end:
            if cancelled is not None:
                raise cancelled from None
            result: _Result = end.value
            return result
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            cancelled = error
