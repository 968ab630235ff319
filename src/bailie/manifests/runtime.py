"""A SeldonRuntime and its SeldonConfig as workloads: the scheduler and the Envoys of one namespace.

Called by the operator. A component that is disabled, or served from another namespace, is left out; what is
left out and not in the result is to be removed. Its Service stays only where that is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from bailie.api.seldon_config import ENVOY, RUN_COMPONENTS, SCHEDULER
from bailie.manifests.configuration import effective_configuration
from bailie.manifests.objects import NAME_LABEL, headless, owner_reference, port, service
from bailie.manifests.podspec import merge_pod_spec
from bailie.manifests.workload import Workload

if TYPE_CHECKING:
    from bailie.api.seldon_config import Component, Configuration, SeldonConfig
    from bailie.api.seldon_runtime import Override, SeldonRuntime
    from bailie.manifests.workload import Manifest

MESH_SERVICE = "seldon-mesh"
AGENT_CONFIG_MAP = "seldon-agent"
DEFAULT_SERVICE_TYPE = "LoadBalancer"


def missing_components(runtime: SeldonRuntime, config: SeldonConfig) -> list[str]:
    """Returns the components that are wanted and have no pod template in config or override."""
    templates = {component.name for component in config.spec.components if component.pod_spec}
    return [
        name
        for name in RUN_COMPONENTS
        if not left_out(runtime, name) and name not in templates and not runtime.override(name).pod_spec
    ]


def left_out(runtime: SeldonRuntime, component: str) -> bool:
    """Says whether the runtime has no such component of its own."""
    return runtime.override(component).disable or (
        component == SCHEDULER
        and runtime.spec.scheduler_namespace not in (None, "", runtime.metadata.namespace)
    )


def runtime_workloads(runtime: SeldonRuntime, config: SeldonConfig) -> list[Workload]:
    """Returns the workloads of the runtime; of a component without a template there is none."""
    settings = effective_configuration(runtime.spec.config, config.spec.config)
    templates = {component.name: component for component in config.spec.components}
    missing = missing_components(runtime, config)
    found = []
    for name in RUN_COMPONENTS:
        override = runtime.override(name)
        objects = _objects(runtime, override, settings)
        if name in missing or (left_out(runtime, name) and not objects):
            continue
        found.append(_workload(runtime, override, templates.get(name), objects))
    return found


def _workload(
    runtime: SeldonRuntime, override: Override, component: Component | None, objects: tuple[Manifest, ...]
) -> Workload:
    selector = {NAME_LABEL: override.name}
    base = component.pod_spec if component and component.pod_spec else {}
    labels = {**(component.labels if component else {}), **selector}
    annotations = dict(component.annotations) if component else {}
    replicas = 1 if override.replicas is None else override.replicas
    claims = component.volume_claim_templates if component else ()
    return Workload(
        namespace=runtime.metadata.namespace,
        name=override.name,
        replicas=0 if left_out(runtime, override.name) else replicas,
        selector=selector,
        template={
            "metadata": {"labels": labels, "annotations": annotations},
            "spec": merge_pod_spec(base, override.pod_spec),
        },
        owner=owner_reference(runtime),
        objects=objects,
        volume_claim_templates=tuple({"metadata": {"name": c.name}, "spec": c.spec} for c in claims),
        interchangeable=True,
    )


def _objects(runtime: SeldonRuntime, override: Override, settings: Configuration) -> tuple[Manifest, ...]:
    namespace = runtime.metadata.namespace
    if override.name == ENVOY:
        if override.disable and not override.keep_service:
            return ()
        return (_mesh_service(namespace, override, settings),)
    elsewhere = runtime.spec.scheduler_namespace
    if elsewhere and elsewhere != namespace:
        return (_scheduler_alias(namespace, elsewhere), _agent_config(namespace, settings))
    if override.disable:
        return (_scheduler_service(namespace, settings),) if override.keep_service else ()
    return (_scheduler_service(namespace, settings), _agent_config(namespace, settings))


def _scheduler_service(namespace: str, settings: Configuration) -> Manifest:
    prefix = _prefix(settings)
    ports = [port(f"{prefix}xds", 9002, "xds"), port(f"{prefix}agent", 9005, "agent"), port("http", 9006)]
    return service(namespace, SCHEDULER, headless({NAME_LABEL: SCHEDULER}, ports))


def _scheduler_alias(namespace: str, elsewhere: str) -> Manifest:
    spec = {"type": "ExternalName", "externalName": f"{SCHEDULER}.{elsewhere}.svc.cluster.local"}
    return service(namespace, SCHEDULER, spec)


def _mesh_service(namespace: str, override: Override, settings: Configuration) -> Manifest:
    shared = settings.service_config.service_type if settings.service_config else None
    return service(
        namespace,
        MESH_SERVICE,
        {
            "type": override.service_type or shared or DEFAULT_SERVICE_TYPE,
            "selector": {NAME_LABEL: ENVOY},
            "ports": [port(f"{_prefix(settings)}data", 80, "http"), port("stats", 9003, "envoy-stats")],
        },
    )


def _agent_config(namespace: str, settings: Configuration) -> Manifest:
    """The remotes that agents of the namespace know without a Secret of the Model's own."""
    agent = settings.agent_config
    content = agent.model_dump(by_alias=True, exclude_none=True, mode="json") if agent else {}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": AGENT_CONFIG_MAP, "namespace": namespace},
        "data": {"agent.yaml": yaml.safe_dump(content, sort_keys=True)},
    }


def _prefix(settings: Configuration) -> str:
    return (settings.service_config and settings.service_config.grpc_service_prefix) or ""
