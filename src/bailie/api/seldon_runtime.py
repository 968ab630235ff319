"""SeldonRuntime: asks for a scheduler and Envoys in its namespace. Read by the operator."""

from typing import ClassVar

from bailie.api.base import Flag, Int32, LooseStatus, OpenObject, Part
from bailie.api.kinds import SELDON_RUNTIME, Kind
from bailie.api.names import label_problems
from bailie.api.pod_spec import pod_spec_problems
from bailie.api.problems import Problem
from bailie.api.resource import Resource, no_effect
from bailie.api.seldon_config import (
    ENVOY,
    PIPELINE_GATEWAY,
    SCHEDULER,
    Configuration,
    ServiceType,
    component_problems,
    service_type_problems,
)
from bailie.api.server import MOST_REPLICAS
from bailie.api.status import ConditionedStatus
from bailie.wellknown import names, ports

MOST_PORT = 65535


class Override(Part):
    """The differences from the SeldonConfig for one component."""

    name: str
    """Component, for example seldon-scheduler."""
    disable: Flag = False
    """Do not run the component."""
    replicas: Int32 | None = None
    """Pods of the component; 1 when unset, and 0 leaves the component out. For the pipeline gateway, unset
    leaves the number to whoever scales its Server."""
    service_type: ServiceType | None = None
    """Type of the component's Service; when unset, that of serviceConfig."""
    pod_spec: OpenObject | None = None
    """PodSpec merged over that of the SeldonConfig, containers by name."""
    keep_service: Flag = False
    """Keep the Service of a component that is left out, so that it can point elsewhere."""


class FallbackMesh(Part):
    """The Service of another mesh."""

    namespace: str | None = None
    """Namespace of the Service; this one when unset."""
    service: str = names.MESH
    """Name of the Service."""
    port: Int32 = ports.MESH
    """Port of the Service that answers inference requests, REST and gRPC."""

    def host(self, namespace: str) -> str:
        """Returns the mesh's DNS name for a runtime of `namespace`."""
        return f"{self.service}.{self.namespace or namespace}.svc"

    def problems(self, path: str, namespace: str) -> list[Problem]:
        """Returns why a runtime of `namespace` cannot have this mesh answer."""
        found = label_problems(f"{path}.service", self.service)
        if self.namespace is not None:
            found += label_problems(f"{path}.namespace", self.namespace)
        if not 0 < self.port <= MOST_PORT:
            found.append(Problem(f"{path}.port", "Invalid", f"{self.port} is no port: use 1 to {MOST_PORT}"))
        if (self.namespace or namespace, self.service) == (namespace, names.MESH):
            text = f"names {names.MESH} of this namespace, whose own names it is to answer: name another mesh"
            found.append(Problem(path, "Invalid", text))
        return found


class SeldonRuntimeSpec(Part):
    """The scheduler and Envoys to run in the namespace."""

    seldon_config: str
    """SeldonConfig to build on, looked up in this namespace first and then in the operator's."""
    overrides: tuple[Override, ...] = ()
    """Differences from the SeldonConfig, by component."""
    config: Configuration = Configuration()
    """Settings that go before those of the SeldonConfig."""
    disable_auto_update: Flag = False
    """Keep the workloads as they are when the SeldonConfig changes."""
    scheduler_namespace: str | None = None
    """Namespace whose scheduler serves this one; its own when unset. Needs servesNamespaces there."""
    serves_namespaces: tuple[str, ...] = ()
    """Other namespaces that may name this one as schedulerNamespace; * for all that the operator serves."""
    fallback_mesh: FallbackMesh | None = None
    """Mesh that answers for each name of this namespace while nothing here does."""


class FallbackStatus(LooseStatus):
    """The names that another mesh answers for."""

    mesh: str = ""
    """Host and port of the mesh."""
    names: Int32 = 0
    """How many names the mesh answers for."""
    listed: tuple[str, ...] = ()
    """The first of these names."""


class TracingStatus(LooseStatus):
    """The traces that the namespace sends."""

    collector: str = ""
    """The collector, as host:port."""
    ratio: str = ""
    """Part of the requests that is traced where their callers have not decided, 0 to 1."""


class SeldonRuntimeStatus(ConditionedStatus):
    """Observed state."""

    served_namespaces: tuple[str, ...] = ()
    """The other namespaces that this one's scheduler serves."""
    fallback: FallbackStatus | None = None
    """The names that fallbackMesh answers for, by the routes that every Envoy has."""
    tracing: TracingStatus | None = None
    """Where traces go, by this SeldonRuntime and its SeldonConfig; absent where none are sent."""
    has_pipelines: bool = False
    """The namespace has a Pipeline, so the operator keeps a Server seldon-pipelinegateway there."""


class SeldonRuntime(Resource):
    """A scheduler and Envoys for one namespace."""

    resource_kind: ClassVar[Kind] = SELDON_RUNTIME

    spec: SeldonRuntimeSpec
    """The scheduler and Envoys to run in the namespace."""
    status: SeldonRuntimeStatus = SeldonRuntimeStatus()
    """Observed state."""

    def override(self, component: str) -> Override:
        """Returns the override of that component, one without content where there is none."""
        return next((o for o in self.spec.overrides if o.name == component), Override(name=component))

    def check(self) -> list[Problem]:
        """Returns contradictions within the spec, and warnings for fields without effect."""
        found = self.spec.config.problems("spec.config")
        seen: set[str] = set()
        for index, override in enumerate(self.spec.overrides):
            path = f"spec.overrides[{index}]"
            found += component_problems(f"{path}.name", override.name)
            found += pod_spec_problems(f"{path}.podSpec", override.pod_spec)
            if override.name in seen:
                found.append(Problem(f"{path}.name", "Duplicate", f'"{override.name}" is there twice'))
            if override.replicas is not None and not 0 <= override.replicas <= MOST_REPLICAS:
                text = f"{override.replicas} replicas are wanted; a component has 0 to {MOST_REPLICAS}"
                found.append(Problem(f"{path}.replicas", "Invalid", text))
            if override.name == ENVOY:
                found += service_type_problems(f"{path}.serviceType", override.service_type)
            found += _service_warnings(path, override)
            seen.add(override.name)
        if self.spec.scheduler_namespace:
            found += label_problems("spec.schedulerNamespace", self.spec.scheduler_namespace)
        for index, namespace in enumerate(self.spec.serves_namespaces):
            if namespace != "*":
                found += label_problems(f"spec.servesNamespaces[{index}]", namespace)
        if self.spec.fallback_mesh is not None:
            found += self.spec.fallback_mesh.problems("spec.fallbackMesh", self.metadata.namespace)
        if not self.spec.seldon_config:
            found.append(Problem("spec.seldonConfig", "Required", "is empty; name a SeldonConfig"))
        return found


def _service_warnings(path: str, override: Override) -> list[Problem]:
    """Returns warnings for the fields of a component's Service that nothing reads."""
    found = []
    if override.service_type and override.name == SCHEDULER:
        text = "has no effect: the scheduler's Service is for use within the cluster"
        found.append(no_effect(f"{path}.serviceType", text))
    if override.name == PIPELINE_GATEWAY:
        text = "has no effect: requests to pipelines come through Envoy"
        given = {"serviceType": override.service_type, "keepService": override.keep_service}
        found += [no_effect(f"{path}.{field}", text) for field, value in given.items() if value]
    return found
