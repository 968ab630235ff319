"""Informers of some kinds in a set of namespaces that changes while they run.

Used by the operator for the served namespaces. When a namespace is removed, no DELETED is announced for its
objects: its workloads keep running.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bailie.api.kinds import Kind
from bailie.kube.callbacks import Callbacks
from bailie.kube.informer import Change, Informer, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bailie.kube.client import Client
    from bailie.kube.errors import ApiError


class InformerSet:
    """One informer for each kind and namespace. `add` and `remove` work before `run`, during it and after."""

    def __init__(
        self, client: Client, kinds: Iterable[Kind], *, labels: Mapping[Kind, str] | None = None
    ) -> None:
        """Takes as `labels` the selectors of kinds of which only some objects are wanted."""
        self._client = client
        self._kinds = tuple(kinds)
        self._labels = labels or {}
        self._informers: dict[str, dict[Kind, Informer]] = {}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._announce = Callbacks[[Kind, Change]](
            "changes of objects", about=lambda kind, change: (kind.kind, key_of(change.object))
        )
        self._announce_state = Callbacks[[str]](
            "the state of the watches of a namespace", about=lambda namespace: namespace
        )

    @property
    def namespaces(self) -> frozenset[str]:
        """The namespaces that are watched or are to be."""
        return frozenset(self._informers)

    def subscribe(self, listener: Callable[[Kind, Change], None]) -> None:
        """Calls back on every change in every namespace, those added later included."""
        self._announce.add(listener)

    def subscribe_state(self, listener: Callable[[str], None]) -> None:
        """Calls back with the namespace when `synced` or `failures` of it change."""
        self._announce_state.add(listener)

    def add(self, namespace: str) -> Mapping[Kind, Informer]:
        """Starts watching the namespace; returns its informers. Does nothing where it is watched."""
        if namespace not in self._informers:
            self._informers[namespace] = {kind: self._informer(kind, namespace) for kind in self._kinds}
            self._start(namespace)
        return self._informers[namespace]

    async def remove(self, namespace: str) -> None:
        """Stops watching the namespace and forgets its objects; returns when its watches have ended."""
        known = self._informers.pop(namespace, None)
        tasks = self._tasks.pop(namespace, [])
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if known is not None:
            self._announce_state(namespace)

    def get(self, kind: Kind, namespace: str) -> Informer | None:
        """Returns the informer, None where the namespace is not watched."""
        return self._informers.get(namespace, {}).get(kind)

    def synced(self, namespace: str) -> bool:
        """Says whether every kind of the namespace was listed."""
        informers = self._informers.get(namespace)
        return informers is not None and all(informer.synced.is_set() for informer in informers.values())

    def failures(self, namespace: str) -> Mapping[Kind, ApiError]:
        """Returns, by kind, why objects of the namespace cannot be read just now."""
        informers = self._informers.get(namespace, {}).items()
        return {kind: informer.failure for kind, informer in informers if informer.failure is not None}

    async def run(self) -> None:
        """Runs the informers until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for namespace in self._informers:
                    self._start(namespace)
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None
                self._tasks.clear()

    def _informer(self, kind: Kind, namespace: str) -> Informer:
        informer = Informer(self._client, kind, namespace, labels=self._labels.get(kind))
        informer.subscribe(lambda change: self._announce(kind, change))
        informer.subscribe_state(lambda: self._announce_state(namespace))
        return informer

    def _start(self, namespace: str) -> None:
        if self._group is None:
            return
        self._tasks[namespace] = [
            self._group.create_task(informer.run(), name=f"informer-{namespace}-{kind.plural}")
            for kind, informer in self._informers[namespace].items()
        ]
