"""Counts the turns of the event loop while a test's block runs, to see that long work leaves it to others."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(slots=True)
class LoopTurns:
    """The turns since the block began."""

    count: int = 0

    async def follow(self) -> None:
        """Counts until cancelled."""
        while True:
            await asyncio.sleep(0)
            self.count += 1


@asynccontextmanager
async def loop_turns() -> AsyncIterator[LoopTurns]:
    """Yields the turns, which are counted while the block runs."""
    found = LoopTurns()
    async with asyncio.TaskGroup() as group:
        counting = group.create_task(found.follow())
        await asyncio.sleep(0)
        yield found
        counting.cancel()
