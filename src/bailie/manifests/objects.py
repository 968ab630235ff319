"""Small pieces that several manifests share: owners, Services, labels to carry over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MLOPS_GROUP
from bailie.wellknown import labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bailie.api.resource import Resource
    from bailie.manifests.workload import Manifest

NAME_LABEL = labels.NAME
MANAGED_BY_LABEL = labels.MANAGED_BY
MANAGED_BY = "bailie"
WORKLOAD_LABEL = labels.WORKLOAD
"""On everything that an adapter makes, with the name of the workload that it belongs to."""
_NOT_CARRIED = (
    "helm.sh/", "meta.helm.sh/", "kubectl.kubernetes.io/", MANAGED_BY_LABEL, WORKLOAD_LABEL, labels.HELD,
)  # fmt: skip


def owner_reference(resource: Resource) -> Manifest:
    """Returns the ownerReference that ties the objects made for `resource` to it."""
    kind = resource.resource_kind
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": resource.metadata.name,
        "uid": resource.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def described(resource: Resource) -> str:
    """Returns a resource's kind, name and namespace in words."""
    metadata = resource.metadata
    return f'{resource.resource_kind.kind} "{metadata.name}" of namespace {metadata.namespace}'


def carried(values: Mapping[str, str]) -> dict[str, str]:
    """Returns labels or annotations that go from a resource to its pods: not those of Helm, of kubectl,
    and for the workload itself."""
    return {key: value for key, value in values.items() if not key.startswith(_NOT_CARRIED)}


def is_ours(manifest: Manifest) -> bool:
    """Says whether Bailie made an object. Anything else that has a name of ours is left alone."""
    return WORKLOAD_LABEL in (manifest["metadata"].get("labels") or {})


def is_seldon_cores(manifest: Manifest) -> bool:
    """Says whether Seldon Core's operator made an object: it belongs to a resource, and we did not make it.

    That operator may still be at work: it runs in a namespace that ours may not look into.
    """
    owners = manifest["metadata"].get("ownerReferences") or ()
    belongs = any(str(owner.get("apiVersion", "")).startswith(f"{MLOPS_GROUP}/") for owner in owners)
    return belongs and not is_ours(manifest)


def port(name: str, number: int, target: str | int | None = None) -> Manifest:
    """Returns a Service port that leads to the container port of the same name, or to `target`, a name or a
    number."""
    return {"name": name, "port": number, "targetPort": target or name, "protocol": "TCP"}


def service(
    namespace: str, name: str, spec: Mapping[str, Any], *, labels: Mapping[str, str] | None = None
) -> Manifest:
    """Returns a Service."""
    metadata: Manifest = {"name": name, "namespace": namespace}
    if labels:
        metadata["labels"] = dict(labels)
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": dict(spec)}


def headless(selector: Mapping[str, str], ports: Sequence[Manifest]) -> Manifest:
    """Returns the spec of a Service that names its pods from the first moment, ready or not."""
    return {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": dict(selector),
        "ports": list(ports),
    }
