"""A queue of keys: the keys that are to be reconciled, never the changes.

Used by `controller`. A key is in the queue at most once, is handed to one worker at a time, and comes again
after `done` when it was added meanwhile. Adding may be delayed; failures of a key delay it longer each time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from bailie.kube.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Hashable

K = TypeVar("K", bound="Hashable")

_BACKOFF = Backoff(initial=0.1, maximum=60.0)


class KeyQueue(Generic[K]):
    """Belongs to one event loop; no method but `get` waits."""

    def __init__(self, backoff: Backoff = _BACKOFF) -> None:
        self._backoff = backoff
        self._waiting: deque[K] = deque()
        self._dirty: set[K] = set()
        self._working: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: K) -> None:
        """Wants the key looked at as soon as a worker is free. A delayed add of the key is thereby done."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._working:
            self._push(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Wants the key looked at in that many seconds, or sooner if it is added sooner."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self.add, key)

    def retry(self, key: K) -> float:
        """Adds the key after its back-off, which grows with every call until `forget`. Returns seconds."""
        self._failures[key] = self._failures.get(key, 0) + 1
        seconds = self._backoff.delay(self._failures[key])
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """Ends the key's back-off: it was handled."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Waits for a key and hands it out; the caller must call `done` with it."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        key = self._waiting.popleft()
        self._dirty.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """Gives the key back; it comes again at once when it was added meanwhile."""
        self._working.discard(key)
        if key in self._dirty:
            self._push(key)

    def close(self) -> None:
        """Drops the delayed adds, so that no timer outlives the queue."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _push(self, key: K) -> None:
        self._waiting.append(key)
        self._some.set()
