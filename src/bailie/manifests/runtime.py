"""A SeldonRuntime and its SeldonConfig as workloads: the scheduler and the Envoys of one namespace.

Called by the operator. A component that is disabled, has no replicas or is served from another namespace is
left out, with all that goes with it; the operator removes workloads that are not in the result. Its Service
stays where that is asked for, and where a scheduler of another namespace answers by it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import yaml

from bailie.api.kinds import ENDPOINT_SLICE
from bailie.api.seldon_config import ENVOY, RUN_COMPONENTS, SCHEDULER
from bailie.manifests.account import with_account
from bailie.manifests.configuration import effective_configuration
from bailie.manifests.fences import Origin
from bailie.manifests.objects import MANAGED_BY, NAME_LABEL, described, owner_reference, port, service
from bailie.manifests.podspec import merge_pod_spec
from bailie.manifests.workload import Workload
from bailie.wellknown import names, ports, variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.api.collector import Collector
    from bailie.api.seldon_config import Component, Configuration, SeldonConfig
    from bailie.api.seldon_runtime import Override, SeldonRuntime
    from bailie.manifests.workload import Manifest

MESH_SERVICE = names.MESH
AGENT_CONFIG_MAP = names.AGENT_CONFIG
SETTINGS = AGENT_CONFIG_MAP
"""Name of the workload without pods that holds the runtime's settings for the servers' pods."""
COMPONENT_SERVICES = {SCHEDULER: SCHEDULER, ENVOY: MESH_SERVICE}
DEFAULT_SERVICE_TYPE = "LoadBalancer"
_SCHEDULER_PORTS = (
    ("xds", ports.SCHEDULER_XDS),
    ("agent", ports.SCHEDULER_AGENTS),
    ("http", ports.HEALTH),
)


def missing_components(runtime: SeldonRuntime, config: SeldonConfig) -> list[str]:
    """Returns the components that are wanted and have no pod template in config or override."""
    templates = {component.name for component in config.spec.components if component.pod_spec}
    return [
        name
        for name in RUN_COMPONENTS
        if not left_out(runtime, name) and name not in templates and not runtime.override(name).pod_spec
    ]


def requested_scheduler_namespace(runtime: SeldonRuntime) -> str:
    """Returns the other namespace whose scheduler the runtime's spec asks for, empty for its own."""
    other = runtime.spec.scheduler_namespace or ""
    return "" if other == runtime.metadata.namespace else other


def left_out(runtime: SeldonRuntime, component: str) -> bool:
    """Says whether the runtime has no such component of its own."""
    override = runtime.override(component)
    return (
        override.disable
        or override.replicas == 0
        or (component == SCHEDULER and bool(requested_scheduler_namespace(runtime)))
    )


def runtime_workloads(
    runtime: SeldonRuntime, config: SeldonConfig, *, serves: Sequence[str] = ()
) -> list[Workload]:
    """Returns the workloads of the runtime; of a component without a template there is none.

    `serves`: the other namespaces that this one's scheduler serves.
    """
    settings = effective_configuration(runtime.spec.config, config.spec.config)
    templates = {component.name: component for component in config.spec.components}
    missing = missing_components(runtime, config)
    namespace = runtime.metadata.namespace
    shared = (_agent_config(namespace, settings), _tracing_config(namespace, settings))
    found = [_objects_only(runtime, SETTINGS, shared)]
    for name in RUN_COMPONENTS:
        override = runtime.override(name)
        if left_out(runtime, name):
            found += _left_behind(runtime, override, settings)
        elif name not in missing:
            found.append(_workload(runtime, templates.get(name), settings, name))
    return [_serving(workload, serves) for workload in found]


def component_origin(config: SeldonConfig, name: str) -> Origin:
    """Returns where the pods of a component of a runtime with this configuration come from."""
    base = next((each.pod_spec for each in config.spec.components if each.name == name), None)
    return Origin(base or {}, described(config), f"spec.overrides of {name}")


def _serving(workload: Workload, serves: Sequence[str]) -> Workload:
    """Returns the scheduler's workload with the list of further namespaces, which it follows."""
    if workload.name != SCHEDULER or not workload.template or not serves:
        return workload
    listed: Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": names.SERVED_NAMESPACES, "namespace": workload.namespace},
        "data": {names.NAMESPACES_KEY: "".join(f"{name}\n" for name in sorted(serves))},
    }
    return replace(workload, objects=(*workload.objects, listed))


def _left_behind(runtime: SeldonRuntime, override: Override, settings: Configuration) -> list[Workload]:
    """Returns the Service of a component without pods, where clients need it.

    Agents and Envoys always look for their scheduler in their own namespace. Where another namespace's
    scheduler serves them, that one fills the EndpointSlice, so a change of the scheduler changes no pod.
    """
    own = _service(runtime, override, settings)
    if override.name == SCHEDULER and requested_scheduler_namespace(runtime):
        return [_objects_only(runtime, override.name, (own, _leader(own)))]
    return [_objects_only(runtime, override.name, (own,))] if override.keep_service else []


def _objects_only(runtime: SeldonRuntime, name: str, objects: tuple[Manifest, ...]) -> Workload:
    return Workload(
        namespace=runtime.metadata.namespace,
        name=name,
        replicas=0,
        selector={NAME_LABEL: name},
        template={},
        owner=owner_reference(runtime),
        objects=objects,
    )


def _workload(
    runtime: SeldonRuntime, component: Component | None, settings: Configuration, name: str
) -> Workload:
    override, namespace = runtime.override(name), runtime.metadata.namespace
    selector = {NAME_LABEL: name}
    base = component.pod_spec if component and component.pod_spec else {}
    labels = {**(component.labels if component else {}), **selector}
    annotations = dict(component.annotations) if component else {}
    claims = component.volume_claim_templates if component else ()
    pod = with_account(merge_pod_spec(base, override.pod_spec), name)
    own = _service(runtime, override, settings)
    return Workload(
        namespace=namespace,
        name=name,
        replicas=1 if override.replicas is None else override.replicas,
        selector=selector,
        template={"metadata": {"labels": labels, "annotations": annotations}, "spec": pod},
        owner=owner_reference(runtime),
        objects=(own, _leader(own) if name == SCHEDULER else _stats_service(namespace)),
        volume_claim_templates=tuple({"metadata": {"name": c.name}, "spec": c.spec} for c in claims),
        interchangeable=True,
    )


def _service(runtime: SeldonRuntime, override: Override, settings: Configuration) -> Manifest:
    namespace, prefix = runtime.metadata.namespace, _prefix(settings)
    if override.name == ENVOY:
        return _mesh_service(namespace, override, settings)
    # Without a selector: the leader alone answers here, and writes itself into the EndpointSlice. An address
    # of its own, not a headless Service: clients find the next leader as soon as the machines' tables change,
    # not when a cached name expires.
    ports = [port(name if name == "http" else prefix + name, number) for name, number in _SCHEDULER_PORTS]
    for each in ports:
        each["targetPort"] = each["port"]
    return service(namespace, SCHEDULER, {"type": "ClusterIP", "ports": ports})


def _leader(scheduler_service: Manifest) -> Manifest:
    """Returns the endpoints of the scheduler's Service, for the leader to fill: `endpoints` is its field
    alone."""
    metadata = scheduler_service["metadata"]
    labels = {
        "kubernetes.io/service-name": metadata["name"],
        "endpointslice.kubernetes.io/managed-by": MANAGED_BY,
    }
    ports = [
        {"name": each["name"], "port": each["targetPort"], "protocol": each["protocol"]}
        for each in scheduler_service["spec"]["ports"]
    ]
    return {
        "apiVersion": ENDPOINT_SLICE.api_version,
        "kind": ENDPOINT_SLICE.kind,
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "labels": labels},
        "addressType": "IPv4",
        "ports": ports,
    }


def _mesh_service(namespace: str, override: Override, settings: Configuration) -> Manifest:
    shared = settings.service_config.service_type if settings.service_config else None
    return service(
        namespace,
        MESH_SERVICE,
        {
            "type": override.service_type or shared or DEFAULT_SERVICE_TYPE,
            "selector": {NAME_LABEL: ENVOY},
            "ports": [port(f"{_prefix(settings)}data", ports.MESH, "http")],
        },
        labels={NAME_LABEL: ENVOY},
    )


def _stats_service(namespace: str) -> Manifest:
    """Returns the Service of Envoy's metrics. They name the models, so the mesh Service, which may be a load
    balancer, has no port for them."""
    spec = {
        "type": "ClusterIP",
        "selector": {NAME_LABEL: ENVOY},
        "ports": [port("stats", ports.ENVOY_PROBES, "envoy-stats")],
    }
    return service(namespace, ENVOY, spec, labels={NAME_LABEL: ENVOY})


def _agent_config(namespace: str, settings: Configuration) -> Manifest:
    """Returns the remotes that agents of the namespace know without a Secret of the Model's own."""
    agent = settings.agent_config
    content = agent.model_dump(by_alias=True, exclude_none=True, mode="json") if agent else {}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": AGENT_CONFIG_MAP, "namespace": namespace},
        "data": {"agent.yaml": yaml.safe_dump(content, sort_keys=True)},
    }


def tracing_status(runtime: SeldonRuntime, config: SeldonConfig) -> dict[str, str] | None:
    """Returns the field `tracing` of the runtime's status; None where no traces are sent."""
    collector = _collector(effective_configuration(runtime.spec.config, config.spec.config))
    return None if collector is None else {"collector": str(collector), "ratio": f"{collector.ratio:g}"}


def _collector(settings: Configuration) -> Collector | None:
    return settings.tracing_config.collector if settings.tracing_config else None


def _tracing_config(namespace: str, settings: Configuration) -> Manifest:
    """Returns the variables with which MLServer sends spans, for the servers' pods: none without a
    collector."""
    collector = _collector(settings)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": names.TRACING_CONFIG, "namespace": namespace},
        "data": {variables.MLSERVER_TRACING_SERVER: str(collector)} if collector else {},
    }


def _prefix(settings: Configuration) -> str:
    return (settings.service_config and settings.service_config.grpc_service_prefix) or ""
