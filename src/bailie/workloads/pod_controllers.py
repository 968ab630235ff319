"""The part of a cluster's controllers that a laptop needs: StatefulSets and Deployments become Pods, and
Services of type LoadBalancer get an address.

Run by the supervisor, beside the node. The operator writes the same objects as on a cluster, and kubectl's
`rollout` and `scale` work on them. Each reconciliation reads the present and takes the next steps; a
changed Pod brings the next one. Pods of a Deployment have numbers, too, and are replaced one by one. A pod
whose owner was deleted without it (`--cascade=orphan`) is adopted by the next workload that selects it.
Any number of pods may be asked for, and one machine takes `MOST_PODS`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from bailie.api.kinds import DEPLOYMENT, POD, SERVICE, STATEFUL_SET
from bailie.kube.controller import Controller
from bailie.kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from bailie.kube.informer import Informer, key_of
from bailie.manifests.objects import WORKLOAD_LABEL, is_ours
from bailie.manifests.workload import Workload
from bailie.wellknown import names
from bailie.workloads.controller_status import controller_status_of
from bailie.workloads.pod_owners import controller_of, pods_claimed, with_owner, without_owner
from bailie.workloads.replicas import hash_template, next_steps, pod_manifest, with_host_ports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.api.kinds import Kind
    from bailie.kube.client import Client
    from bailie.kube.informer import Change
    from bailie.manifests.workload import Manifest
    from bailie.workloads.pod_owners import Claimed

log = structlog.get_logger(__name__)
_KINDS = {kind.kind: kind for kind in (STATEFUL_SET, DEPLOYMENT, SERVICE)}
_RUNNING = (STATEFUL_SET.kind, DEPLOYMENT.kind)
_ADDRESS = [{"ip": "127.0.0.1"}]
MOST_PODS = 250
"""Pods of a machine, in all namespaces; a kubelet takes 110 unless it is told another number."""
_FULL = "this machine has {} pods, and no more are made: ask for fewer replicas, or take other pods away"

Key = tuple[str, str, str]
"""Kind, namespace, name."""


class PodControllers:
    """Makes the Pods of StatefulSets and Deployments."""

    def __init__(
        self,
        client: Client,
        *,
        labels: str | None = WORKLOAD_LABEL,
        kinds: Sequence[Kind] = (STATEFUL_SET, DEPLOYMENT),
        most_pods: int = MOST_PODS,
    ) -> None:
        """Takes a selector for objects of `kinds`; by default the pods of all that is Bailie's are made."""
        self._client, self._most_pods = client, most_pods
        self._controller: Controller[Key] = Controller("pod-controllers", self._reconcile)
        self._informers = [Informer(client, kind, labels=labels) for kind in kinds]
        self._pods, self._services = Informer(client, POD), Informer(client, SERVICE)
        self._short: set[Key] = set()  # workloads without room for a pod

    async def run(self) -> None:
        """Works until cancelled."""
        for informer in (*self._informers, self._services):
            informer.subscribe(self._on_change)
        self._pods.subscribe(self._on_pod)
        async with asyncio.TaskGroup() as group:
            for informer in (*self._informers, self._pods, self._services):
                group.create_task(informer.run())
            await self._pods.synced.wait()  # before, there would be room for as many pods again
            await self._controller.run()

    def _on_change(self, change: Change) -> None:
        kind, (namespace, name) = str(change.object["kind"]), key_of(change.object)
        self._controller.enqueue((kind, namespace, name))
        if kind == SERVICE.kind:
            self._enqueue_running(namespace)

    def _on_pod(self, change: Change) -> None:
        namespace = change.object["metadata"]["namespace"]
        owner = controller_of(change.object)
        if change.new is None:
            for key in self._short:
                self._controller.enqueue(key)
        if owner is None:
            self._enqueue_running(namespace)
        elif owner["kind"] in _RUNNING:
            self._controller.enqueue((owner["kind"], namespace, owner["name"]))

    def _enqueue_running(self, namespace: str) -> None:
        """Looks at the workloads of a namespace again: a changed Service may lead to their pods, and a pod
        without an owner may become theirs."""
        for informer in self._informers:
            for found in informer.store.values():
                if found["metadata"]["namespace"] == namespace:
                    self._controller.enqueue((found["kind"], namespace, found["metadata"]["name"]))

    async def _reconcile(self, key: Key) -> None:
        kind, namespace, name = key
        try:
            found = await self._client.get(_KINDS[kind], name, namespace)
            if found["metadata"].get("deletionTimestamp"):
                self._short.discard(key)
                return
            status = _balanced(found) if kind == SERVICE.kind else await self._run(found)
            before = found.get("status") or {}
            if any(before.get(field) != value for field, value in status.items()):
                body = {"metadata": {"uid": found["metadata"]["uid"]}, "status": status}
                await self._client.patch(_KINDS[kind], name, namespace, body, subresource="status")
        except NotFound:
            self._short.discard(key)

    async def _run(self, found: Manifest) -> Manifest:
        """Takes the next steps; returns the status as it was before them."""
        workload = _workload(found)
        services = (await self._client.list(SERVICE, workload.namespace)).items
        template = with_host_ports(
            workload.template, [each for each in services if _is_before(each, workload)]
        )
        template_hash = hash_template(template, workload.volume_claim_templates)
        listed = await self._client.list(POD, workload.namespace)
        pods = await self._own(workload, pods_claimed(workload, listed.items))
        steps = next_steps(workload, template_hash, pods, self._most_pods - len(self._pods.store))
        key = (str(found["kind"]), workload.namespace, workload.name)
        (self._short.add if steps.short else self._short.discard)(key)
        for name in steps.delete:
            await self._delete(POD, name, workload.namespace)
        refusal = _FULL.format(self._most_pods) if steps.short else ""
        try:
            for number in steps.create:
                await self._create(pod_manifest(workload, template, template_hash, number))
        except Invalid as error:  # as with all of the workload, until that changes
            refusal = error.message
        return controller_status_of(found, pods, template_hash, refusal)

    async def _own(self, workload: Workload, claimed: Claimed) -> list[Manifest]:
        """Writes the changes of owners; returns the pods of the workload.

        The workload is read once more before it adopts: orphans may be its own, left by its deletion a moment
        ago, and would be deleted with it.
        """
        for pod in claimed.released:
            await self._set_owners(pod, without_owner(pod, workload.owner["uid"]))
        if not claimed.adopted or await self._is_going(workload):
            return list(claimed.kept)
        taken = [
            pod for pod in claimed.adopted if await self._set_owners(pod, with_owner(pod, workload.owner))
        ]
        return [*claimed.kept, *taken]

    async def _is_going(self, workload: Workload) -> bool:
        """Says whether the workload is being deleted or is another one by now. Raises NotFound."""
        kind, uid = _KINDS[workload.owner["kind"]], workload.owner["uid"]
        metadata = (await self._client.get(kind, workload.name, workload.namespace))["metadata"]
        return metadata["uid"] != uid or "deletionTimestamp" in metadata

    async def _set_owners(self, pod: Manifest, references: list[Manifest]) -> bool:
        """Says whether the pod was there to be changed, as it was seen."""
        metadata = pod["metadata"]
        seen = {key: metadata[key] for key in ("uid", "resourceVersion")}
        body = {"metadata": {**seen, "ownerReferences": references}}
        try:
            await self._client.patch(POD, metadata["name"], metadata["namespace"], body)
        except (NotFound, Conflict):  # its change brings the next reconciliation
            return False
        log.info(
            "owner changed", namespace=metadata["namespace"], pod=metadata["name"], owners=len(references)
        )
        return True

    async def _create(self, pod: Manifest) -> None:
        metadata = pod["metadata"]
        try:
            await self._client.create(pod)
        except AlreadyExists:  # its change brings the next reconciliation
            return
        log.info("pod created", namespace=metadata["namespace"], pod=metadata["name"])

    async def _delete(self, kind: Kind, name: str, namespace: str) -> None:
        log.info("pod deleted", namespace=namespace, pod=name)
        try:
            await self._client.delete(kind, name, namespace)
        except (NotFound, Conflict):
            return


def _workload(found: Manifest) -> Workload:
    metadata, spec = found["metadata"], found["spec"]
    owner = {"name": metadata["name"], "uid": metadata["uid"], "controller": True}
    return Workload(
        namespace=metadata["namespace"],
        name=metadata["name"],
        replicas=spec["replicas"],
        selector=spec["selector"].get("matchLabels") or {},
        template=spec["template"],
        owner={"apiVersion": found["apiVersion"], "kind": found["kind"], **owner},
        volume_claim_templates=tuple(spec.get("volumeClaimTemplates") or ()),
        first_ordinal=(spec.get("ordinals") or {}).get("start", 0),
    )


def _is_before(service: Manifest, workload: Workload) -> bool:
    """Says whether the machine's port of a Service is one of the pods': of a Service of the workload, or of a
    hand-made one in the place of the data plane's. Other Services would have all replicas of a server ask for
    one port."""
    if is_ours(service):
        return bool(service["metadata"]["labels"][WORKLOAD_LABEL] == workload.name)
    return bool(service["metadata"]["name"] == names.MESH)


def _balanced(service: Manifest) -> dict[str, Any]:
    """Returns the status of a Service: the address at which its `nodePort` answers."""
    if service["spec"].get("type") != "LoadBalancer":
        return {}
    return {"loadBalancer": {"ingress": _ADDRESS}}
