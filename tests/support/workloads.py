"""The workloads port in memory: what was asked for, and as many ready pods as a test says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import POD, SERVICE
from bailie.workloads.port import Observation

if TYPE_CHECKING:
    from bailie.api.kinds import Kind
    from bailie.manifests.workload import Workload


@dataclass
class MemoryWorkloads:
    """`running` are the workloads by (namespace, name); `ready` caps how many pods of each are ready.

    `refusals` are raised by `ensure`, by name, and `others` are the objects of others that it returns.
    """

    watched: tuple[Kind, ...] = (POD, SERVICE)
    running: dict[tuple[str, str], Workload] = field(default_factory=dict)
    ensured: list[tuple[str, str]] = field(default_factory=list)
    removed: list[tuple[str, str]] = field(default_factory=list)
    ready: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, Exception] = field(default_factory=dict)
    others: dict[str, list[Any]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    message: str = ""

    async def ensure(self, workload: Workload) -> list[Any]:
        if workload.name in self.refusals:
            self.refused.append(workload.name)
            raise self.refusals[workload.name]
        self.ensured.append((workload.namespace, workload.name))
        self.running[workload.namespace, workload.name] = workload
        return self.others.get(workload.name, [])

    async def remove(self, namespace: str, name: str) -> None:
        self.removed.append((namespace, name))
        self.running.pop((namespace, name), None)

    def forget(self, namespace: str, name: str) -> None:
        pass

    def forget_namespace(self, namespace: str) -> None:
        pass

    async def observe(self, namespace: str, name: str) -> Observation:
        workload = self.running.get((namespace, name))
        replicas = workload.replicas if workload else 0
        ready = min(replicas, self.ready.get(name, replicas))
        return Observation(replicas=replicas, ready_replicas=ready, message=self.message)
