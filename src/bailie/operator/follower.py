"""Passes the namespaces of a list to the scope; if the list is "all of the cluster", follows the cluster.

Owned by `WatchList`. Of a whole cluster only namespaces with a SeldonRuntime or Server are served: a claim
costs a write every few seconds, and a cluster has namespaces by the hundred.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bailie.api.kinds import NAMESPACE, SELDON_RUNTIME, SERVER
from bailie.api.problems import Problem
from bailie.kube.callbacks import Callbacks
from bailie.kube.informer import ChangeType, Informer
from bailie.scope.watch_list import SELECTOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.kube.client import Client
    from bailie.operator.scope import Scope
    from bailie.scope.watch_list import WantedNamespaces


class Follower:
    """Keeps the scope's set of namespaces up to date."""

    def __init__(self, client: Client, scope: Scope) -> None:
        self._client = client
        self._scope = scope
        self._wanted: WantedNamespaces | None = None
        self._cluster: Cluster | None = None
        self._changed = asyncio.Event()
        self._announce = Callbacks[[]]("the namespaces of the cluster")

    def want(self, wanted: WantedNamespaces) -> None:
        """Serves these namespaces from now on. Returns at once."""
        if self._wanted is None or _target(wanted) != _target(self._wanted):
            self._wanted = wanted
            self._changed.set()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Calls back when `problems` may have changed."""
        self._announce.add(listener)

    def problems(self) -> tuple[Problem, ...]:
        """Returns why the namespaces of the cluster cannot be followed, empty where they can."""
        return () if self._cluster is None else self._cluster.problems()

    async def run(self) -> None:
        """Follows the wanted namespaces until cancelled."""
        while True:
            if self._wanted is None:
                await self._changed.wait()
            elif self._wanted.namespaces is not None:
                self._scope.serve(self._wanted.namespaces)
                await self._changed.wait()
            else:
                await self._follow(self._wanted.selector)
            self._changed.clear()

    async def _follow(self, selector: str) -> None:
        """Serves the namespaces of the cluster until the list changes."""
        self._cluster = cluster = Cluster(self._client, selector, lambda: self._serve(cluster))
        async with asyncio.TaskGroup() as group:
            following = group.create_task(cluster.run(), name="cluster")
            await self._changed.wait()
            following.cancel()
        self._cluster = None

    def _serve(self, cluster: Cluster) -> None:
        namespaces = cluster.namespaces()
        if namespaces is not None:
            self._scope.serve(namespaces)
        self._announce()


class Cluster:
    """The namespaces of the cluster that match a selector and have a SeldonRuntime or Server."""

    def __init__(self, client: Client, selector: str, on_change: Callable[[], None]) -> None:
        self._selector = selector
        self._all = Informer(client, NAMESPACE, labels=selector or None)
        self._users = [Informer(client, kind) for kind in (SELDON_RUNTIME, SERVER)]
        self._all.subscribe(lambda _: on_change())
        for users in self._users:  # a status changes often, and all namespaces are gone over each time
            users.subscribe(lambda change: None if change.type == ChangeType.MODIFIED else on_change())
        for informer in (self._all, *self._users):
            informer.subscribe_state(on_change)

    async def run(self) -> None:
        """Follows until cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in (self._all, *self._users):
                group.create_task(informer.run(), name=f"cluster-{informer.kind.plural}")

    def namespaces(self) -> frozenset[str] | None:
        """Returns the namespaces, None until all kinds are listed."""
        if not all(informer.synced.is_set() for informer in (self._all, *self._users)):
            return None
        metadata = [each["metadata"] for each in self._all.store.values()]
        present = {each["name"] for each in metadata if not each.get("deletionTimestamp")}
        return frozenset(present & {namespace for users in self._users for namespace, _ in users.store})

    def problems(self) -> tuple[Problem, ...]:
        """Returns a problem for each kind that cannot be listed."""
        path = SELECTOR if self._selector else ""
        return tuple(
            Problem(path if informer is self._all else "", "CannotList", _sentence(informer))
            for informer in (self._all, *self._users)
            if informer.failure is not None
        )


def _sentence(informer: Informer) -> str:
    return f"the {informer.kind.plural} of the cluster cannot be listed: {informer.failure}"


def _target(wanted: WantedNamespaces) -> tuple[object, ...]:
    return wanted.namespaces, wanted.selector
