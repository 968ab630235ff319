"""Follows the list of namespaces while the operator runs: its ConfigMap, its environment, or the cluster.

Owned by `run`, one for each term. Tells the scope what is wanted and keeps what is wrong with the list. A
list that is missing is not an empty one: what was served goes on, and at first nothing is served.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import CONFIG_MAP, NAMESPACE
from bailie.api.problems import Problem
from bailie.kube.informer import Informer
from bailie.scope.watch_list import SELECTOR, Wanted, served_namespaces, wanted_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.kube.client import Client, Object
    from bailie.operator.scope import Scope
    from bailie.operator.settings import OperatorSettings

log = structlog.get_logger(__name__)


class WatchList:
    """The list in the ConfigMap that the settings name, else the one in the settings, which never changes."""

    def __init__(self, client: Client, scope: Scope, settings: OperatorSettings) -> None:
        self.problems: tuple[Problem, ...] = ()
        self._settings = settings
        self._home = settings.namespace
        self._name = settings.scope_config_map
        self._informer = Informer(client, CONFIG_MAP, self._home, fields=f"metadata.name={self._name}")
        self._follower = Follower(client, scope)
        self._listeners: list[Callable[[], None]] = []

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Calls back when `problems` change."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Follows the list until cancelled."""
        self._follower.subscribe(self._update)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follower.run(), name="namespaces")
            if self._name:
                self._informer.subscribe(lambda _: self._update())
                self._informer.subscribe_state(self._update)
                group.create_task(self._informer.run(), name="watch-list")
            else:
                self._update()

    def _update(self) -> None:
        if not self._name:
            self._take(self._fixed())
        elif self._informer.failure is not None:
            text = f"ConfigMap {self._home}/{self._name} cannot be read: {self._informer.failure}"
            self._say((Problem("", "Unreadable", text),))
        elif self._informer.synced.is_set():
            self._read(self._informer.store.get((self._home, self._name)))

    def _read(self, found: Object | None) -> None:
        if found is None:
            text = f"there is no ConfigMap {self._home}/{self._name}; what was served goes on"
            self._say((Problem("", "NotFound", text),))
        else:
            data, clusterwide = found.get("data") or {}, self._settings.clusterwide
            self._take(wanted_of(data, self._home, clusterwide=clusterwide))

    def _fixed(self) -> Wanted:
        settings = self._settings
        return Wanted(served_namespaces(self._home, settings.watch, clusterwide=settings.clusterwide))

    def _take(self, wanted: Wanted) -> None:
        self._follower.want(wanted)
        self._say((*wanted.problems, *self._follower.problems()))

    def _say(self, problems: tuple[Problem, ...]) -> None:
        if problems == self.problems:
            return
        self.problems = problems
        for problem in problems:
            log.warning("List of namespaces has a mistake", problem=str(problem), reason=problem.reason)
        for listener in tuple(self._listeners):
            listener()


class Follower:
    """Hands a list on to the scope; where the cluster is the list, follows its namespaces."""

    def __init__(self, client: Client, scope: Scope) -> None:
        self._client = client
        self._scope = scope
        self._wanted: Wanted | None = None
        self._informer: Informer | None = None
        self._changed = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    def want(self, wanted: Wanted) -> None:
        """Wants this served from now on. Returns at once."""
        if self._wanted is None or _target(wanted) != _target(self._wanted):
            self._wanted = wanted
            self._changed.set()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Calls back when `problems` may have changed."""
        self._listeners.append(listener)

    def problems(self) -> tuple[Problem, ...]:
        """Returns why the namespaces of the cluster cannot be followed, empty where they can."""
        if self._informer is None or self._informer.failure is None:
            return ()
        selector = self._wanted.selector if self._wanted is not None else ""
        text = f"the namespaces of the cluster cannot be listed: {self._informer.failure}"
        return (Problem(SELECTOR if selector else "", "CannotList", text),)

    async def run(self) -> None:
        """Follows what is wanted until cancelled."""
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
        """Serves the namespaces of the cluster that the selector lets through, until that changes."""
        self._informer = informer = Informer(self._client, NAMESPACE, labels=selector or None)
        informer.subscribe(lambda _: self._serve(informer))
        informer.subscribe_state(lambda: self._serve(informer))
        async with asyncio.TaskGroup() as group:
            following = group.create_task(informer.run(), name="cluster-namespaces")
            await self._changed.wait()
            following.cancel()
        self._informer = None

    def _serve(self, informer: Informer) -> None:
        if informer.synced.is_set():
            items = informer.store.values()
            names = [each["metadata"] for each in items if not each["metadata"].get("deletionTimestamp")]
            self._scope.serve(metadata["name"] for metadata in names)
        for listener in tuple(self._listeners):
            listener()


def _target(wanted: Wanted) -> tuple[object, ...]:
    return wanted.namespaces, wanted.selector
