"""A workload: a group of identical pods, as a value between operator and adapters.

Built by `manifests` from SeldonRuntime, Server and their configs; realised by `workloads`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Manifest = dict[str, Any]
"""A Kubernetes object as plain JSON data."""


def container_names(pod_spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of the containers of a PodSpec, in its order."""
    found = pod_spec.get("containers") or ()
    return tuple(str(each.get("name") or "") for each in found if isinstance(each, dict))


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Pods `<name>-0` … `<name>-<replicas - 1>` made from one template, and the objects around them.

    The numbers begin at `first_ordinal`, where pods with the numbers below belong to somebody else.

    `template` is a PodTemplateSpec (`metadata` with labels and annotations, `spec`); `selector` the labels
    that tell the workload's pods from all others; `objects` are complete manifests (Services, ConfigMaps)
    that live and die with the workload; `owner` is the ownerReference for everything. `claim_retention` says
    what happens to the volume claims (`whenDeleted`, `whenScaled`: Retain or Delete); empty means Retain.
    `interchangeable` pods need no names of their own: where a cluster offers it, a new pod is ready before an
    old one ends, and a pod on a lost machine is replaced before the machine confirms its end. Without a
    template there are objects only.
    """

    namespace: str
    name: str
    replicas: int
    selector: Mapping[str, str]
    template: Manifest
    owner: Manifest
    objects: tuple[Manifest, ...] = ()
    volume_claim_templates: tuple[Manifest, ...] = ()
    claim_retention: Manifest = field(default_factory=dict)
    interchangeable: bool = False
    first_ordinal: int = 0
