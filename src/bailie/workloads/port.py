"""The port between the operator and what runs pods: the one place where laptop and cluster differ.

The operator calls it; `workloads.local` (Pods of the embedded API, run as processes by the node) and,
on a cluster, the Kubernetes adapter implement it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bailie.manifests.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What runs of a workload now. `message` says what is wrong, empty when nothing is."""

    replicas: int
    ready_replicas: int
    message: str = ""


class Workloads(Protocol):
    """Keeps groups of identical pods with stable names, and the objects that go with them."""

    async def ensure(self, workload: Workload) -> None:
        """Converges on the workload: creates, changes, scales. Safe to repeat."""

    async def remove(self, namespace: str, name: str) -> None:
        """Deletes the workload's pods and objects; does nothing where there are none."""

    async def observe(self, namespace: str, name: str) -> Observation:
        """Counts what is there now."""
