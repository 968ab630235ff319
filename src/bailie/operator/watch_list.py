"""Follows the list of namespaces while the operator runs: its ConfigMap, or its environment.

Owned by `run`, one for each term. It passes the namespaces to the scope and keeps the problems of the list. A
missing list is not an empty one: served namespaces stay served, and at the start none is served.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import CONFIG_MAP
from bailie.api.problems import Problem
from bailie.kube.callbacks import Callbacks
from bailie.kube.informer import Informer
from bailie.operator.follower import Follower
from bailie.scope.watch_list import WantedNamespaces, served_namespaces, wanted_of

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
        self._announce = Callbacks[[]]("problems of the list of namespaces")

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Calls back when `problems` change."""
        self._announce.add(listener)

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
            text = f"there is no ConfigMap {self._home}/{self._name}; served namespaces stay served"
            self._say((Problem("", "NotFound", text),))
        else:
            data, clusterwide = found.get("data") or {}, self._settings.clusterwide
            self._take(wanted_of(data, self._home, clusterwide=clusterwide))

    def _fixed(self) -> WantedNamespaces:
        settings = self._settings
        return WantedNamespaces(
            served_namespaces(self._home, settings.watch, clusterwide=settings.clusterwide)
        )

    def _take(self, wanted: WantedNamespaces) -> None:
        self._follower.want(wanted)
        self._say((*wanted.problems, *self._follower.problems()))

    def _say(self, problems: tuple[Problem, ...]) -> None:
        if problems == self.problems:
            return
        self.problems = problems
        for problem in problems:
            log.warning("list of namespaces has a mistake", problem=str(problem), reason=problem.reason)
        self._announce()
