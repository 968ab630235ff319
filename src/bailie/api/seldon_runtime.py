"""SeldonRuntime: asks for a scheduler and Envoys in its namespace. Read by the operator."""

from typing import ClassVar, Literal

from bailie.api.base import Flag, Int32, OpenObject, Part
from bailie.api.kinds import SELDON_RUNTIME, Kind
from bailie.api.names import label_problems
from bailie.api.pod_spec import pod_spec_problems
from bailie.api.problems import Problem
from bailie.api.resource import Resource, no_effect
from bailie.api.seldon_config import SCHEDULER, Configuration, component_problems
from bailie.api.status import ConditionedStatus

ServiceType = Literal["", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]


class Override(Part):
    """The differences from the SeldonConfig for one component."""

    name: str
    """Component, for example seldon-scheduler."""
    disable: Flag = False
    """Do not run the component."""
    replicas: Int32 | None = None
    """Pods of the component; 1 when unset, and 0 leaves the component out."""
    service_type: ServiceType | None = None
    """Type of the component's Service; when unset, that of serviceConfig."""
    pod_spec: OpenObject | None = None
    """PodSpec merged over that of the SeldonConfig, containers by name."""
    keep_service: Flag = False
    """Keep the Service of a component that is left out, so that it can point elsewhere."""


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


class SeldonRuntimeStatus(ConditionedStatus):
    """Observed state."""

    served_namespaces: tuple[str, ...] = ()
    """The other namespaces that this one's scheduler serves."""


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
        found = self.spec.config.warnings("spec.config")
        seen: set[str] = set()
        for index, override in enumerate(self.spec.overrides):
            path = f"spec.overrides[{index}]"
            found += component_problems(f"{path}.name", override.name)
            found += pod_spec_problems(f"{path}.podSpec", override.pod_spec)
            if override.name in seen:
                found.append(Problem(f"{path}.name", "Duplicate", f'"{override.name}" is there twice'))
            if override.replicas is not None and override.replicas < 0:
                found.append(Problem(f"{path}.replicas", "Invalid", "must not be negative"))
            if override.name == SCHEDULER and override.service_type:
                text = "has no effect: the scheduler's Service is for use within the cluster"
                found.append(no_effect(f"{path}.serviceType", text))
            seen.add(override.name)
        if self.spec.scheduler_namespace:
            found += label_problems("spec.schedulerNamespace", self.spec.scheduler_namespace)
        for index, namespace in enumerate(self.spec.serves_namespaces):
            if namespace != "*":
                found += label_problems(f"spec.servesNamespaces[{index}]", namespace)
        if not self.spec.seldon_config:
            found.append(Problem("spec.seldonConfig", "Required", "is empty; name a SeldonConfig"))
        return found
