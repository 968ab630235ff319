"""The set of namespaces that the operator serves, with one claim for each.

Owned by `run`. `Scope.serve` may be called at any time; namespaces are added and removed while all others go
on. The removal of a namespace stops its watches and releases its claim; its workloads keep running. A
namespace that cannot be served concerns its own claim only and delays no other namespace.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bailie.kube.callbacks import Callbacks
from bailie.operator.namespace_claim import NamespaceClaim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bailie.kube.informers import InformerSet
    from bailie.operator.namespace_claim import Installation
    from bailie.scope.namespace_status import NamespaceStatus

log = structlog.get_logger(__name__)


class Scope:
    """The set of namespaces and the claim of each."""

    def __init__(self, informers: InformerSet, installation: Installation) -> None:
        self._informers = informers
        self._installation = installation
        self._wanted: frozenset[str] = frozenset()
        self._claims: dict[str, NamespaceClaim] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._announce = Callbacks[[str]]("the status of a namespace", about=lambda namespace: namespace)
        informers.subscribe_state(self._announce)

    def __contains__(self, namespace: str) -> bool:
        """Says whether the namespace is wanted, or is just being let go."""
        return namespace in self._claims

    def serve(self, namespaces: Iterable[str]) -> None:
        """Sets the namespaces that are to be served, in place of the earlier ones. Returns at once."""
        self._wanted = frozenset(namespaces)
        self._changed.set()

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """Calls back with a namespace whose status may have changed; also when it leaves the scope."""
        self._announce.add(listener)

    def statuses(self) -> dict[str, NamespaceStatus]:
        """Returns where each namespace stands."""
        return {name: self._claims[name].status() for name in sorted(self._claims)}

    def status(self, namespace: str) -> NamespaceStatus | None:
        """Returns where the namespace stands, None where it is not wanted."""
        claim = self._claims.get(namespace)
        return None if claim is None else claim.status()

    def state(self) -> dict[str, dict[str, object]]:
        """Returns the status of each namespace as plain data."""
        return {name: status.manifest() for name, status in self.statuses().items()}

    def claimed(self, namespace: str) -> bool:
        """Says whether this installation certainly holds the claim on the namespace at this moment."""
        claim = self._claims.get(namespace)
        return claim is not None and claim.claimed

    def refused(self, namespace: str | None) -> None:
        """Reviews the rights in a namespace soon, since the API has just answered Forbidden there."""
        if namespace in self._claims:
            self._claims[namespace].recheck_soon()

    async def run(self) -> None:
        """Follows `serve` until cancelled. Claims are then kept: another replica of ours may go on."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._converge(group)
                await self._changed.wait()
                self._changed.clear()

    async def _converge(self, group: asyncio.TaskGroup) -> None:
        for namespace in sorted(self._wanted - self._claims.keys()):
            self._take_up(namespace, group)
        gone = sorted(self._claims.keys() - self._wanted)
        tasks = [self._tasks.pop(namespace) for namespace in gone]
        for namespace, task in zip(gone, tasks, strict=True):
            self._claims[namespace].release_at_end()
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for namespace in gone:
            del self._claims[namespace]
            log.info("namespace left the scope; its workloads keep running", namespace=namespace)
            self._announce(namespace)

    def _take_up(self, namespace: str, group: asyncio.TaskGroup) -> None:
        claim = NamespaceClaim(namespace, self._installation, self._informers, self._announce)
        self._claims[namespace] = claim
        self._tasks[namespace] = group.create_task(claim.run(), name=f"claim-{namespace}")
        self._announce(namespace)
