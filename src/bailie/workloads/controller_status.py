"""The status of a StatefulSet or a Deployment from its Pods, as a cluster's controllers write it. Pure.

Called by `pod_controllers`. `kubectl rollout status` and `kubectl wait` read these fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.kinds import STATEFUL_SET
from bailie.workloads.replicas import HASH_LABEL, is_ready

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.manifests.workload import Manifest


def controller_status_of(
    controller: Manifest, pods: Sequence[Manifest], template_hash: str, refusal: str = ""
) -> dict[str, Any]:
    """Returns the status: pods that exist, are ready, and are of the newest template.

    `refusal`: why pods that are missing are not made, empty where they are being made.
    """
    wanted = int(controller["spec"]["replicas"])
    ready = sum(map(is_ready, pods))
    updated = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(HASH_LABEL) == template_hash]
    status = {
        "observedGeneration": controller["metadata"].get("generation", 1),
        "replicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "updatedReplicas": len(updated),
    }
    done = len(pods) == wanted == len(updated) == ready
    refused = [_refused(refusal)] if refusal else []
    if controller["kind"] == STATEFUL_SET.kind:
        return {**status, **_revisions(controller, template_hash, done=done), "conditions": refused}
    missing = max(0, wanted - ready)
    conditions = [*_conditions(controller, available=not missing, done=done), *refused]
    return {**status, "unavailableReplicas": missing, "conditions": conditions}


def _refused(refusal: str) -> Manifest:
    """Returns the condition that a cluster writes for Deployments alone; the operator tells it of both."""
    return {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refusal}


def _revisions(controller: Manifest, template_hash: str, *, done: bool) -> dict[str, str]:
    """Returns the revision that a StatefulSet goes to, and the one that it comes from until all pods have
    followed."""
    newest = f"{controller['metadata']['name']}-{template_hash}"
    before = (controller.get("status") or {}).get("currentRevision")
    return {"updateRevision": newest, "currentRevision": newest if done or not before else before}


def _conditions(controller: Manifest, *, available: bool, done: bool) -> list[Manifest]:
    name = controller["metadata"]["name"]
    return [
        {
            "type": "Available",
            "status": "True" if available else "False",
            "reason": "MinimumReplicasAvailable" if available else "MinimumReplicasUnavailable",
            "message": f'Deployment "{name}" has {"" if available else "not "}all its pods ready',
        },
        {
            "type": "Progressing",
            "status": "True",
            "reason": "NewReplicaSetAvailable" if done else "ReplicaSetUpdated",
            "message": f'Deployment "{name}" {"runs its newest template" if done else "replaces pods"}',
        },
    ]
