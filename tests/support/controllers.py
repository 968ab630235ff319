"""Stands for a cluster's controllers in tests: StatefulSets and Deployments become Pods, or are just ready.

async with cluster_controllers(admin):   # every workload is reported ready at once, as if its pods ran
    ...
async with pod_controllers(admin):       # those of a laptop, for all workloads; a node runs the Pods
    ...
async with replica_set_controllers(admin):   # the same with a ReplicaSet between Deployment and Pods
    ...
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tests.support.replica_sets import ReplicaSetControllers

from bailie.api.kinds import DEPLOYMENT, STATEFUL_SET
from bailie.kube.controller import Controller
from bailie.kube.errors import Conflict, NotFound
from bailie.kube.informer import Informer, key_of
from bailie.workloads.pod_controllers import MOST_PODS, PodControllers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bailie.kube.client import Client
    from bailie.kube.informer import Change

KINDS = {kind.kind: kind for kind in (STATEFUL_SET, DEPLOYMENT)}


@dataclass
class ClusterControllers:
    """`broken` are images that no pod ever gets ready with."""

    client: Client
    broken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._informers = {kind: Informer(self.client, kind) for kind in KINDS.values()}
        self._controller: Controller[tuple[str, str, str]] = Controller("test-workloads", self._reconcile)

    async def run(self) -> None:
        for informer in self._informers.values():
            informer.subscribe(self._look)
        async with asyncio.TaskGroup() as group:
            for informer in self._informers.values():
                group.create_task(informer.run())
            group.create_task(self._controller.run())

    def _look(self, change: Change) -> None:
        """Leaves workloads alone that have their status: other tests in the same API left hundreds."""
        if change.new is not None and self._wanted(change.new):
            self._controller.enqueue((change.new["kind"], *key_of(change.new)))

    async def _reconcile(self, key: tuple[str, str, str]) -> None:
        kind, namespace, name = key
        found = self._informers[KINDS[kind]].store.get((namespace, name))
        if found is not None and (status := self._wanted(found)):
            with contextlib.suppress(NotFound, Conflict):
                await self.client.patch(
                    KINDS[kind], name, namespace, {"status": status}, subresource="status"
                )

    def _wanted(self, found: dict[str, Any]) -> dict[str, int] | None:
        """Returns the status to write, None where it is there or the workload goes."""
        status = {**self._pretend(found), "observedGeneration": found["metadata"]["generation"]}
        there = found.get("status") or {}
        changed = any(there.get(field) != value for field, value in status.items())
        return status if changed and not found["metadata"].get("deletionTimestamp") else None

    def _pretend(self, found: dict[str, Any]) -> dict[str, int]:
        """All are ready. An image that is broken: those of a Deployment stay as they were, others go."""
        replicas = found["spec"]["replicas"]
        images = {each["image"] for each in found["spec"]["template"]["spec"]["containers"]}
        if not images & self.broken:
            return _counts(replicas, replicas, replicas)
        if found["kind"] == DEPLOYMENT.kind:
            ready = int((found.get("status") or {}).get("readyReplicas") or 0)
            return _counts(replicas, min(ready, replicas), 0)
        return _counts(replicas, max(replicas - 1, 0), min(replicas, 1))


def _counts(replicas: int, ready: int, updated: int) -> dict[str, int]:
    return {
        "replicas": replicas,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "updatedReplicas": updated,
    }


@contextlib.asynccontextmanager
async def cluster_controllers(client: Client) -> AsyncIterator[ClusterControllers]:
    """Runs while entered."""
    controllers = ClusterControllers(client)
    async with _running(controllers):
        yield controllers


@contextlib.asynccontextmanager
async def pod_controllers(client: Client, most_pods: int = MOST_PODS) -> AsyncIterator[None]:
    """Runs while entered."""
    async with _running(PodControllers(client, labels=None, most_pods=most_pods)):
        yield


@contextlib.asynccontextmanager
async def replica_set_controllers(client: Client) -> AsyncIterator[None]:
    """Runs while entered."""
    stateful = PodControllers(client, labels=None, kinds=(STATEFUL_SET,))
    async with _running(stateful), _running(ReplicaSetControllers(client)):
        yield


class _Controllers(Protocol):
    async def run(self) -> None: ...


@contextlib.asynccontextmanager
async def _running(controllers: _Controllers) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(controllers.run())
        try:
            yield
        finally:
            task.cancel()
