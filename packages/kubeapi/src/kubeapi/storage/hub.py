"""Hands committed changes to the watches that are open.

Made by `http.app`. The store calls `publish` after every commit; `verbs.watching` reads from subscriptions.
Nothing here filters by selector or encodes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubeapi.storage.store import Change, Store

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
        """Queues a change of this resource; a client too slow to follow is cut off."""
        self._changes.append(change)
        self._signal.set()
        if len(self._changes) > _LONGEST_QUEUE:
            self.close()

    def close(self) -> None:
        """Ends the subscription; queued changes may still be read."""
        self.closed = True
        self._signal.set()

    async def next(self, timeout: float) -> list[Change]:
        """Returns the changes that came in; empty after `timeout` seconds or when closed."""
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
        self._open: defaultdict[tuple[str, str | None], set[Subscription]] = defaultdict(set)
        """By resource and namespace: a change is offered only to the watches that it concerns."""
        self.closed = False
        store.listen(self.publish)

    @property
    def open_watches(self) -> int:
        """How many watches are being served."""
        return sum(map(len, self._open.values()))

    def publish(self, change: Change) -> None:
        """Offers a change to the watches of the resource, in its namespace or in all."""
        for namespace in {None, change.namespace}:
            for subscription in self._open.get((change.resource, namespace), ()):
                subscription.offer(change)

    def subscribe(self, resource: str, namespace: str | None) -> Subscription:
        """Returns a subscription to the changes of a resource from now on; `namespace` None means all."""
        subscription = Subscription(resource, namespace)
        if self.closed:
            subscription.close()
        self._open[resource, namespace].add(subscription)
        return subscription

    def drop(self, subscription: Subscription) -> None:
        """Forgets a subscription."""
        key = subscription.resource, subscription.namespace
        self._open[key].discard(subscription)
        if not self._open[key]:
            del self._open[key]

    def close(self) -> None:
        """Ends every watch, now and later: the server is stopping."""
        self.closed = True
        for subscription in itertools.chain.from_iterable(self._open.values()):
            subscription.close()
