"""The workloads port on a laptop: Pods in the embedded API, which the node runs as processes.

Made by `cli.processes` for the operator, which runs runtimes and servers by it, and by the supervisor for the
operator itself. Each call observes the Pods and takes the next steps; the caller calls again when a Pod has
changed. It starts no
process: only the node does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import CONFIG_MAP, ENDPOINT_SLICE, POD, SERVICE
from bailie.kube.client import kind_of
from bailie.kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from bailie.manifests.objects import WORKLOAD_LABEL, is_ours
from bailie.workloads.port import Observation, WorkloadRefused
from bailie.workloads.replicas import (
    complaint,
    hash_template,
    is_ready,
    next_steps,
    ordinal,
    pod_manifest,
    with_host_ports,
)

if TYPE_CHECKING:
    from bailie.api.kinds import Kind
    from bailie.kube.client import Client
    from bailie.manifests.workload import Manifest, Workload

log = structlog.get_logger(__name__)
_FIELD_MANAGER = "bailie-workloads"
_OBJECT_KINDS = (SERVICE, CONFIG_MAP, ENDPOINT_SLICE)


class LocalWorkloads:
    """Implements `Workloads` with Pods."""

    watched: tuple[Kind, ...] = (POD, SERVICE)

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tried: dict[tuple[str, str], str] = {}
        """By workload: the hash of the template that the API would take."""

    async def ensure(self, workload: Workload) -> None:
        """Converges on the workload. Raises ApiError, and WorkloadRefused for pods that the API would not
        take."""
        await self._try(workload)
        objects = [await self._apply(workload, manifest) for manifest in workload.objects]
        await self._prune(workload)
        services = [each for each in objects if each["kind"] == SERVICE.kind]
        template = with_host_ports(workload.template, services)
        template_hash = hash_template(template, workload.volume_claim_templates)
        steps = next_steps(workload, template_hash, await self._pods(workload.namespace, workload.name))
        for name in steps.delete:
            log.info("pod deleted", namespace=workload.namespace, pod=name)
            await self._delete(POD, name, workload.namespace)
        for number in steps.create:
            await self._create(pod_manifest(workload, template, template_hash, number))

    async def _try(self, workload: Workload) -> None:
        """Asks the API whether it would take the pods, before the first one goes for it. Raises
        WorkloadRefused."""
        key = (workload.namespace, workload.name)
        content = hash_template(workload.template, workload.volume_claim_templates)
        if not workload.template or self._tried.get(key) == content:  # or it is made of objects alone
            return
        try:
            await self._client.create(pod_manifest(workload, workload.template, content, 0), dry_run=True)
        except AlreadyExists:
            pass  # there is one of the same name; the new one was looked at all the same
        except Invalid as error:
            problems = [f"{problem.path}: {problem.message}" for problem in error.problems]
            raise WorkloadRefused("; ".join(problems) or error.message) from error
        self._tried[key] = content

    async def remove(self, namespace: str, name: str) -> None:
        """Deletes the pods and objects. Raises ApiError."""
        for kind in (POD, *_OBJECT_KINDS):
            for found in (await self._labelled(kind, namespace, name))[::-1]:
                await self._delete(kind, found["metadata"]["name"], namespace)

    async def observe(self, namespace: str, name: str) -> Observation:
        """Counts pods; the message is the first complaint of a pod that is not ready. Raises ApiError."""
        pods = await self._pods(namespace, name)
        complaints = [complaint(pod) for pod in pods if not is_ready(pod)]
        return Observation(
            replicas=len(pods),
            ready_replicas=sum(map(is_ready, pods)),
            message=next((each for each in complaints if each), ""),
        )

    async def _pods(self, namespace: str, name: str) -> list[Manifest]:
        return sorted(await self._labelled(POD, namespace, name), key=ordinal)

    async def _labelled(self, kind: Kind, namespace: str, name: str) -> list[Manifest]:
        found = await self._client.list(kind, namespace, labels=f"{WORKLOAD_LABEL}={name}")
        return found.items

    async def _apply(self, workload: Workload, manifest: Manifest) -> Manifest:
        metadata = manifest["metadata"]
        labels = {**(metadata.get("labels") or {}), WORKLOAD_LABEL: workload.name}
        complete = {
            **manifest,
            "metadata": {
                **metadata,
                "namespace": workload.namespace,
                "labels": labels,
                "ownerReferences": [dict(workload.owner)] if workload.owner else [],
            },
        }
        try:
            present = await self._client.get(kind_of(manifest), metadata["name"], workload.namespace)
        except NotFound:
            present = complete
        if not is_ours(present):
            return present
        return await self._client.apply(complete, field_manager=_FIELD_MANAGER, force=True)

    async def _prune(self, workload: Workload) -> None:
        """Deletes objects that went with an earlier form of the workload."""
        wanted = {(kind_of(each), each["metadata"]["name"]) for each in workload.objects}
        for kind in _OBJECT_KINDS:
            for found in await self._labelled(kind, workload.namespace, workload.name):
                name = found["metadata"]["name"]
                if (kind, name) not in wanted:
                    await self._delete(kind, name, workload.namespace)

    async def _create(self, pod: Manifest) -> None:
        metadata = pod["metadata"]
        try:
            await self._client.create(pod)
        except AlreadyExists:  # another reconcile was first; the Pod's change brings us back
            return
        log.info("pod created", namespace=metadata["namespace"], pod=metadata["name"])

    async def _delete(self, kind: Kind, name: str, namespace: str) -> None:
        try:
            await self._client.delete(kind, name, namespace)
        except (NotFound, Conflict):
            return
