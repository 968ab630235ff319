"""The scheduling loop of one namespace: pass after pass for as long as this scheduler leads.

Run by `namespace`. Every change wakes the one loop, so that many changes are one pass. The loop hands the
engine the present time, pauses whenever a pass has held the event loop for a while, and writes the engine's
notices into the log. Until the expected agents have reported, it makes no pass: nothing is commanded or
published.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from bailie.kube.callbacks import Callbacks

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from bailie.control.load_failures import Now
    from bailie.control.notices import Notice
    from bailie.control.pass_result import PassResult
    from bailie.placement import ReplicaId

log = structlog.get_logger(__name__)

SPACING_SECONDS = 0.01
"""Least time between two passes: changes that come together are decided together."""
RETRY_SECONDS = 1.0
"""Wait after a pass that raised."""
HOLD_SECONDS = 0.02
"""How long a pass may hold the event loop: reports, leases and data planes wait meanwhile."""


class Passes(Protocol):
    """The part of `control.engine.Engine` that the loop needs."""

    @property
    def result(self) -> PassResult:
        """The result of the last pass."""
        ...

    def missing(self, now: Now) -> Mapping[ReplicaId, float]:
        """Returns the replicas that have not reported, each with the seconds to wait for it in all."""
        ...

    def steps(self, now: Now) -> Generator[None, None, float | None]:
        """Makes one pass, yielding between slices of the work.

        Returns the monotonic time at which the next pass is due; None where it is due at the next change.
        """
        ...


class SchedulingLoop:
    """Makes passes. `wake` may be called from any callback; `run` does the work."""

    def __init__(
        self, engine: Passes, clock: Callable[[], Now], reports: tuple[Callable[[PassResult], None], ...] = ()
    ) -> None:
        """Takes `reports`, which are called with the result of every pass."""
        self._engine = engine
        self._clock = clock
        self._report = Callbacks("results of passes", reports)
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Notes a change, so that there will be a pass."""
        self._changed.set()

    async def run(self) -> None:
        """Waits until the expected agents have reported, then decides on every change until cancelled."""
        while not await self._try_complete():
            self._changed.clear()
            await self._wait(self._clock().monotonic + RETRY_SECONDS)
            await asyncio.sleep(SPACING_SECONDS)
        while True:
            self._changed.clear()
            await self._wait(await self._try_pass())
            await asyncio.sleep(SPACING_SECONDS)

    async def _try_pass(self) -> float | None:
        """Makes a pass; returns when the next one is due, which is soon after a pass that raised.

        A bug must not end the loop: models that serve go on serving, and the pass is tried again.
        """
        try:
            return await self._considerate_pass()
        except Exception:
            log.exception("scheduling pass raised", again_in=RETRY_SECONDS)
            return self._clock().monotonic + RETRY_SECONDS

    async def _considerate_pass(self) -> float | None:
        """Makes a pass that lets other tasks run whenever it has held the event loop for HOLD_SECONDS."""
        now = self._clock()
        steps, begun = self._engine.steps(now), now.monotonic
        while True:
            try:
                next(steps)
            except StopIteration as end:
                deadline: float | None = end.value
                self._report(self._engine.result)
                return deadline
            if self._clock().monotonic - begun >= HOLD_SECONDS:
                await asyncio.sleep(0)
                begun = self._clock().monotonic

    async def _try_complete(self) -> bool:
        """Waits for the expected agents; returns False where that raised.

        As in a pass, a bug must not end the loop, and with it the other namespaces of this scheduler.
        """
        try:
            await self._complete()
        except Exception:
            log.exception("wait for agents raised", again_in=RETRY_SECONDS)
            return False
        return True

    async def _complete(self) -> None:
        """Waits for the expected agents, for each as long as the engine says."""
        begun = self._clock().monotonic
        while missing := self._engine.missing(self._clock()):
            end = begun + max(missing.values())
            if self._clock().monotonic >= end:
                log.warning("agents did not report in time", missing=sorted(map(str, missing)))
                return
            self._changed.clear()
            await self._wait(end)

    async def _wait(self, deadline: float | None) -> None:
        seconds = None if deadline is None else max(deadline - self._clock().monotonic, 0.0)
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return


def write_notice(notice: Notice) -> None:
    """Writes one notice of a pass into the log."""
    (log.warning if notice.warning else log.info)(notice.text, **notice.fields)
