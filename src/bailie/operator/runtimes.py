"""Reconciles SeldonRuntimes: a scheduler and Envoys for each namespace. Knows no Models and makes no pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import SELDON_RUNTIME
from bailie.api.seldon_config import RUN_COMPONENTS, SeldonConfig
from bailie.api.seldon_runtime import SeldonRuntime
from bailie.api.status import Condition, happy
from bailie.manifests.runtime import missing_components, runtime_workloads
from bailie.operator.conditions import (
    COMPONENT_CONDITIONS,
    left_out_condition,
    not_ready,
    without_template,
    workload_condition,
)
from bailie.operator.reconciler import Reconciler

if TYPE_CHECKING:
    from bailie.kube.client import Object
    from bailie.manifests.workload import Workload


class RuntimeReconciler(Reconciler[SeldonRuntime, SeldonConfig]):
    """Makes the components of SeldonRuntimes run."""

    resource = SeldonRuntime
    config = SeldonConfig

    def config_name(self, resource: SeldonRuntime) -> str:
        """Returns the SeldonConfig's name."""
        return resource.spec.seldon_config

    def objection(self, resource: SeldonRuntime) -> Condition | None:
        """Only the oldest runtime of a namespace is served."""
        first = self._first_of(resource.metadata.namespace)
        if first == resource.metadata.name:
            return None
        text = f'the namespace has the SeldonRuntime "{first}" already; delete one of the two'
        return not_ready("AnotherRuntime", text)

    def _first_of(self, namespace: str) -> str:
        ages = [
            (item["metadata"].get("creationTimestamp", ""), item["metadata"]["name"])
            for item in self._world.objects(SELDON_RUNTIME, namespace)
        ]
        return str(min(ages)[1])

    async def converge(self, manifest: Object, resource: SeldonRuntime, config: SeldonConfig) -> None:
        """Makes the components run and reports one condition for each."""
        conditions = await self._run(resource, config)
        await self._reporter.report(manifest, [*conditions, happy(conditions, COMPONENT_CONDITIONS.values())])

    async def _run(self, runtime: SeldonRuntime, config: SeldonConfig) -> list[Condition]:
        """Ensures and removes first, then observes, so that what was started has had time to be seen."""
        namespace = runtime.metadata.namespace
        workloads = {workload.name: workload for workload in runtime_workloads(runtime, config)}
        missing = missing_components(runtime, config)
        for name in RUN_COMPONENTS:
            if name in workloads:
                await self._workloads.ensure(workloads[name])
            elif name not in missing:
                await self._workloads.remove(namespace, name)
        return [
            without_template(name, config.metadata.name)
            if name in missing
            else await self._condition(runtime, name, workloads.get(name))
            for name in RUN_COMPONENTS
        ]

    async def _condition(self, runtime: SeldonRuntime, name: str, workload: Workload | None) -> Condition:
        absent = left_out_condition(runtime, name)
        if absent is not None or workload is None:
            return absent or without_template(name, runtime.spec.seldon_config)
        seen = await self._workloads.observe(workload.namespace, name)
        return workload_condition(COMPONENT_CONDITIONS[name], workload.replicas, seen)
