"""Hands committed changes to the watches that are open.

The store calls `publish` after every commit; `watching.py` reads from subscriptions. Nothing here filters by
selector or encodes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bailie.apiserver.store import Change, Store

_LONGEST_QUEUE = 20_000


class Subscription:
    """Changes of one resource, waiting to be sent to one client."""

    def __init__(self, resource: str, namespace: str | None) -> None:
        self.resource = resource
        self.namespace = namespace
        self.closed = False
        self._changes: deque[Change] = deque()
        self._signal = asyncio.Event()

    def offer(self, change: Change) -> None:
        """Queues a change that concerns this subscription; a client too slow to follow is cut off."""
        if change.resource != self.resource or self.namespace not in {None, change.namespace}:
            return
        self._changes.append(change)
        self._signal.set()
        if len(self._changes) > _LONGEST_QUEUE:
            self.close()

    def close(self) -> None:
        """Ends the subscription; what is queued may still be read."""
        self.closed = True
        self._signal.set()

    async def next(self, timeout: float) -> list[Change]:
        """What came in; empty after `timeout` seconds or when closed."""
        if not self._changes and not self.closed:
            self._signal.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._signal.wait()
            except TimeoutError:
                return []
        changes = list(self._changes)
        self._changes.clear()
        return changes


class Hub:
    """All open subscriptions.

    `bookmark_seconds` is how long a watch that asked for bookmarks may stay silent.
    """

    def __init__(self, store: Store, *, bookmark_seconds: float = 60.0) -> None:
        self.bookmark_seconds = bookmark_seconds
        self.store = store
        self._open: set[Subscription] = set()
        self.closed = False
        store.listen(self.publish)

    @property
    def open_watches(self) -> int:
        """How many watches are being served."""
        return len(self._open)

    def publish(self, change: Change) -> None:
        """Offers a change to every subscription."""
        for subscription in self._open:
            subscription.offer(change)

    def subscribe(self, resource: str, namespace: str | None) -> Subscription:
        """Changes of a resource from now on; `namespace` None means all."""
        subscription = Subscription(resource, namespace)
        if self.closed:
            subscription.close()
        self._open.add(subscription)
        return subscription

    def drop(self, subscription: Subscription) -> None:
        """Forgets a subscription."""
        self._open.discard(subscription)

    def close(self) -> None:
        """Ends every watch, now and later: the server is stopping."""
        self.closed = True
        for subscription in self._open:
            subscription.close()
