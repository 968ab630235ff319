"""The ends of the runs of one gateway: one timer for all of them, since nearly all may take the same time.

Kept by `engine`, told by `pipeline_run`. A timer for each run would be a tenth of a request's processor time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from bailie.dataflow.events import TimeOut

if TYPE_CHECKING:
    from bailie.dataflow.events import Event


class TimedRun(Protocol):
    """The part of a run that its end needs."""

    def take(self, event: Event) -> None:
        """Tells the run what has happened."""
        ...


class Deadlines:
    """The runs that may take `seconds` and have not ended, in the order of their beginning."""

    def __init__(self, seconds: float) -> None:
        """Begins without a run."""
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._ends: dict[TimedRun, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, run: TimedRun) -> float:
        """Gives a run a TimeOut when its time is over, unless it has ended; returns the loop's moment."""
        end = self._ends[run] = self._loop.time() + self.seconds
        if self._timer is None:
            self._timer = self._loop.call_at(end, self._tell)
        return end

    def forget(self, run: TimedRun) -> None:
        """Lets go of a run that has ended."""
        self._ends.pop(run, None)

    def _tell(self) -> None:
        now = self._loop.time()
        for run in [run for run, end in self._ends.items() if end <= now]:
            if self._ends.pop(run, None) is not None:  # else the end of another one has ended it
                run.take(TimeOut())
        first = next(iter(self._ends.values()), None)
        self._timer = None if first is None else self._loop.call_at(first, self._tell)
