"""The pods of a workload: its own, and those that it takes or lets go, as a cluster's controllers do. Pure.

Called by `pod_controllers`, which writes the changes. A controller adopts pods without a controller that its
selector matches and whose names it would give, and releases its own pods once their labels no longer match.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.workloads.replicas import ordinal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.manifests.workload import Manifest, Workload


@dataclass(frozen=True, slots=True)
class PodOwners:
    """The pods that a workload owns and keeps, those that it adopts, and those that it releases."""

    kept: tuple[Manifest, ...]
    adopted: tuple[Manifest, ...]
    released: tuple[Manifest, ...]


def pod_owners(workload: Workload, pods: Iterable[Manifest]) -> PodOwners:
    """Returns the pods of a namespace that concern the workload. A pod that ends keeps its owner."""
    kept, adopted, released = [], [], []
    for pod in pods:
        matches, going = _matches(workload.selector, pod), pod["metadata"].get("deletionTimestamp")
        controller = controller_of(pod)
        if controller is not None and controller["uid"] == workload.owner["uid"]:
            (kept if matches or going else released).append(pod)
        elif controller is None and matches and not going and _is_named_after(workload, pod):
            adopted.append(pod)
    return PodOwners(tuple(kept), tuple(adopted), tuple(released))


def controller_of(pod: Manifest) -> Manifest | None:
    """Returns the reference to the owner that controls the pod."""
    owners: list[Manifest] = pod["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def with_owner(pod: Manifest, owner: Mapping[str, object]) -> list[Manifest]:
    """Returns the ownerReferences of a pod that the workload has adopted."""
    return [*(pod["metadata"].get("ownerReferences") or ()), dict(owner)]


def without_owner(pod: Manifest, uid: str) -> list[Manifest]:
    """Returns the ownerReferences of a pod that the workload of this uid has released."""
    return [owner for owner in pod["metadata"].get("ownerReferences") or () if owner["uid"] != uid]


def _matches(selector: Mapping[str, str], pod: Manifest) -> bool:
    return selector.items() <= (pod["metadata"].get("labels") or {}).items()


def _is_named_after(workload: Workload, pod: Manifest) -> bool:
    name = str(pod["metadata"]["name"])
    return ordinal(pod) >= 0 and name.rpartition("-")[0] == workload.name
