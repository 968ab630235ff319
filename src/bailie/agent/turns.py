"""Who loads now and who waits, by the decisions of `order`. `loading` takes a turn for a download or a load.

One that waits, or takes long, says so in words again and again, for the Model's status.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - dataclasses read their annotations
from typing import TYPE_CHECKING

from bailie.agent.order import Limits, Rank, UnderWay, Verdict, verdict, wait_seconds
from bailie.kube.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    Say = Callable[[str], None]

TELL_SECONDS = 2.0
"""One that waits or works for longer than this says so."""
TELL_AGAIN_SECONDS = 10.0
NAMED = 3
"""So many of those that are waited for are named."""


@dataclass(eq=False, slots=True)
class Turn:
    """A load that is under way. `at_work`: since `begin`, at `worked_from`; `alone`: no other was meanwhile.

    `company`: when the others began that were at work when the server ended.
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
class _Waiting:
    rank: Rank
    number: float
    server_name: str
    admitted: asyncio.Future[Turn] = field(
        compare=False, default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Turns:
    """The turns of one kind. `doing` says of which: `downloading`, `loading`."""

    def __init__(self, limits: Limits, doing: str) -> None:
        self._limits = limits
        self._doing = doing
        self._under_way: set[Turn] = set()
        self._waiting: list[_Waiting] = []
        self._numbers = itertools.count(1)
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(
        self, server_name: str, rank: Rank, say: Say, *, suspected_from: float = 0.0
    ) -> AsyncIterator[Turn]:
        """Waits for a turn and has it while the block runs.

        `say` is told what is waited for, and what takes long. Of suspects the one that began last when the
        server ended, at `suspected_from`, is the likeliest culprit and comes first.
        """
        number = -suspected_from if rank is Rank.SUSPECT else next(self._numbers)
        turn = await self._admitted(_Waiting(rank, number, server_name), say)
        told = f"{self._doing} since {turn.since:%H:%M:%SZ}"
        try:
            with said_after(say, told, TELL_AGAIN_SECONDS):
                yield turn
        finally:
            self._under_way.remove(turn)
            self._arrange()

    def begin(self, turn: Turn) -> None:
        """The turn's work begins only here: what it does from now on cannot be told from others' doing."""
        others = [each for each in self._under_way if each.at_work]
        turn.at_work, turn.alone = True, not others
        turn.worked_from = asyncio.get_running_loop().time()
        for each in others:
            each.alone = False

    def judge(self, turn: Turn) -> Verdict:
        """Says what the server's end has to do with a load that failed of it.

        The loads under way learn of it one after the other: whoever is the first notes it for all.
        """
        if turn.company is None:
            there = [each for each in self._under_way if each.at_work]
            for one in there:
                one.company = tuple(each.worked_from for each in there if each is not one)
        return verdict(turn.worked_from, turn.company or ())

    async def _admitted(self, waiting: _Waiting, say: Say) -> Turn:
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

    def _leave(self, waiting: _Waiting) -> None:
        if waiting.admitted.done():
            self._under_way.remove(waiting.admitted.result())
        else:
            waiting.admitted.cancel()  # it leaves the queue when its time comes
        self._arrange()

    def _arrange(self) -> None:
        """Lets in whose time has come, and looks again when that of the next one comes."""
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
        """Names those under way, the one that has been so for the longest time first."""
        oldest = sorted(self._under_way, key=lambda each: each.begun)
        named = [
            f"{model_of(each.server_name)}, which has been {self._doing} since {each.since:%H:%M:%SZ}"
            for each in oldest[:NAMED]
        ]
        rest = len(oldest) - len(named)
        return "; ".join(named) + (f"; and {rest} more" if rest else "")


@contextmanager
def said_after(say: Say, text: str, seconds: float = TELL_SECONDS) -> Iterator[None]:
    """Says what takes so long where the block does not end before."""
    telling = asyncio.get_running_loop().call_later(seconds, say, text)
    try:
        yield
    finally:
        telling.cancel()


def model_of(server_name: str) -> str:
    """Returns the Model's name of a version."""
    return server_name.rpartition("_")[0]
