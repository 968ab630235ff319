"""A workload as the objects of a cluster, whose controllers make the pods.

Called by `workloads.kubernetes`, which applies them. The pod template is the laptop's. Added here are the
parts that only a cluster has: how pods are spread over machines, replaced, and protected from drains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.kinds import DEPLOYMENT, POD_DISRUPTION_BUDGET, STATEFUL_SET
from bailie.manifests.objects import MANAGED_BY, MANAGED_BY_LABEL, NAME_LABEL, WORKLOAD_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.api.kinds import Kind
    from bailie.manifests.workload import Manifest, Workload

_SPREAD_OVER = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
_REVISIONS = 3
"""Templates that `kubectl rollout undo` can go back to; the resource that asks for the pods has the rest."""


def runs_as(workload: Workload) -> Kind:
    """Returns the kind that runs the pods: claims and names of their own need a StatefulSet."""
    if workload.interchangeable and not workload.volume_claim_templates:
        return DEPLOYMENT
    return STATEFUL_SET


def pod_controller(workload: Workload) -> Manifest | None:
    """Returns the StatefulSet or Deployment; None where the workload has no pods at all."""
    if not workload.template:
        return None
    kind = runs_as(workload)
    spec: dict[str, Any] = {
        "replicas": workload.replicas,
        "selector": {"matchLabels": dict(workload.selector)},
        "template": _template(workload),
        "revisionHistoryLimit": _REVISIONS,
        **(_stateful(workload) if kind is STATEFUL_SET else _surging()),
    }
    return _made(workload, kind, spec)


def companions(workload: Workload) -> list[Manifest]:
    """Returns the objects around the pods: Services, ConfigMaps, and the budget for drains."""
    objects = [_labelled(workload, manifest) for manifest in workload.objects]
    if not workload.template or not workload.replicas:
        return objects
    # One at a time: a lone pod can still be drained, for nothing is won by a drain that waits for ever.
    budget = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": dict(workload.selector)},
    }
    return [*objects, _made(workload, POD_DISRUPTION_BUDGET, budget)]


def _stateful(workload: Workload) -> dict[str, Any]:
    """Returns a StatefulSet. Parallel: replicas of a server do not wait for each other, and a template that
    no pod came up with can be put right: in order, the broken pod would have to become ready first."""
    spec: dict[str, Any] = {
        "serviceName": workload.name,
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate"},
    }
    if workload.first_ordinal:
        spec["ordinals"] = {"start": workload.first_ordinal}
    if workload.claim_retention:
        spec["persistentVolumeClaimRetentionPolicy"] = dict(workload.claim_retention)
    if workload.volume_claim_templates:
        spec["volumeClaimTemplates"] = [
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim}
            for claim in workload.volume_claim_templates
        ]
    return spec


def _surging() -> dict[str, Any]:
    """Returns an update by surge: a new pod is ready before an old one ends, and if no new pod gets ready,
    the old ones stay."""
    return {
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "progressDeadlineSeconds": 600,
    }


def _template(workload: Workload) -> Manifest:
    metadata = workload.template.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), **workload.selector, WORKLOAD_LABEL: workload.name}
    spec = dict(workload.template["spec"])
    spec.setdefault("topologySpreadConstraints", [_spread(key, workload.selector) for key in _SPREAD_OVER])
    return {
        "metadata": {"labels": labels, "annotations": dict(metadata.get("annotations") or {})},
        "spec": spec,
    }


def _spread(key: str, selector: Mapping[str, str]) -> Manifest:
    """Returns a preference to spread replicas over nodes; a cluster of one machine runs them all the same."""
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(selector)},
    }


def _made(workload: Workload, kind: Kind, spec: dict[str, Any]) -> Manifest:
    metadata = {"name": workload.name, "labels": {NAME_LABEL: _component(workload)}}
    return _labelled(
        workload, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}
    )


def _component(workload: Workload) -> str:
    labels = (workload.template.get("metadata") or {}).get("labels") or {}
    return str(labels.get(NAME_LABEL, workload.name))


def _labelled(workload: Workload, manifest: Manifest) -> Manifest:
    metadata = manifest["metadata"]
    own = {WORKLOAD_LABEL: workload.name, MANAGED_BY_LABEL: MANAGED_BY}
    complete = {
        **metadata,
        "namespace": workload.namespace,
        "labels": {**(metadata.get("labels") or {}), **own},
    }
    if workload.owner:
        complete["ownerReferences"] = [dict(workload.owner)]
    return {**manifest, "metadata": complete}
