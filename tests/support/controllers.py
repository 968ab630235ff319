"""Stands for a cluster's controllers in tests: StatefulSets and Deployments become Pods, or are just ready.

    async with cluster_controllers(admin, pods=True):   # beside a node that runs the Pods
        ...

Without `pods` every workload is reported ready at once, as if its pods ran. With it there are Pods, which the
node runs as processes; they are replaced one at a time. Deployments get numbered pods too, and do not surge.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import DEPLOYMENT, POD, SERVICE, STATEFUL_SET
from bailie.kube.controller import Controller
from bailie.kube.errors import AlreadyExists, Conflict, NotFound
from bailie.kube.informer import Informer, key_of
from bailie.manifests.workload import Workload
from bailie.workloads.replicas import (
    HASH_LABEL,
    hash_template,
    is_ready,
    next_steps,
    pod_manifest,
    with_host_ports,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bailie.kube.client import Client

KINDS = {kind.kind: kind for kind in (STATEFUL_SET, DEPLOYMENT)}


@dataclass
class ClusterControllers:
    """`broken` are images that no pod ever gets ready with, where there are no real pods."""

    client: Client
    pods: bool = False
    broken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._informers = {kind: Informer(self.client, kind) for kind in (STATEFUL_SET, DEPLOYMENT, POD)}
        self._controller: Controller[tuple[str, str, str]] = Controller("test-workloads", self._reconcile)

    async def run(self) -> None:
        for kind in (STATEFUL_SET, DEPLOYMENT):
            self._informers[kind].subscribe(
                lambda change, kind=kind: self._controller.enqueue((kind.kind, *key_of(change.object)))
            )
        self._informers[POD].subscribe(lambda change: self._pod_changed(change.object))
        async with asyncio.TaskGroup() as group:
            for informer in self._informers.values():
                group.create_task(informer.run())
            await self._informers[POD].synced.wait()
            group.create_task(self._controller.run())

    def _pod_changed(self, pod: dict[str, Any]) -> None:
        for owner in pod["metadata"].get("ownerReferences") or ():
            if owner["kind"] in KINDS:
                self._controller.enqueue((owner["kind"], pod["metadata"]["namespace"], owner["name"]))

    async def _reconcile(self, key: tuple[str, str, str]) -> None:
        kind, namespace, name = key
        with contextlib.suppress(NotFound, Conflict, AlreadyExists):
            found = await self.client.get(KINDS[kind], name, namespace)
            if found["metadata"].get("deletionTimestamp"):
                return
            counts = await self._run(found) if self.pods else self._pretend(found)
            status = {**counts, "observedGeneration": found["metadata"]["generation"]}
            if any((found.get("status") or {}).get(field) != value for field, value in status.items()):
                await self.client.patch(
                    KINDS[kind], name, namespace, {"status": status}, subresource="status"
                )

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

    async def _run(self, found: dict[str, Any]) -> dict[str, int]:
        metadata, spec = found["metadata"], found["spec"]
        workload = Workload(
            namespace=metadata["namespace"],
            name=metadata["name"],
            replicas=spec["replicas"],
            selector=spec["selector"]["matchLabels"],
            template=spec["template"],
            owner=_reference(found),
            volume_claim_templates=tuple(spec.get("volumeClaimTemplates") or ()),
        )
        services = (await self.client.list(SERVICE, workload.namespace)).items
        template = with_host_ports(workload.template, services)
        digest = hash_template(template, workload.volume_claim_templates)
        listed = (await self.client.list(POD, workload.namespace)).items
        pods = [pod for pod in listed if _owner(pod) == metadata["uid"]]
        steps = next_steps(workload, digest, pods)
        for name in steps.delete:
            await self.client.delete(POD, name, workload.namespace)
        for number in steps.create:
            with contextlib.suppress(AlreadyExists):
                await self.client.create(pod_manifest(workload, template, digest, number))
        updated = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(HASH_LABEL) == digest]
        return _counts(len(pods), sum(map(is_ready, pods)), len(updated))


def _counts(replicas: int, ready: int, updated: int) -> dict[str, int]:
    return {
        "replicas": replicas,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "updatedReplicas": updated,
    }


def _reference(found: dict[str, Any]) -> dict[str, Any]:
    identity = {"name": found["metadata"]["name"], "uid": found["metadata"]["uid"]}
    return {"apiVersion": found["apiVersion"], "kind": found["kind"], **identity, "controller": True}


def _owner(pod: dict[str, Any]) -> str:
    return next((owner["uid"] for owner in pod["metadata"].get("ownerReferences") or ()), "")


@contextlib.asynccontextmanager
async def cluster_controllers(client: Client, *, pods: bool = False) -> AsyncIterator[ClusterControllers]:
    """Runs while entered."""
    controllers = ClusterControllers(client, pods)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(controllers.run())
        try:
            yield controllers
        finally:
            task.cancel()
