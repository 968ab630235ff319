"""The inference server's memory as a budget: it admits loads, and chooses evictions to make room for them.

`loading` reserves memory before a load, and `models` releases it again. Only on a replica with overcommit
does a load wait for memory: without overcommit the scheduler places no more than there is, and every
reservation is granted at once. First come, first served: small models do not overtake a large one for ever.
The exception: while a load that is under way occupies the memory that the first in the queue needs, and no
eviction could free it, later loads that fit go first.
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
class _Reservation:
    """Memory of a version, in bytes. `loaded`: its load has ended; `evicting`: its eviction was asked for."""

    size: int
    used_at: float
    loaded: bool = False
    evicting: bool = False


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
        self._evict: Callable[[Iterable[str]], None] = lambda _: None
        self._is_busy: Callable[[str], bool] = lambda _: False

    def evict_by(self, evict: Callable[[Iterable[str]], None], is_busy: Callable[[str], bool]) -> None:
        """Sets the function that begins evictions, and the function that says which version may not be
        evicted."""
        self._evict, self._is_busy = evict, is_busy

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
                self._reservations[name].used_at = _now()

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
        """Returns the versions to evict for all candidates that fit into memory beside each other."""
        assert self._capacity is not None  # noqa: S101 - without a capacity no load waits
        wanted = min(sum(queued.size for queued in candidates), self._capacity)
        wanted = max(wanted, candidates[0].size)
        staying = sum(each.size for each in self._reservations.values() if not each.evicting)
        residents = [
            Resident(name=name, memory_bytes=each.size, used_at=each.used_at, busy=self._is_busy(name))
            for name, each in self._reservations.items()
            if each.loaded and not each.evicting
        ]
        return choose_evictions(residents, wanted + staying - self._capacity)


def _now() -> float:
    return asyncio.get_running_loop().time()
