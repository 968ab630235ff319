"""Deployments as a cluster runs them: a ReplicaSet for each template, whose Pods have random names.

Run by `controllers` where the difference to a laptop matters: a Deployment that is deleted without its pods
leaves a ReplicaSet, which goes on making pods. Both adopt orphans that they select. A new template gets all
its pods before the old one loses any.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import secrets
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import DEPLOYMENT, POD, REPLICA_SET
from bailie.kube.controller import Controller
from bailie.kube.errors import AlreadyExists, Conflict, NotFound
from bailie.kube.informer import Informer, key_of
from bailie.workloads.pod_owners import claimed, controller_of, with_owner, without_owner
from bailie.workloads.replicas import hash_template, is_ready

if TYPE_CHECKING:
    from bailie.api.kinds import Kind
    from bailie.kube.client import Client
    from bailie.kube.informer import Change

Object = dict[str, Any]
HASH = "pod-template-hash"
_KINDS = {kind.kind: kind for kind in (DEPLOYMENT, REPLICA_SET)}


class ReplicaSetControllers:
    """Runs all Deployments and ReplicaSets."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._informers = [Informer(client, kind) for kind in (DEPLOYMENT, REPLICA_SET, POD)]
        self._controller: Controller[tuple[str, str, str]] = Controller("replica-sets", self._reconcile)

    async def run(self) -> None:
        for informer in self._informers:
            informer.subscribe(self._on_change)
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run())
            group.create_task(self._controller.run())

    def _on_change(self, change: Change) -> None:
        """Looks at the object, at its controller, and for an orphan at all that could adopt it."""
        kind, (namespace, name) = str(change.object["kind"]), key_of(change.object)
        owner = controller_of(change.object)
        if kind in _KINDS:
            self._controller.enqueue((kind, namespace, name))
        if owner is not None and owner["kind"] in _KINDS:
            self._controller.enqueue((owner["kind"], namespace, owner["name"]))
        if owner is None and kind != DEPLOYMENT.kind:
            above = self._informers[1 if kind == POD.kind else 0]
            for place, each in list(above.store.items()):
                if place[0] == namespace:
                    self._controller.enqueue((each["kind"], *place))

    async def _reconcile(self, key: tuple[str, str, str]) -> None:
        kind, namespace, name = key
        with contextlib.suppress(NotFound, Conflict, AlreadyExists):
            found = await self._client.get(_KINDS[kind], name, namespace)
            if not found["metadata"].get("deletionTimestamp"):
                await (self._deployment if kind == DEPLOYMENT.kind else self._replica_set)(found)

    async def _deployment(self, found: Object) -> None:
        sets = await self._own(found, REPLICA_SET)
        wanted, digest = found["spec"]["replicas"], hash_template(found["spec"]["template"], ())
        newest = next((each for each in sets if _digest(each) == digest), None)
        if newest is None:
            await self._client.create(replica_set(found, digest))
            return
        await self._scale(newest, wanted)
        if _ready(newest) >= wanted:
            for each in sets:
                if each is not newest:
                    await self._scale(each, 0)
        await self._tell(found, deployment_status(found, newest, sets))

    async def _replica_set(self, found: Object) -> None:
        pods = [pod for pod in await self._own(found, POD) if not pod["metadata"].get("deletionTimestamp")]
        wanted = found["spec"]["replicas"]
        for _ in range(wanted - len(pods)):
            await self._client.create(pod_of(found))
        for pod in sorted(pods, key=is_ready)[: max(0, len(pods) - wanted)]:
            await self._client.delete(POD, pod["metadata"]["name"], pod["metadata"]["namespace"])
        ready = sum(map(is_ready, pods))
        await self._tell(found, {"replicas": len(pods), "readyReplicas": ready, "availableReplicas": ready})

    async def _own(self, owner: Object, kind: Kind) -> list[Object]:
        """Writes the changes of owners; returns the objects of this one."""
        metadata, selector = owner["metadata"], owner["spec"]["selector"]["matchLabels"]
        listed = (await self._client.list(kind, metadata["namespace"])).items
        parts = claimed(metadata["uid"], selector, listed)
        for each in parts.released:
            await self._set_owners(kind, each, without_owner(each, metadata["uid"]))
        if parts.adopted:  # they may be its own, left by its deletion a moment ago
            again = await self._client.get(_KINDS[owner["kind"]], metadata["name"], metadata["namespace"])
            if again["metadata"]["uid"] != metadata["uid"] or "deletionTimestamp" in again["metadata"]:
                raise NotFound(f"{owner['kind']} {metadata['name']} is going")
        for each in parts.adopted:
            await self._set_owners(kind, each, with_owner(each, reference(owner)))
        return [*parts.kept, *parts.adopted]

    async def _set_owners(self, kind: Kind, item: Object, references: list[Object]) -> None:
        seen = {key: item["metadata"][key] for key in ("uid", "resourceVersion")}
        body = {"metadata": {**seen, "ownerReferences": references}}
        await self._client.patch(kind, item["metadata"]["name"], item["metadata"]["namespace"], body)

    async def _scale(self, found: Object, replicas: int) -> None:
        if found["spec"]["replicas"] != replicas:
            metadata = found["metadata"]
            body = {"spec": {"replicas": replicas}}
            await self._client.patch(REPLICA_SET, metadata["name"], metadata["namespace"], body)

    async def _tell(self, found: Object, status: Object) -> None:
        status = {**status, "observedGeneration": found["metadata"].get("generation", 1)}
        before = found.get("status") or {}
        if any(before.get(key) != value for key, value in status.items()):
            metadata, kind = found["metadata"], _KINDS[found["kind"]]
            body = {"metadata": {"uid": metadata["uid"]}, "status": status}
            await self._client.patch(
                kind, metadata["name"], metadata["namespace"], body, subresource="status"
            )


def reference(owner: Object) -> Object:
    """Returns the ownerReference of a controller."""
    metadata = owner["metadata"]
    named = {"apiVersion": "apps/v1", "kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    return {**named, "controller": True, "blockOwnerDeletion": True}


def replica_set(deployment: Object, digest: str) -> Object:
    """Returns the ReplicaSet of a Deployment's template."""
    metadata, spec = deployment["metadata"], copy.deepcopy(deployment["spec"])
    template = spec["template"]
    template["metadata"] = {
        **template.get("metadata", {}),
        "labels": {**template["metadata"]["labels"], HASH: digest},
    }
    selector = {"matchLabels": {**spec["selector"]["matchLabels"], HASH: digest}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name']}-{digest}",
            "namespace": metadata["namespace"],
            "labels": template["metadata"]["labels"],
            "ownerReferences": [reference(deployment)],
        },
        "spec": {"replicas": spec["replicas"], "selector": selector, "template": template},
    }


def pod_of(found: Object) -> Object:
    """Returns one more Pod of a ReplicaSet."""
    metadata, template = found["metadata"], copy.deepcopy(found["spec"]["template"])
    name = f"{metadata['name']}-{secrets.token_hex(3)[:5]}"
    place = {"name": name, "namespace": metadata["namespace"], "ownerReferences": [reference(found)]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], **place},
        "spec": template["spec"],
    }


def deployment_status(found: Object, newest: Object, sets: list[Object]) -> Object:
    """Returns the status of a Deployment from its ReplicaSets."""
    ready, wanted = sum(map(_ready, sets)), found["spec"]["replicas"]
    available = "True" if ready >= wanted else "False"
    return {
        "replicas": sum(map(_count, sets)),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "updatedReplicas": _count(newest),
        "unavailableReplicas": max(0, wanted - ready),
        "conditions": [
            {"type": "Available", "status": available, "reason": "MinimumReplicas", "message": ""}
        ],
    }


def _digest(found: Object) -> str:
    return str((found["metadata"].get("labels") or {}).get(HASH, ""))


def _count(found: Object) -> int:
    return int((found.get("status") or {}).get("replicas") or 0)


def _ready(found: Object) -> int:
    return int((found.get("status") or {}).get("readyReplicas") or 0)
