"""Reconciles SeldonRuntimes: a scheduler and Envoys for each namespace.

Run by a Controller with keys. It reads the world, converges the workloads through the port and reports; it
makes no pods and knows no Models. What it makes is owned by the runtime, so deletion is the API's work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import SELDON_CONFIG, SELDON_RUNTIME
from bailie.api.seldon_config import RUN_COMPONENTS, SeldonConfig
from bailie.api.seldon_runtime import SeldonRuntime
from bailie.api.status import Condition, happy
from bailie.kube.controller import Result
from bailie.kube.errors import ApiError, Conflict, Unreachable
from bailie.manifests.runtime import missing_components, runtime_workloads
from bailie.operator.conditions import (
    COMPONENT_CONDITIONS,
    left_out_condition,
    not_ready,
    refused,
    without_template,
    workload_condition,
)
from bailie.operator.pins import Pins
from bailie.operator.world import Missing

if TYPE_CHECKING:
    from bailie.kube.client import Object
    from bailie.kube.informer import Key
    from bailie.manifests.workload import Workload
    from bailie.operator.reporter import Reporter
    from bailie.operator.world import World
    from bailie.workloads.port import Workloads

RESYNC_SECONDS = 300.0
"""How often everything is looked at without a cause, to repair what no watch shows."""
PENDING_SECONDS = 1.0
"""How soon to look again while the configurations are not listed yet."""


class RuntimeReconciler:
    """Makes the components of SeldonRuntimes run."""

    def __init__(self, world: World, workloads: Workloads, reporter: Reporter) -> None:
        self._world = world
        self._workloads = workloads
        self._reporter = reporter
        self._pins = Pins()

    def forget(self, uid: str) -> None:
        """Drops what was remembered of a runtime that is gone."""
        self._pins.forget(uid)
        self._reporter.forget(uid)

    async def reconcile(self, key: Key) -> Result | None:
        """Converges on one runtime. Raises ApiError."""
        manifest = self._world.get(SELDON_RUNTIME, key)
        if (
            manifest is None
            or not self._world.is_known(key[0])
            or manifest["metadata"].get("deletionTimestamp")
        ):
            return None
        runtime, problems = SeldonRuntime.parse(manifest)
        self._reporter.warn(manifest, problems)
        if runtime is None:
            await self._reporter.report(manifest, [refused(problems)])
            return Result(RESYNC_SECONDS)
        first = self._first_of(key[0])
        if first != key[1]:
            text = f'the namespace has the SeldonRuntime "{first}" already; delete one of the two'
            await self._reporter.report(manifest, [not_ready("AnotherRuntime", text)])
            return Result(RESYNC_SECONDS)
        return await self._converge(manifest, runtime)

    def _first_of(self, namespace: str) -> str:
        """Returns the name of the runtime that holds: the oldest one."""
        ages = [
            (item["metadata"].get("creationTimestamp", ""), item["metadata"]["name"])
            for item in self._world.objects(SELDON_RUNTIME, namespace)
        ]
        return str(min(ages)[1])

    async def _converge(self, manifest: Object, runtime: SeldonRuntime) -> Result:
        found = self._pins.kept(manifest) or self._world.config(
            SELDON_CONFIG, runtime.spec.seldon_config, runtime.metadata.namespace
        )
        if isinstance(found, Missing):
            if found.pending:
                return Result(PENDING_SECONDS)
            await self._reporter.report(manifest, [not_ready("SeldonConfigNotFound", found.message)])
            return Result(RESYNC_SECONDS)
        config, problems = SeldonConfig.parse(found)
        if config is None:
            text = f'SeldonConfig "{runtime.spec.seldon_config}": {refused(problems).message}'
            await self._reporter.report(manifest, [not_ready("SeldonConfigInvalid", text)])
            return Result(RESYNC_SECONDS)
        self._pins.keep(manifest, found)
        conditions = await self._components(manifest, runtime, config)
        await self._reporter.report(manifest, [*conditions, happy(conditions, COMPONENT_CONDITIONS.values())])
        return Result(RESYNC_SECONDS)

    async def _components(
        self, manifest: Object, runtime: SeldonRuntime, config: SeldonConfig
    ) -> list[Condition]:
        try:
            return await self._run(runtime, config)
        except (Conflict, Unreachable):
            raise
        except ApiError as error:
            text = f"what the runtime needs could not be made: {error}"
            await self._reporter.report(manifest, [not_ready("WorkloadFailed", text)])
            raise

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
