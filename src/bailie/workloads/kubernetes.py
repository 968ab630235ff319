"""The workloads port: StatefulSets and Deployments, and the objects around them.

Made by `cli.processes`; the operator calls it through `port`. All objects are written by server-side apply as
`bailie`, so that other field managers keep the fields that are not stated here; the number of replicas
belongs to an autoscaler as soon as it has set one. Nothing is written before the API has accepted a trial of
the pods. The adapter makes no pods and waits for none: the cluster's controllers make them, on a laptop
`pod_controllers`.

The present objects are read from the API each time, four small requests for a Server. The informers' copies
would not do: they leave out the managers of fields, budgets are not watched, and an outdated copy may not
decide whether another manager owns or scales an object.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVER,
    SERVICE,
    STATEFUL_SET,
)
from bailie.api.texts import counted
from bailie.kube.client import kind_of
from bailie.kube.errors import Conflict, Invalid, NotFound
from bailie.manifests.cluster import companions, pod_controller
from bailie.manifests.objects import WORKLOAD_LABEL, is_ours, is_seldon_cores
from bailie.workloads.applied_digests import AppliedDigests, digest
from bailie.workloads.ownership import OURS, scaled_by
from bailie.workloads.port import Observation, WorkloadRefused
from bailie.workloads.replicas import complaint, is_ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bailie.api.kinds import Kind
    from bailie.kube.client import Client
    from bailie.manifests.workload import Manifest, Workload

log = structlog.get_logger(__name__)
_CONTROLLERS = (STATEFUL_SET, DEPLOYMENT)
_COMPANIONS = (POD_DISRUPTION_BUDGET, SERVICE, ENDPOINT_SLICE, CONFIG_MAP, SERVER)
_FIXED = "updates to statefulset spec"
"""The API's answer to a change of a StatefulSet's claims or Service name."""


@dataclass(slots=True)
class _WorkloadMemory:
    """The memory of one workload: the digest of the pods that the API would take, the objects that were left
    when the others were deleted (None before the first look), and the applies."""

    tried: str = ""
    pruned: frozenset[tuple[Kind, str]] | None = None
    applied: AppliedDigests = field(default_factory=AppliedDigests)


class KubernetesWorkloads:
    """Implements `Workloads` with objects that a cluster's controllers act on."""

    watched: tuple[Kind, ...] = (POD, SERVICE, *_CONTROLLERS)

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, dict[str, _WorkloadMemory]] = {}
        """By namespace and name of the workload."""

    async def ensure(self, workload: Workload) -> Sequence[Manifest]:
        """Converges on the workload, as `Workloads` says. Raises ApiError, WorkloadRefused."""
        known = self._of_namespace(workload.namespace).setdefault(workload.name, _WorkloadMemory())
        controller = pod_controller(workload)
        present: Manifest | None = None
        if controller is not None:
            controller, present = await self._yielding(controller)
            await self._try(controller, known)
        wanted = companions(workload)
        left_alone = [other for each in wanted if (other := await self._put(each, known)) is not None]
        if controller is not None:
            wanted.append(controller)
            await self._apply(controller, present, known)
        await self._prune(workload, wanted, known)
        return left_alone

    async def remove(self, namespace: str, name: str) -> None:
        """Deletes the workload's objects; the pods follow. Raises ApiError."""
        known = self._known.get(namespace, {}).get(name)
        if known and known.pruned == frozenset():  # components that are left out are removed at each look
            return
        for kind in _CONTROLLERS:
            found = await self._find(kind, name, namespace)
            if found is not None and is_ours(found):
                await self._delete(found)
        await self._delete_labelled(namespace, name, keep=frozenset())
        self._of_namespace(namespace)[name] = _WorkloadMemory(pruned=frozenset())

    def forget(self, namespace: str, name: str) -> None:
        """Drops what is remembered of the workload; the next look at it is as the first."""
        self._known.get(namespace, {}).pop(name, None)

    def forget_namespace(self, namespace: str) -> None:
        """Drops what is remembered of all workloads of the namespace."""
        self._known.pop(namespace, None)

    def _of_namespace(self, namespace: str) -> dict[str, _WorkloadMemory]:
        return self._known.setdefault(namespace, {})

    async def observe(self, namespace: str, name: str) -> Observation:
        """Counts the pods by the status that the cluster's controller writes; asks the pods only where
        something lacks.

        Raises ApiError.
        """
        for kind in _CONTROLLERS:
            found = await self._find(kind, name, namespace)
            if found is not None and is_ours(found):
                return await self._seen(found)
        return Observation(replicas=0, ready_replicas=0)

    async def _seen(self, controller: Manifest) -> Observation:
        status = controller.get("status") or {}
        ready, replicas, updated = (
            int(status.get(name) or 0) for name in ("readyReplicas", "replicas", "updatedReplicas")
        )
        wanted, owner = int(controller["spec"].get("replicas", 1)), scaled_by(controller)
        whole = ready >= wanted and updated >= wanted
        return Observation(
            # A Deployment has one more while it replaces pods; nothing is being scaled down then.
            replicas=min(replicas, wanted) if controller["kind"] == DEPLOYMENT.kind else replicas,
            ready_replicas=ready,
            message="" if whole else await self._trouble(controller),
            scaled_by=owner,
            wanted=wanted if owner else None,
        )

    async def _trouble(self, controller: Manifest) -> str:
        """Returns the first complaint of a pod that is not ready, or why none could be made."""
        metadata = controller["metadata"]
        for condition in (controller.get("status") or {}).get("conditions") or ():
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                return str(condition.get("message", ""))
        selector = controller["spec"]["selector"].get("matchLabels") or {}
        labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        pods = (await self._client.list(POD, metadata["namespace"], labels=labels)).items
        complaints = (complaint(pod) for pod in pods if not is_ready(pod))
        return next((each for each in complaints if each), "") or _unmade(controller, len(pods))

    async def _yielding(self, controller: Manifest) -> tuple[Manifest, Manifest | None]:
        """Leaves the number of replicas to the manager that has set it since; returns what is there, too."""
        kind, metadata = kind_of(controller), controller["metadata"]
        present = await self._find(kind, metadata["name"], metadata["namespace"])
        if present is None:
            return controller, None
        if not is_ours(present):
            maker = "Seldon Core's operator" if is_seldon_cores(present) else "somebody else"
            text = f'the {kind.kind} "{metadata["name"]}" exists and was made by {maker}'
            raise WorkloadRefused(f"{text}; delete it, or choose another name")
        if not scaled_by(present):
            return controller, present
        yielding = copy.deepcopy(controller)
        del yielding["spec"]["replicas"]
        return yielding, present

    async def _try(self, controller: Manifest, known: _WorkloadMemory) -> None:
        """Asks the API whether it would take the pods, before anything else changes. Raises
        WorkloadRefused."""
        content = digest(controller)
        if known.tried == content:
            return
        try:
            await self._client.apply(controller, field_manager=OURS, force=True, dry_run=True)
        except Invalid as error:
            raise WorkloadRefused(_explained(controller, error)) from error
        known.tried = content

    async def _put(self, manifest: Manifest, known: _WorkloadMemory) -> Manifest | None:
        """Applies an object around the pods. Returns the object of others in its place, which is left alone,
        None where there is none."""
        metadata = manifest["metadata"]
        present = await self._find(kind_of(manifest), metadata["name"], metadata["namespace"])
        if present is not None and not is_ours(present):
            return present
        if present is not None and _must_be_made_anew(present, manifest):
            await self._delete(present)
            present = None
        await self._apply(manifest, present, known)
        return None

    async def _apply(self, manifest: Manifest, present: Manifest | None, known: _WorkloadMemory) -> None:
        """Applies the object, unless it was applied before and is unchanged since."""
        if present is None or not known.applied.is_current(manifest, present):
            known.applied.note(manifest, await self._client.apply(manifest, field_manager=OURS, force=True))

    async def _prune(self, workload: Workload, wanted: Iterable[Manifest], known: _WorkloadMemory) -> None:
        """Deletes the objects of an earlier form of the workload; looks only when the form has changed."""
        keep = frozenset((kind_of(each), each["metadata"]["name"]) for each in wanted)
        if known.pruned == keep:
            return
        for kind in _CONTROLLERS:
            found = await self._find(kind, workload.name, workload.namespace)
            if found is not None and is_ours(found) and (kind, workload.name) not in keep:
                await self._delete(found)
        await self._delete_labelled(workload.namespace, workload.name, keep=keep)
        known.pruned = keep

    async def _delete_labelled(self, namespace: str, name: str, *, keep: frozenset[tuple[Kind, str]]) -> None:
        for kind in _COMPANIONS:
            listed = await self._client.list(kind, namespace, labels=f"{WORKLOAD_LABEL}={name}")
            for found in listed.items:
                if (kind, found["metadata"]["name"]) not in keep:
                    await self._delete(found)

    async def _find(self, kind: Kind, name: str, namespace: str) -> Manifest | None:
        try:
            return await self._client.get(kind, name, namespace)
        except NotFound:
            return None

    async def _delete(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        log.info(
            "object deleted",
            kind=manifest["kind"],
            namespace=metadata["namespace"],
            name=metadata["name"],
        )
        try:
            await self._client.delete(
                kind_of(manifest),
                metadata["name"],
                metadata["namespace"],
                uid=metadata["uid"],
                propagation="Background",
            )
        except (NotFound, Conflict):
            return


def _unmade(controller: Manifest, pods: int) -> str:
    """Returns where to look for the reason why pods of a StatefulSet are not made: its status has none, and
    a quota or an admission rule may refuse them all."""
    missing = int(controller["spec"].get("replicas", 1)) - pods
    looked_at = (controller.get("status") or {}).get("observedGeneration") == controller["metadata"][
        "generation"
    ]
    if controller["kind"] == DEPLOYMENT.kind or missing <= 0 or not looked_at:
        return ""
    command = f"kubectl describe statefulset {controller['metadata']['name']}"
    return f"{counted(missing, 'pod')} not made yet; if that stays so, `{command}` says why"


def _must_be_made_anew(present: Manifest, wanted: Manifest) -> bool:
    """Says whether a Service has fields that no apply takes away: a selector, a name outside, or the nature
    of its address."""
    if present["kind"] != SERVICE.kind:
        return False
    before, after = present["spec"], wanted["spec"]
    if before.get("selector") and not after.get("selector"):
        return True
    if before.get("externalName") and after.get("type") != "ExternalName":
        return True
    was_headless, is_headless = (spec.get("clusterIP") == "None" for spec in (before, after))
    return is_headless and not was_headless


def _explained(controller: Manifest, error: Invalid) -> str:
    text = "; ".join(f"{problem.path}: {problem.message}" for problem in error.problems) or error.message
    if _FIXED in text:
        name = controller["metadata"]["name"]
        hint = f"kubectl delete statefulset {name} --cascade=orphan"
        return f"{text}; to change them all the same: {hint} (pods and claims stay, it is made anew)"
    return text
