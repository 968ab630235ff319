"""Server: a group of identical inference-server pods, made from a ServerConfig.

Read by the operator (pods) and the scheduler (capabilities of connected replicas come from the agents).
"""

from typing import ClassVar, Literal

from bailie.api.base import Flag, Int32, LooseStatus, OpenObject, Part
from bailie.api.kinds import SERVER, Kind
from bailie.api.names import WORKLOAD_RULE, NameRule
from bailie.api.pod_spec import pod_spec_problems
from bailie.api.problems import Problem
from bailie.api.resource import Resource, no_effect
from bailie.api.scaling import Scalable
from bailie.api.seldon_config import ENVOY, SCHEDULER
from bailie.api.status import ConditionedStatus
from bailie.wellknown import labels, names

HIGHEST_FIRST_ORDINAL = 5_000
MOST_REPLICAS = 10_000
"""Of one Server: the scheduler, which may serve other namespaces too, counts them one by one."""
_TAKEN_NAMES = (SCHEDULER, ENVOY, names.MESH, names.AGENT_CONFIG)
_SWITCHES = ("true", "false")
Retention = Literal["Retain", "Delete"]


class ImageOverrides(Part):
    """Accepted without effect."""

    agent: OpenObject | None = None
    """Accepted without effect."""
    rclone: OpenObject | None = None
    """Accepted without effect."""


class ClaimRetention(Part):
    """When to delete the replicas' volume claims."""

    when_deleted: Retention | None = None
    """When the Server is deleted."""
    when_scaled: Retention | None = None
    """When the replica is scaled away."""


class ServerSpec(Scalable):
    """Which pods, and how many."""

    server_config: str
    """ServerConfig to build on, looked up in this namespace first and then in the operator's."""
    extra_capabilities: tuple[str, ...] = ()
    """Capabilities in addition to those of the ServerConfig."""
    capabilities: tuple[str, ...] = ()
    """Capabilities in place of those of the ServerConfig; wins over extraCapabilities."""
    image_overrides: ImageOverrides | None = None
    """Accepted without effect; use podSpec."""
    pod_spec: OpenObject | None = None
    """PodSpec merged over that of the ServerConfig, containers by name."""
    stateful_set_persistent_volume_claim_retention_policy: ClaimRetention | None = None
    """When to delete the replicas' volume claims."""
    deployment_strategy: OpenObject | None = None
    """Accepted without effect: replicas of a server have stable names, which Deployments do not give."""
    disable_auto_update: Flag = False
    """Keep the pods as they are when the ServerConfig changes."""


class ServerReplicaStatus(LooseStatus):
    """One replica as the scheduler sees it."""

    name: str
    """Name of its pod."""
    connected: bool = False
    """Its agent has a session with the scheduler."""
    ready: bool = False
    """Its model server answers."""
    reason: str | None = None
    """Why it does not: `ServerNotResponding` (it takes connections, no more) or `ServerNotReady`."""
    draining: bool = False
    """The replica takes no models and hands over those that it has."""
    model_versions: Int32 = 0
    """Model versions in its memory."""


class ServerScalingStatus(LooseStatus):
    """Why the Server has its number of replicas, as the scheduler says it."""

    active: bool = False
    """The number follows what the models need."""
    reason: str = ""
    """Why, as a CamelCase token for programs."""
    message: str = ""
    """Why, as a text for people."""


class ServerStatus(ConditionedStatus):
    """Observed state."""

    loaded_models: Int32 | None = None
    """Models on the server's replicas."""
    replicas: Int32 | None = None
    """Replicas that exist."""
    selector: str | None = None
    """Label selector of the replicas' pods, for autoscalers."""
    remotes_problem: str | None = None
    """Why rclone remotes of the configuration cannot be used, as the server's agents say."""
    scaling: ServerScalingStatus | None = None
    """Whether the number of replicas follows the models, where the spec has minReplicas and maxReplicas."""
    replica_states: tuple[ServerReplicaStatus, ...] = ()
    """The scheduler's view of each replica that has reported."""


class Server(Resource):
    """A group of identical inference-server pods."""

    resource_kind: ClassVar[Kind] = SERVER
    name_rule: ClassVar[NameRule] = WORKLOAD_RULE

    spec: ServerSpec
    """Which pods, and how many."""
    status: ServerStatus = ServerStatus()
    """Observed state."""

    @property
    def first_ordinal(self) -> int:
        """The number of the first replica, where pods with the numbers below are of another operator."""
        given = self.metadata.annotations.get(labels.FIRST_ORDINAL, "0")
        return int(given) if _is_ordinal(given) else 0

    @property
    def wanted_replicas(self) -> int:
        """The replicas to run: those of the spec, none while a move holds the Server back."""
        return 0 if self.metadata.annotations.get(labels.HELD) == "true" else self.spec.scaling.replicas

    def check(self) -> list[Problem]:
        """Returns contradictions within the spec, and warnings for fields without effect."""
        found = [*self.spec.scaling_problems(), *pod_spec_problems("spec.podSpec", self.spec.pod_spec)]
        if (wanted := self.spec.scaling.replicas) > MOST_REPLICAS:
            text = f"{wanted} replicas are wanted; a Server may have {MOST_REPLICAS}"
            found.append(Problem("spec.replicas", "InvalidScaling", text))
        given = self.metadata.annotations.get(labels.FIRST_ORDINAL, "0")
        if not _is_ordinal(given):
            text = f"is {given[:40]!r}; write a number from 0 to {HIGHEST_FIRST_ORDINAL}"
            found.append(Problem(f"metadata.annotations[{labels.FIRST_ORDINAL}]", "Invalid", text))
        held = self.metadata.annotations.get(labels.HELD, "false")
        if held not in _SWITCHES:
            text = f"is {held[:40]!r}; write true or false"
            found.append(Problem(f"metadata.annotations[{labels.HELD}]", "Invalid", text))
        if self.metadata.name in _TAKEN_NAMES:
            text = f'"{self.metadata.name}" is the name of a part of the runtime; choose another one'
            found.append(Problem("metadata.name", "Invalid", text))
        if self.spec.server_config == names.PIPELINE_GATEWAY != self.metadata.name:
            text = (
                f'"{names.PIPELINE_GATEWAY}" makes gateways of pipelines, which work in the Server of that '
                "name alone; name the ServerConfig of an inference server"
            )
            found.append(Problem("spec.serverConfig", "Invalid", text))
        if self.spec.capabilities and self.spec.extra_capabilities:
            text = "has no effect beside spec.capabilities, which has all of them"
            found.append(no_effect("spec.extraCapabilities", text))
        if not self.spec.server_config:
            found.append(Problem("spec.serverConfig", "Required", "is empty; name a ServerConfig"))
        if self.spec.image_overrides is not None:
            found.append(no_effect("spec.imageOverrides", "has no effect; give the image in spec.podSpec"))
        if self.spec.deployment_strategy is not None:
            text = "has no effect: replicas have stable names and are replaced one at a time"
            found.append(no_effect("spec.deploymentStrategy", text))
        return found


def _is_ordinal(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= HIGHEST_FIRST_ORDINAL
