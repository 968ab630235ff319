"""The queues of downloads and loads, by the decisions of `load_order`. `loading` takes a turn for each.

A load that waits, or takes long, reports this again and again in a sentence, for the Model's status.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - dataclasses read their annotations
from typing import TYPE_CHECKING

from bailie.agent.load_order import LoadLimits, LoadVerdict, Rank, UnderWay, verdict, wait_seconds
from bailie.api.texts import abridged
from bailie.kube.clock import utc_now
from bailie.wellknown.versions import model_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    Say = Callable[[str], None]

TELL_SECONDS = 2.0
"""A load that waits or works for longer than this reports it."""
TELL_AGAIN_SECONDS = 10.0
NAMED = 3
"""A report names at most so many of the loads that are waited for."""


@dataclass(eq=False, slots=True)
class Turn:
    """A load that is under way. `at_work`: the server is loading it, since `worked_from`.

    `alone`: the server was loading no other version meanwhile. `company`: the times at which the other loads
    began that were at work when the server ended.
    """

    server_name: str
    rank: Rank
    begun: float
    since: datetime
    at_work: bool = False
    worked_from: float = 0.0
    alone: bool = True
    company: tuple[float, ...] | None = None


@dataclass(order=True, slots=True)
class _QueuedLoad:
    rank: Rank
    number: float
    server_name: str
    admitted: asyncio.Future[Turn] = field(
        compare=False, default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class LoadQueue:
    """The turns of one kind of work; `doing` names it: `downloading`, `loading`."""

    def __init__(self, limits: LoadLimits, doing: str) -> None:
        self._limits = limits
        self._doing = doing
        self._under_way: set[Turn] = set()
        self._waiting: list[_QueuedLoad] = []
        self._numbers = itertools.count(1)
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(
        self, server_name: str, rank: Rank, say: Say, *, suspected_from: float = 0.0
    ) -> AsyncIterator[Turn]:
        """Waits for a turn and keeps it while the block runs.

        `say` is called with a sentence that says why the load waits or takes long. Of several suspects the
        load that began last before the server ended, at `suspected_from`, is the likeliest cause and goes
        first.
        """
        number = -suspected_from if rank is Rank.SUSPECT else next(self._numbers)
        turn = await self._admitted(_QueuedLoad(rank, number, server_name), say)
        told = f"{self._doing} since {turn.since:%H:%M:%SZ}"
        try:
            with said_after(say, told, TELL_AGAIN_SECONDS):
                yield turn
        finally:
            self._under_way.remove(turn)
            self._arrange()

    def begin(self, turn: Turn) -> None:
        """Notes that the server begins the load. From here on a crash of the server may be this load's
        doing."""
        others = [each for each in self._under_way if each.at_work]
        turn.at_work, turn.alone = True, not others
        turn.worked_from = asyncio.get_running_loop().time()
        for each in others:
            each.alone = False

    def judge(self, turn: Turn) -> LoadVerdict:
        """Says whether a load that failed when the server ended is to blame for that end.

        The loads under way learn of the end one after the other; the first of them notes the company of all.
        """
        if turn.company is None:
            there = [each for each in self._under_way if each.at_work]
            for one in there:
                one.company = tuple(each.worked_from for each in there if each is not one)
        return verdict(turn.worked_from, turn.company or ())

    async def _admitted(self, waiting: _QueuedLoad, say: Say) -> Turn:
        heapq.heappush(self._waiting, waiting)
        self._arrange()
        delay = TELL_SECONDS
        try:
            while not waiting.admitted.done():
                await asyncio.wait([waiting.admitted], timeout=delay)
                if not waiting.admitted.done():
                    say(f"waits for {self._whom()}")
                    delay = TELL_AGAIN_SECONDS
        except asyncio.CancelledError:
            self._leave(waiting)
            raise
        return waiting.admitted.result()

    def _leave(self, waiting: _QueuedLoad) -> None:
        if waiting.admitted.done():
            self._under_way.remove(waiting.admitted.result())
        else:
            waiting.admitted.cancel()  # `_arrange` takes it off the queue when it is the first
        self._arrange()

    def _arrange(self) -> None:
        """Begins the loads whose time has come, and sets a timer for the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while self._waiting:
            first, now = self._waiting[0], loop.time()
            if first.admitted.cancelled():
                heapq.heappop(self._waiting)
                continue
            under_way = [UnderWay(each.rank, each.begun) for each in self._under_way]
            seconds = wait_seconds(first.rank, under_way, now, self._limits)
            if seconds > 0:
                self._timer = loop.call_later(seconds, self._arrange)
                return
            heapq.heappop(self._waiting)
            turn = Turn(first.server_name, first.rank, now, utc_now())
            self._under_way.add(turn)
            first.admitted.set_result(turn)

    def _whom(self) -> str:
        """Names the loads under way, the oldest first."""
        oldest = sorted(self._under_way, key=lambda each: each.begun)
        named = [
            f"{model_of(each.server_name)}, which has been {self._doing} since {each.since:%H:%M:%SZ}"
            for each in oldest
        ]
        return abridged(named, NAMED, "; ")


@contextmanager
def said_after(say: Say, text: str, seconds: float = TELL_SECONDS) -> Iterator[None]:
    """Calls `say` with the text after so many seconds, unless the block has ended by then."""
    telling = asyncio.get_running_loop().call_later(seconds, say, text)
    try:
        yield
    finally:
        telling.cancel()
