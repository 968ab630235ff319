"""The inference server's memory as a budget: it admits loads, and chooses evictions to make room for them.

`loading` reserves memory before a load, and `models` releases it again. Only on a replica with overcommit
does a load wait for memory: without overcommit the scheduler places no more than there is, and every
reservation is granted at once. First come, first served: small models do not overtake a large one for ever.
The exception: while a load that is under way occupies the memory that the first in the queue needs, and no
eviction could free it, later loads that fit go first. Hundreds of new models may be loaded one after the
other, for which nobody asks yet: versions that were asked for just now make room for one of them, and the
next one takes the place of that one.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.placement import Resident, choose_evictions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RECENT_SECONDS = 10.0
"""How long a version counts as one that is asked for: its uses are known two seconds late, or later where the
machine is busy."""


@dataclass(slots=True)
class _Reservation:
    """Memory of a version, in bytes. `loaded`: its load has ended; `evicting`: its eviction was asked for.

    `used_at` is the time of its load or of its last request, `asked_at` that of the request.
    """

    size: int
    used_at: float
    loaded: bool = False
    evicting: bool = False
    asked_at: float = -math.inf


@dataclass(slots=True)
class _Queued:
    """A load that waits for memory."""

    name: str
    size: int
    admitted: asyncio.Future[None]


class MemoryBudget:
    """One server's memory. With `capacity_bytes` None no load waits and no version is evicted."""

    def __init__(self, capacity_bytes: int | None) -> None:
        self._capacity = capacity_bytes
        self._reservations: dict[str, _Reservation] = {}
        self._queue: deque[_Queued] = deque()
        self._later: asyncio.TimerHandle | None = None
        self._evict: Callable[[Iterable[str]], None] = lambda _: None
        self._is_busy: Callable[[str], bool] = lambda _: False
        self._is_awaited: Callable[[str], bool] = lambda _: False

    def evict_by(
        self,
        evict: Callable[[Iterable[str]], None],
        is_busy: Callable[[str], bool],
        is_awaited: Callable[[str], bool],
    ) -> None:
        """Sets the function that begins evictions, and those that say which version may not be evicted and
        for which one requests wait."""
        self._evict, self._is_busy, self._is_awaited = evict, is_busy, is_awaited

    async def reserve(self, name: str, size: int) -> None:
        """Waits until there is memory for the version and reserves it; call `confirm` or `release`
        afterwards."""
        queued = _Queued(name, size, asyncio.get_running_loop().create_future())
        self._queue.append(queued)
        self.rebalance()
        try:
            await queued.admitted
        except asyncio.CancelledError:
            if queued in self._queue:
                self._queue.remove(queued)
            self.release(name)
            raise

    def confirm(self, name: str, size: int) -> None:
        """Notes that the version is loaded and takes `size` bytes."""
        self._reservations[name] = _Reservation(size, _now(), loaded=True)
        self.rebalance()

    def release(self, name: str) -> None:
        """Notes that the version is not in memory, because it has left or its load has failed."""
        self._reservations.pop(name, None)
        self.rebalance()

    def leave(self, names: Iterable[str]) -> None:
        """Notes that the eviction of versions is announced for another reason than memory."""
        for name in names:
            if name in self._reservations:
                self._reservations[name].evicting = True

    def touch(self, names: Iterable[str]) -> None:
        """Notes that the versions were used just now."""
        for name in names:
            if name in self._reservations:
                self._reservations[name].used_at = self._reservations[name].asked_at = _now()

    def rebalance(self) -> None:
        """Admits the loads that fit, and evicts the least recently used versions for those that do not."""
        while (candidates := self._candidates()) and self._fits(candidates[0].size):
            queued = candidates[0]
            self._queue.remove(queued)
            if not queued.admitted.done():
                self._reservations[queued.name] = _Reservation(queued.size, _now())
                queued.admitted.set_result(None)
        evictions = self._evictions(candidates) if candidates else ()
        for name in evictions:
            self._reservations[name].evicting = True
        if evictions:
            self._evict(evictions)
        if self._queue and self._later is None:  # versions that stayed may be asked for no more by then
            self._later = asyncio.get_running_loop().call_later(RECENT_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._later = None
        self.rebalance()

    def _candidates(self) -> list[_Queued]:
        """Returns the queued loads that fit once enough versions that may be evicted have been evicted."""
        loading = sum(each.size for each in self._reservations.values() if not each.loaded)
        if self._capacity is None or not loading:
            return list(self._queue)
        return [each for each in self._queue if each.size <= max(self._capacity - loading, 0)]

    def _fits(self, size: int) -> bool:
        """Says whether a load fits now. A version larger than all of the memory is loaded alone: its size
        was not known when the scheduler placed it."""
        used = sum(each.size for each in self._reservations.values())
        return self._capacity is None or size == 0 or used == 0 or used + size <= self._capacity

    def _evictions(self, candidates: list[_Queued]) -> tuple[str, ...]:
        """Returns the versions to evict for all candidates that fit into memory beside each other.

        Versions that were asked for just now leave only for candidates that requests wait for, and for the
        first one unless a load is under way that is soon in memory without a request.
        """
        assert self._capacity is not None  # noqa: S101 - without a capacity no load waits
        staying = sum(each.size for each in self._reservations.values() if not each.evicting)
        lacking = self._wanted(candidates) + staying - self._capacity
        leaving = choose_evictions(self._residents(recent=False), lacking)
        pressing = [each for each in candidates if self._is_awaited(each.name)]
        if candidates[0] not in pressing and not self._soon_idle():
            pressing.insert(0, candidates[0])
        lacking = self._wanted(pressing) + staying - self._capacity
        lacking -= sum(self._reservations[name].size for name in leaving)
        return (*leaving, *choose_evictions(self._residents(recent=True), lacking))

    def _soon_idle(self) -> bool:
        """Says whether a load has begun just now for which no request waits."""
        since = _now() - RECENT_SECONDS
        return any(
            not each.loaded and each.used_at > since and not self._is_awaited(name)
            for name, each in self._reservations.items()
        )

    def _wanted(self, candidates: list[_Queued]) -> int:
        """Returns the memory for the candidates: all that there is at most, unless the first needs more."""
        assert self._capacity is not None  # noqa: S101 - as in `_evictions`
        first = candidates[0].size if candidates else 0
        return max(min(sum(queued.size for queued in candidates), self._capacity), first)

    def _residents(self, *, recent: bool) -> list[Resident]:
        """Returns the versions that may leave: where `recent`, the versions with a request just now, else the
        versions without one."""
        since = _now() - RECENT_SECONDS
        return [
            Resident(name=name, memory_bytes=each.size, used_at=each.used_at, busy=self._is_busy(name))
            for name, each in self._reservations.items()
            if each.loaded and not each.evicting and (each.asked_at > since) is recent
        ]


def _now() -> float:
    return asyncio.get_running_loop().time()
