"""Which namespaces the operator serves just now, and what becomes of each.

Owned by `run`. `Scope.serve` may be called at any time; namespaces are taken up and let go while everything
else goes on. Letting go stops watching and releases the claim: what runs there keeps running. A namespace
that cannot be served is its own steward's affair and stands in nobody's way.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bailie.operator.steward import Steward

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bailie.kube.informers import InformerSet
    from bailie.operator.steward import Installation
    from bailie.scope.standing import Standing

log = structlog.get_logger(__name__)


class Scope:
    """The set of namespaces, a steward for each."""

    def __init__(self, informers: InformerSet, installation: Installation) -> None:
        self._informers = informers
        self._installation = installation
        self._wanted: frozenset[str] = frozenset()
        self._stewards: dict[str, Steward] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._listeners: list[Callable[[str], None]] = []
        informers.subscribe_state(self._announce)

    def serve(self, namespaces: Iterable[str]) -> None:
        """Wants exactly these namespaces served. Returns at once; `run` brings it about."""
        self._wanted = frozenset(namespaces)
        self._changed.set()

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """Calls back with a namespace whose standing may have changed; also when it was let go."""
        self._listeners.append(listener)

    def standings(self) -> dict[str, Standing]:
        """Returns where each namespace stands."""
        return {name: self._stewards[name].standing() for name in sorted(self._stewards)}

    def standing(self, namespace: str) -> Standing | None:
        """Returns where the namespace stands, None where it is not wanted."""
        steward = self._stewards.get(namespace)
        return None if steward is None else steward.standing()

    def state(self) -> dict[str, dict[str, object]]:
        """Returns the standings as plain data."""
        return {name: standing.manifest() for name, standing in self.standings().items()}

    def claimed(self, namespace: str) -> bool:
        """Says whether the namespace is this installation's for certain at this moment."""
        steward = self._stewards.get(namespace)
        return steward is not None and steward.claimed

    def refused(self, namespace: str | None) -> None:
        """Has the rights in a namespace looked at, since the API has just answered Forbidden there."""
        if namespace in self._stewards:
            self._stewards[namespace].poke()

    async def run(self) -> None:
        """Follows `serve` until cancelled. Claims are then kept: another replica of ours may go on."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._converge(group)
                await self._changed.wait()
                self._changed.clear()

    async def _converge(self, group: asyncio.TaskGroup) -> None:
        for namespace in sorted(self._wanted - self._stewards.keys()):
            self._take_up(namespace, group)
        gone = sorted(self._stewards.keys() - self._wanted)
        tasks = [self._tasks.pop(namespace) for namespace in gone]
        for namespace, task in zip(gone, tasks, strict=True):
            self._stewards[namespace].dismiss()
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for namespace in gone:
            del self._stewards[namespace]
            log.info("Namespace let go; what runs there keeps running", namespace=namespace)
            self._announce(namespace)

    def _take_up(self, namespace: str, group: asyncio.TaskGroup) -> None:
        steward = Steward(namespace, self._installation, self._informers, self._announce)
        self._stewards[namespace] = steward
        self._tasks[namespace] = group.create_task(steward.run(), name=f"steward-{namespace}")
        self._announce(namespace)

    def _announce(self, namespace: str) -> None:
        for listener in tuple(self._listeners):
            listener(namespace)
