"""Reconciles SeldonRuntimes: a scheduler and Envoys for each namespace. It knows no Models and makes no pods
itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.kinds import SERVER, SERVICE
from bailie.api.seldon_config import RUN_COMPONENTS, SCHEDULER, SeldonConfig
from bailie.api.seldon_runtime import SeldonRuntime
from bailie.api.status import Condition, happy, status_of
from bailie.kube.errors import Forbidden
from bailie.manifests.configuration import effective_configuration
from bailie.manifests.objects import is_ours
from bailie.manifests.pipeline_gateway import (
    PIPELINES_WORKLOAD,
    broker_warnings,
    gateway_is_left_out,
    pipeline_gateway_workload,
)
from bailie.manifests.runtime import (
    COMPONENT_SERVICES,
    component_origin,
    missing_components,
    runtime_workloads,
    tracing_status,
)
from bailie.operator.central_schedulers import central_namespace, hand_made
from bailie.operator.conditions import (
    COMPONENT_CONDITIONS,
    OWN_OBJECTS,
    PIPELINE_GATEWAY_READY,
    REMOTES,
    SCHEDULER_REFUSED,
    SERVED_HERE,
    left_out_condition,
    own_objects,
    own_services,
    pipeline_gateway,
    remotes_usable,
    scheduler_refused,
    served_here,
    service_taken,
    unmet,
    without_template,
    workload_condition,
)
from bailie.operator.reconciler import (
    OTHERS_SECONDS,
    PENDING_SECONDS,
    RESYNC_SECONDS,
    Ensured,
    Outcome,
    Reconciler,
)
from bailie.scope.central import let
from bailie.wellknown.names import PIPELINE_GATEWAY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.api.seldon_config import Configuration
    from bailie.kube.client import Object
    from bailie.manifests.workload import Workload
    from bailie.operator.reconciler import Using


class RuntimeReconciler(Reconciler[SeldonRuntime, SeldonConfig]):
    """Runs the components of SeldonRuntimes."""

    resource = SeldonRuntime
    config = SeldonConfig

    def config_name(self, resource: SeldonRuntime) -> str:
        """Returns the SeldonConfig's name."""
        return resource.spec.seldon_config

    def objection(self, resource: SeldonRuntime) -> Condition | None:
        """Refuses a runtime beside an older one of the namespace, or with a scheduler that may not serve
        it."""
        oldest = self._cache.runtime_of(resource.metadata.namespace)
        first = oldest["metadata"]["name"] if oldest else resource.metadata.name
        if first == resource.metadata.name:
            return super().objection(resource)
        text = f'the namespace has the SeldonRuntime "{first}" already; delete one of the two'
        return unmet("AnotherRuntime", text)

    async def converge(self, resource: SeldonRuntime, using: Using[SeldonConfig]) -> Outcome:
        """Runs the components and returns one condition for each."""
        namespace = resource.metadata.namespace
        serves = self._served_namespaces(resource)
        # Asked before anything is awaited: a namespace whose hand-over ends meanwhile is still in `serves`.
        waits = any(self._central_schedulers.hands_over(name) for name in serves)
        workloads = {
            workload.name: workload for workload in runtime_workloads(resource, using.config, serves=serves)
        }
        if not using.frozen:
            await self._note_served(resource, serves)
        found = {} if using.frozen else await self._run(resource, using.config, workloads)
        refusals = {name: each.refusal for name, each in found.items() if each.refusal}
        others = [each for one in found.values() for each in one.others if each["kind"] != SERVICE.kind]
        conditions = [
            await self._condition(resource, name, workloads.get(name), refusals.get(name, ""))
            for name in RUN_COMPONENTS
        ]
        taken = [hand_made(self._cache, namespace, name) for name in COMPONENT_SERVICES.values()]
        services = own_services([each for each in taken if each is not None])
        ready = happy(conditions, COMPONENT_CONDITIONS.values())
        made = not refusals and not using.frozen
        told = made and (serves or resource.status.served_namespaces)
        fields: dict[str, Any] = {"servedNamespaces": list(serves)} if told else {}
        if not using.frozen:
            fields["tracing"] = tracing_status(resource, using.config)
        conditions += self._remotes(resource)
        settings = effective_configuration(resource.spec.config, using.config.spec.config)
        gateways, more = await self._pipelines(resource, settings, frozen=using.frozen)
        others += more
        conditions += gateways
        if not using.frozen and not refusals:
            conditions += own_objects(others, resource.status.condition(OWN_OBJECTS))
        if resource.spec.fallback_mesh or resource.status.condition(SERVED_HERE):
            conditions.append(served_here(resource))
        again = PENDING_SECONDS if waits else OTHERS_SECONDS if others else RESYNC_SECONDS
        conditions += [services, ready]
        warnings = broker_warnings(settings)
        return Outcome(conditions, fields, made=not refusals, again=again, warnings=warnings)

    def _remotes(self, runtime: SeldonRuntime) -> list[Condition]:
        """Returns the condition of the configured remotes, once there has been a reason for one."""
        servers = self._cache.objects(SERVER, runtime.metadata.namespace)
        told = [status_of(each).get("remotesProblem") for each in servers]
        problems = list(dict.fromkeys(each for each in told if each and isinstance(each, str)))
        known = any(each.type == REMOTES for each in runtime.status.conditions)
        return [remotes_usable(problems)] if problems or known else []

    async def _pipelines(
        self, runtime: SeldonRuntime, settings: Configuration, *, frozen: bool
    ) -> tuple[list[Condition], list[Object]]:
        """Keeps the Server of the pipeline gateways while the scheduler tells of a Pipeline.

        Returns the condition of the gateways, once there has been a reason for one, and the objects of others
        in the places of those around the Server, of which that condition does not tell. An older Role keeps
        the Server back, and nothing else of the runtime. `frozen`: a Server that is there may not be changed.
        """
        namespace, wanted, refusal = runtime.metadata.namespace, runtime.status.has_pipelines, ""
        server = self._cache.get(SERVER, (namespace, PIPELINE_GATEWAY))
        others: list[Object] = []
        try:
            if wanted and not gateway_is_left_out(runtime) and not (frozen and server is not None):
                found = await self._workloads.ensure(pipeline_gateway_workload(runtime, settings))
                others = [each for each in found if each["kind"] != SERVER.kind]
            elif server is not None and is_ours(server) and not frozen:
                await self._workloads.remove(namespace, PIPELINES_WORKLOAD)
        except Forbidden as error:
            refusal = str(error)
        known = any(each.type == PIPELINE_GATEWAY_READY for each in runtime.status.conditions)
        told = wanted or known or refusal
        return [pipeline_gateway(runtime, server, refusal)] if told else [], others

    def _served_namespaces(self, runtime: SeldonRuntime) -> tuple[str, ...]:
        """Returns the other namespaces that the runtime's scheduler serves.

        A served namespace that is not listed just now stays served, and so does one whose own scheduler is
        not ready yet.
        """
        kept = {
            name
            for name in runtime.status.served_namespaces
            if not self._cache.is_known(name) or self._central_schedulers.hands_over(name)
        }
        served = self._central_schedulers.served_by(runtime.metadata.namespace)
        return tuple(sorted({*served, *let(runtime.spec.serves_namespaces, kept)}))

    async def _note_served(self, runtime: SeldonRuntime, serves: tuple[str, ...]) -> None:
        """Writes into the status which namespaces are served, before the scheduler is told of a new one.

        An operator that ends between the two writes has a successor that keeps the new one, too: the status
        is all that the successor knows of a namespace that is not listed yet.
        """
        before = runtime.status.served_namespaces
        if not set(serves) <= set(before):
            fields = {"servedNamespaces": sorted({*serves, *before})}
            await self._reporter.note(runtime.metadata, fields)

    async def _run(
        self, runtime: SeldonRuntime, config: SeldonConfig, workloads: Mapping[str, Workload]
    ) -> dict[str, Ensured]:
        """Ensures and removes the workloads before any is observed, so that started pods can be seen."""
        missing = missing_components(runtime, config)
        for name in RUN_COMPONENTS:
            if name not in workloads and name not in missing:
                await self._workloads.remove(runtime.metadata.namespace, name)
        return {
            name: await self._ensure(workload, component_origin(config, name))
            for name, workload in workloads.items()
        }

    async def _condition(
        self, runtime: SeldonRuntime, name: str, workload: Workload | None, refusal: str
    ) -> Condition:
        namespace, condition = runtime.metadata.namespace, COMPONENT_CONDITIONS[name]
        service = hand_made(self._cache, namespace, COMPONENT_SERVICES[name])
        absent = left_out_condition(runtime, name, service)
        if absent is not None or workload is None:
            nobody = self._nobody_there(runtime, name)
            return nobody or absent or without_template(name, runtime.spec.seldon_config)
        if refusal:
            return unmet("Refused", f"running pods stay as they are: {refusal}", condition)
        if service is not None and name == SCHEDULER:
            return service_taken(service, name)
        seen = await self._workloads.observe(namespace, name)
        return workload_condition(condition, workload.replicas, seen)

    def _nobody_there(self, runtime: SeldonRuntime, name: str) -> Condition | None:
        """Says that no scheduler will serve this namespace, where that is certain."""
        namespace = runtime.metadata.namespace
        other = central_namespace(self._cache, namespace) if name == SCHEDULER else ""
        if other and other == self._central_schedulers.refused_by(namespace):
            text = scheduler_refused(other, namespace)
            return unmet(SCHEDULER_REFUSED, text, COMPONENT_CONDITIONS[name])
        if other and other not in self._cache.served.namespaces:
            if other != runtime.spec.scheduler_namespace:  # by hand: somebody else may see to it
                return None
            text = (
                f"this operator does not serve namespace {other}, so it cannot tell its scheduler of this one"
            )
        elif not other or not self._cache.is_known(other) or self._cache.runtime_of(other) is not None:
            return None
        else:
            text = f"namespace {other} is to serve this one and has no SeldonRuntime, so no scheduler either"
        return unmet("NoScheduler", text, COMPONENT_CONDITIONS[name])
