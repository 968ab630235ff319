"""Places for work that strangers ask for: so many at a time, shared fairly by groups, and in each by callers.

Used by `greetings` and `envoy_calls`, whose groups are namespaces and whose callers are addresses, and by
`health`, whose groups are addresses. A caller keeps a place for a few seconds at most, and waits longer than
that for one: so no caller waits in vain for places that others fill again and again.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

ANYONE = ""
"""A caller who is many: an address from which several processes call."""


class NoTurn(Exception):  # noqa: N818 - what becomes of a call
    """No place became free in time for a call."""


@dataclass(slots=True)
class _CallerPlaces:
    """The places of one caller, and its calls that wait, in the order in which they came."""

    taken: int = 0
    waiting: dict[asyncio.Future[None], None] = field(default_factory=dict)


@dataclass(slots=True)
class _GroupPlaces:
    """The places of one group, and its callers: the one that got no place for longest comes first."""

    taken: int = 0
    callers: dict[str, _CallerPlaces] = field(default_factory=dict)


class Places:
    """So many places in all. A group has at most as many as it leaves free, and in a group a caller has at
    most as many as it leaves to the others of the group, but for `ANYONE`.

    Others wait. A place that becomes free goes to the group that has fewest, in it to the caller that has
    fewest, and among equals to the one that got none for longest.
    """

    def __init__(self, whole: int, most_waiting: int = 1_000) -> None:
        """Takes how many calls of one caller may wait; one more gets no turn."""
        self._free, self._most_waiting = whole, most_waiting
        self._groups: dict[str, _GroupPlaces] = {}

    @asynccontextmanager
    async def place(self, group: str, caller: str, seconds: float) -> AsyncIterator[None]:
        """Keeps a place while the block runs.

        Raises NoTurn, before the block, where there was none within so many seconds.
        """
        if self._may(group, caller):
            self._take(group, caller)
        else:
            await self._turn(group, caller, seconds)
        try:
            yield
        finally:
            self._give(group, caller)

    def _may(self, group: str, caller: str) -> bool:
        """Says whether a caller may have one more place."""
        of_group = self._groups.get(group) or _GroupPlaces()
        of_caller = of_group.callers.get(caller) or _CallerPlaces()
        # Each place that the group takes is one less that is free, and one more that it is to leave.
        left = (self._free - of_group.taken + 1) // 2
        return left > (0 if caller == ANYONE else of_caller.taken)

    def _known(self, group: str, caller: str) -> tuple[_GroupPlaces, _CallerPlaces]:
        of_group = self._groups.setdefault(group, _GroupPlaces())
        return of_group, of_group.callers.setdefault(caller, _CallerPlaces())

    def _take(self, group: str, caller: str) -> None:
        of_group, of_caller = self._known(group, caller)
        self._free -= 1
        of_group.taken += 1
        of_caller.taken += 1
        # Behind the others that have as many.
        self._groups[group] = self._groups.pop(group)
        of_group.callers[caller] = of_group.callers.pop(caller)

    def _give(self, group: str, caller: str) -> None:
        of_group, of_caller = self._known(group, caller)
        self._free += 1
        of_group.taken -= 1
        of_caller.taken -= 1
        self._forget(group, caller)
        self._hand_on()

    def _hand_on(self) -> None:
        """Gives free places to those who wait and may have them."""
        while (found := self._next()) is not None:
            following, turn = found
            self._take(*following)
            turn.set_result(None)

    def _forget(self, group: str, caller: str) -> None:
        """Forgets a caller, and a group, that neither has a place nor waits for one."""
        of_group, of_caller = self._known(group, caller)
        if not of_caller.taken and not of_caller.waiting:
            del of_group.callers[caller]
        if not of_group.callers:
            del self._groups[group]

    def _next(self) -> tuple[tuple[str, str], asyncio.Future[None]] | None:
        """Returns who gets the next place, and takes its call out of those that wait; None for nobody."""
        if not self._free:
            return None
        for group in _fewest_first(self._groups):
            callers = self._groups[group].callers
            for caller in _fewest_first(callers):
                line = callers[caller].waiting
                while line and self._may(group, caller):
                    turn = next(iter(line))
                    del line[turn]
                    if not turn.done():  # else the call is about to leave
                        return (group, caller), turn
        return None

    async def _turn(self, group: str, caller: str, seconds: float) -> None:
        """Waits until a place is taken for a call. Raises NoTurn."""
        line = self._known(group, caller)[1].waiting
        if len(line) >= self._most_waiting:
            raise NoTurn
        turn = asyncio.get_running_loop().create_future()
        line[turn] = None
        try:
            async with asyncio.timeout(seconds):
                await turn
        except TimeoutError:
            self._leave(group, caller, turn)
            raise NoTurn from None
        except asyncio.CancelledError:
            self._leave(group, caller, turn)
            raise

    def _leave(self, group: str, caller: str, turn: asyncio.Future[None]) -> None:
        """Takes a call out of those that wait; or gives its place back, which came just then."""
        if turn.done() and not turn.cancelled():
            self._give(group, caller)
            return
        self._known(group, caller)[1].waiting.pop(turn, None)
        self._forget(group, caller)
        self._hand_on()


def _fewest_first(known: Mapping[str, _CallerPlaces | _GroupPlaces]) -> Iterable[str]:
    """Returns the names of those that may be next: one without a place waits, and comes before all that have
    some, who are no more than there are places."""
    without = next((name for name, each in known.items() if not each.taken), None)
    return (without,) if without is not None else sorted(known, key=lambda name: known[name].taken)
