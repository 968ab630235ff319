"""SeldonConfig: templates of a runtime's components and the settings they share. A data object.

`Configuration` is also `SeldonRuntime.spec.config`; how the two are joined is in `bailie.manifests.runtime`.
"""

from typing import ClassVar, Literal

from pydantic import Field

from bailie.api.base import Flag, Int32, OpenObject, Part
from bailie.api.collector import Collector, endpoint_problem, ratio_problem, read_collector
from bailie.api.kafka_config import KafkaConfig
from bailie.api.kinds import SELDON_CONFIG, Kind
from bailie.api.names import label_problems
from bailie.api.pod_spec import pod_spec_problems
from bailie.api.problems import Problem
from bailie.api.resource import Resource, no_effect
from bailie.api.server_config import EmptyStatus, VolumeClaimTemplate
from bailie.wellknown import names

SCHEDULER = names.SCHEDULER
ENVOY = names.ENVOY
RUN_COMPONENTS = (SCHEDULER, ENVOY)
PIPELINE_GATEWAY = names.PIPELINE_GATEWAY
OTHER_COMPONENTS = ("seldon-dataflow-engine", "hodometer", "seldon-modelgateway")
ServiceType = Literal["", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]
_PREFIXED = "agent"
"""The longest name of a port that gets the prefix."""


class ModelScaling(Part):
    """Scaling of models."""

    enabled: Flag | None = None
    """Models with a maxReplicas above their minReplicas scale by their load (in a SeldonRuntime)."""


class ServerScaling(Part):
    """Scaling of servers."""

    enabled: Flag | None = None
    """False: no Server is scaled, also where it has minReplicas and maxReplicas (in a SeldonRuntime)."""
    scale_down_packing_enabled: Flag | None = None
    """True: models are moved so that fewer replicas are enough; else only those without a model go."""
    scale_down_packing_percentage: Int32 | None = None
    """Accepted without effect: nothing is left to chance."""


class PipelineScaling(Part):
    """Scaling of the processes that run pipelines."""

    max_shard_count_multiplier: Int32 | None = Field(default=None, ge=1)
    """Accepted without effect."""


class ScalingConfig(Part):
    """Which numbers of replicas follow the load."""

    models: ModelScaling | None = None
    """Scaling of models."""
    servers: ServerScaling | None = None
    """Scaling of servers."""
    pipelines: PipelineScaling | None = None
    """Scaling of the processes that run pipelines."""


class TracingConfig(Part):
    """Where traces go."""

    disable: Flag | None = None
    """No traces at all."""
    otel_exporter_endpoint: str | None = None
    """Collector, as host:port, which takes OTLP over gRPC without TLS. No traces when unset."""
    otel_exporter_protocol: str | None = None
    """Protocol of the collector; grpc is the only one."""
    ratio: str | None = None
    """Part of the requests that is traced where their callers have not decided, 0 to 1; 1 when unset."""

    @property
    def collector(self) -> Collector | None:
        """The collector; None where no traces are to be sent, or where a field is wrong."""
        if self.disable or not self.otel_exporter_endpoint:
            return None
        return read_collector(self.otel_exporter_endpoint, self.ratio)

    def warnings(self, path: str) -> list[Problem]:
        """Returns a warning for each field that cannot have an effect."""
        found = []
        if self.otel_exporter_endpoint and (told := endpoint_problem(self.otel_exporter_endpoint)):
            found.append(no_effect(f"{path}.otelExporterEndpoint", told))
        if self.ratio and (told := ratio_problem(self.ratio)):
            found.append(no_effect(f"{path}.ratio", told))
        if self.otel_exporter_protocol not in {None, "", "grpc"}:
            told = "has no effect: traces are sent over gRPC, for which most collectors have port 4317"
            found.append(no_effect(f"{path}.otelExporterProtocol", told))
        return found


class RcloneConfig(Part):
    """Remotes for every model of the namespace."""

    config: tuple[str, ...] = ()
    """Remotes, each as JSON."""
    config_secrets: tuple[str, ...] = Field(default=(), alias="config_secrets")
    """Secrets with one remote each."""


class AgentConfig(Part):
    """Settings of the agents."""

    rclone: RcloneConfig | None = None
    """Remotes for every model of the namespace."""


class ServiceConfig(Part):
    """Settings of the Services."""

    grpc_service_prefix: str | None = None
    """Prefix of the names of gRPC ports, for example http2- for a service mesh."""
    service_type: ServiceType | None = None
    """Type of the Services that clients call."""

    def problems(self, path: str) -> list[Problem]:
        """Returns why no Service can be made by these settings, which stand at `path`."""
        found = service_type_problems(f"{path}.serviceType", self.service_type)
        if self.grpc_service_prefix:
            found += label_problems(f"{path}.grpcServicePrefix", f"{self.grpc_service_prefix}{_PREFIXED}")
        return found


class Configuration(Part):
    """Settings that the components share."""

    scaling_config: ScalingConfig | None = None
    """Which numbers of replicas follow the load."""
    tracing_config: TracingConfig | None = None
    """Where traces go."""
    kafka_config: KafkaConfig | None = None
    """The message broker of pipelines. Without bootstrap.servers pipelines run without one."""
    agent_config: AgentConfig | None = None
    """Settings of the agents."""
    service_config: ServiceConfig | None = None
    """Settings of the Services."""

    def problems(self, path: str) -> list[Problem]:
        """Returns mistakes, and warnings for settings without effect; `path` is where this object stands."""
        found: list[Problem] = []
        if self.kafka_config is not None:
            found += self.kafka_config.problems(f"{path}.kafkaConfig")
        if self.tracing_config is not None:
            found += self.tracing_config.warnings(f"{path}.tracingConfig")
        if self.service_config is not None:
            found += self.service_config.problems(f"{path}.serviceConfig")
        scaling = self.scaling_config or ScalingConfig()
        if scaling.servers is not None and scaling.servers.scale_down_packing_percentage is not None:
            where = f"{path}.scalingConfig.servers.scaleDownPackingPercentage"
            found.append(
                no_effect(where, "has no effect: replicas that are not needed are taken away for certain")
            )
        if scaling.pipelines is not None:
            text = "has no effect: every replica of the gateway has all pipelines"
            found.append(no_effect(f"{path}.scalingConfig.pipelines", text))
        return found


class Component(Part):
    """Template of one component of the runtime."""

    name: str
    """Name of the component, for example seldon-scheduler."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels of its pods."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations of its pods."""
    replicas: Int32 | None = None
    """Accepted without effect; give replicas in the SeldonRuntime's overrides."""
    pod_spec: OpenObject | None = None
    """PodSpec of a replica."""
    volume_claim_templates: tuple[VolumeClaimTemplate, ...] = ()
    """Volume claims that each replica gets."""


class SeldonConfigSpec(Part):
    """Components and their settings."""

    components: tuple[Component, ...] = ()
    """Templates of the components."""
    config: Configuration = Configuration()
    """Settings that the components share."""


class SeldonConfig(Resource):
    """Templates of a runtime's components and the settings they share."""

    resource_kind: ClassVar[Kind] = SELDON_CONFIG

    spec: SeldonConfigSpec
    """Components and their settings."""
    status: EmptyStatus = EmptyStatus()
    """Always empty."""

    def check(self) -> list[Problem]:
        """Returns unknown components, and warnings for fields without effect."""
        found = self.spec.config.problems("spec.config")
        scaling = self.spec.config.scaling_config
        for name in ("models", "servers"):
            if scaling is not None and getattr(scaling, name) is not None:
                text = "has no effect here; say it in the SeldonRuntime of a namespace"
                found.append(no_effect(f"spec.config.scalingConfig.{name}", text))
        for index, component in enumerate(self.spec.components):
            path = f"spec.components[{index}]"
            found += component_problems(f"{path}.name", component.name)
            if component.name == PIPELINE_GATEWAY:
                text = f"has no effect: pods of {PIPELINE_GATEWAY} are those of the ServerConfig of that name"
                found.append(no_effect(f"{path}.name", text))
            found += pod_spec_problems(f"{path}.podSpec", component.pod_spec)
            for number, claim in enumerate(component.volume_claim_templates):
                found += claim.problems(f"{path}.volumeClaimTemplates[{number}]")
            if component.replicas is not None:
                text = "has no effect; give replicas in spec.overrides of the SeldonRuntime"
                found.append(no_effect(f"{path}.replicas", text))
        return found


def service_type_problems(path: str, service_type: str | None) -> list[Problem]:
    """Returns why the Service that clients call cannot be of this type."""
    if service_type != "ExternalName":
        return []
    text = (
        "must be ClusterIP, NodePort or LoadBalancer: an ExternalName leads to no pods here; where the name"
        f" {names.MESH} is to lead elsewhere, make that Service by hand, and it is left alone"
    )
    return [Problem(path, "NotSupported", text)]


def component_problems(path: str, name: str) -> list[Problem]:
    """Returns problems and warnings about a component's name."""
    if name in RUN_COMPONENTS or name == PIPELINE_GATEWAY:
        return []
    if name in OTHER_COMPONENTS:
        return [no_effect(path, f'has no effect: Bailie needs no component "{name}"')]
    known = ", ".join((*RUN_COMPONENTS, PIPELINE_GATEWAY, *OTHER_COMPONENTS))
    return [Problem(path, "NotSupported", f'there is no component "{name}"; the components are {known}')]
