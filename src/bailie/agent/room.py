"""The inference server's memory, given out to models: who may be loaded now, and who must leave for it.

`loading` enters a version before it is loaded and `models` takes it out again. Only a replica with overcommit
makes anybody wait: without, placement has given out no more than there is, and everything enters at once.
First come, first served: one that needs much is not overtaken for ever by others that need little. Only
while a load under way takes the room that it needs, and nobody's leaving could help, others go before it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.placement import Resident, choose_evictions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(slots=True)
class _Guest:
    """A version in memory, or on its way there. `settled`: it is loaded; `leaving`: told to go."""

    size: int
    used_at: float
    settled: bool = False
    leaving: bool = False


@dataclass(slots=True)
class _Waiting:
    name: str
    size: int
    admitted: asyncio.Future[None]


class Room:
    """One server's memory. `capacity_bytes` None: nobody waits and nobody is sent away."""

    def __init__(self, capacity_bytes: int | None) -> None:
        self._capacity = capacity_bytes
        self._guests: dict[str, _Guest] = {}
        self._queue: deque[_Waiting] = deque()
        self._ask_to_leave: Callable[[Iterable[str]], None] = lambda _: None
        self._is_busy: Callable[[str], bool] = lambda _: False

    def govern(self, ask_to_leave: Callable[[Iterable[str]], None], is_busy: Callable[[str], bool]) -> None:
        """Says who sends versions away, and which of them may not leave now."""
        self._ask_to_leave, self._is_busy = ask_to_leave, is_busy

    async def enter(self, name: str, size: int) -> None:
        """Waits until there is room for the version and keeps it; call `settle` or `leave` afterwards."""
        waiting = _Waiting(name, size, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self.arrange()
        try:
            await waiting.admitted
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
            self.leave(name)
            raise

    def settle(self, name: str, size: int) -> None:
        """The version is loaded, and this is its size by now."""
        self._guests[name] = _Guest(size, _now(), settled=True)
        self.arrange()

    def leave(self, name: str) -> None:
        """The version is not in memory any more, or never came there."""
        self._guests.pop(name, None)
        self.arrange()

    def use(self, names: Iterable[str]) -> None:
        """The versions were asked for just now."""
        for name in names:
            if name in self._guests:
                self._guests[name].used_at = _now()

    def arrange(self) -> None:
        """Lets in who fits, and sends away the least recently used for those who do not."""
        while (able := self._able()) and self._fits(able[0].size):
            waiting = able[0]
            self._queue.remove(waiting)
            if not waiting.admitted.done():
                self._guests[waiting.name] = _Guest(waiting.size, _now())
                waiting.admitted.set_result(None)
        leaving = self._to_leave(able) if able else ()
        for name in leaving:
            self._guests[name].leaving = True
        if leaving:
            self._ask_to_leave(leaving)

    def _able(self) -> list[_Waiting]:
        """Returns those that can be let in once enough of those that may leave have left."""
        arriving = sum(guest.size for guest in self._guests.values() if not guest.settled)
        if self._capacity is None or not arriving:
            return list(self._queue)
        return [each for each in self._queue if each.size <= max(self._capacity - arriving, 0)]

    def _fits(self, size: int) -> bool:
        """One that is larger than all of the memory has it to itself; that it is so was not known before."""
        used = sum(guest.size for guest in self._guests.values())
        return self._capacity is None or size == 0 or used == 0 or used + size <= self._capacity

    def _to_leave(self, able: list[_Waiting]) -> tuple[str, ...]:
        """For everybody who can come in at once, as far as they fit in beside each other."""
        assert self._capacity is not None  # noqa: S101 - else nobody waits
        wanted = min(sum(waiting.size for waiting in able), self._capacity)
        wanted = max(wanted, able[0].size)
        staying = sum(guest.size for guest in self._guests.values() if not guest.leaving)
        residents = [
            Resident(name=name, memory_bytes=guest.size, used_at=guest.used_at, busy=self._is_busy(name))
            for name, guest in self._guests.items()
            if guest.settled and not guest.leaving
        ]
        return choose_evictions(residents, wanted + staying - self._capacity)


def _now() -> float:
    return asyncio.get_running_loop().time()
