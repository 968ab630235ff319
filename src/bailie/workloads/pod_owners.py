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
class Claimed:
    """The objects that a controller owns and keeps, those that it adopts, and those that it releases."""

    kept: tuple[Manifest, ...]
    adopted: tuple[Manifest, ...]
    released: tuple[Manifest, ...]


def pods_claimed(workload: Workload, pods: Iterable[Manifest]) -> Claimed:
    """Returns the pods of a namespace that concern the workload."""
    named = [pod for pod in pods if controller_of(pod) is not None or _is_named_after(workload, pod)]
    return claimed(workload.owner["uid"], workload.selector, named)


def claimed(uid: str, selector: Mapping[str, str], objects: Iterable[Manifest]) -> Claimed:
    """Returns the objects that concern the controller of this uid. An object that ends keeps its owner."""
    kept: list[Manifest] = []
    adopted: list[Manifest] = []
    released: list[Manifest] = []
    for each in objects:
        matches = selector.items() <= (each["metadata"].get("labels") or {}).items()
        controller, going = controller_of(each), each["metadata"].get("deletionTimestamp")
        if controller is not None and controller["uid"] == uid:
            (kept if matches or going else released).append(each)
        elif controller is None and matches and not going:
            adopted.append(each)
    return Claimed(tuple(kept), tuple(adopted), tuple(released))


def controller_of(item: Manifest) -> Manifest | None:
    """Returns the reference to the owner that controls the object."""
    owners: list[Manifest] = item["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def with_owner(item: Manifest, owner: Mapping[str, object]) -> list[Manifest]:
    """Returns the ownerReferences of an object that was adopted."""
    return [*(item["metadata"].get("ownerReferences") or ()), dict(owner)]


def without_owner(item: Manifest, uid: str) -> list[Manifest]:
    """Returns the ownerReferences of an object that the controller of this uid has released."""
    return [owner for owner in item["metadata"].get("ownerReferences") or () if owner["uid"] != uid]


def _is_named_after(workload: Workload, pod: Manifest) -> bool:
    name = str(pod["metadata"]["name"])
    return ordinal(pod) >= 0 and name.rpartition("-")[0] == workload.name
