"""The port between the operator and the adapter that runs pods.

The operator calls it; `workloads.kubernetes` implements it, on a cluster and on a laptop, whose controllers
make Pods of the same objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.api.kinds import Kind
    from bailie.manifests.workload import Manifest, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The running pods of a workload. `message` says why they are not all ready, empty when they are.

    `scaled_by` names the manager that sets the number of replicas when that is not the workload: an
    autoscaler or a person on a cluster; `wanted` is then their number.
    """

    replicas: int
    ready_replicas: int
    message: str = ""
    scaled_by: str = ""
    wanted: int | None = None


class WorkloadRefused(Exception):  # noqa: N818 - what became of it
    """The workload cannot be as it is asked for, and nothing of it was changed. The text is for people."""


class Workloads(Protocol):
    """Keeps groups of identical pods, and the objects that go with them.

    An object of the same name that was made by others is left alone.
    """

    watched: tuple[Kind, ...]
    """Kinds whose changes call for another look."""

    async def ensure(self, workload: Workload) -> Sequence[Manifest]:
        """Converges on the workload: creates, changes, scales. Safe to repeat.

        Returns the objects of others that are in the places of its own, and are left alone. Raises ApiError,
        and WorkloadRefused for a workload that cannot be made: then nothing was changed.
        """

    async def remove(self, namespace: str, name: str) -> None:
        """Deletes the workload's pods and objects; does nothing where there are none."""

    async def observe(self, namespace: str, name: str) -> Observation:
        """Counts the pods that exist now."""

    def forget(self, namespace: str, name: str) -> None:
        """Drops what is remembered of a workload whose owner was deleted; touches no object."""

    def forget_namespace(self, namespace: str) -> None:
        """Drops what is remembered of all workloads of a namespace; touches no object."""
