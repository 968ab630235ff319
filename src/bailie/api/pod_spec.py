"""The shape of PodSpecs and volume claims inside custom resources, whose definitions leave them open.

Called by `seldon_config`, `seldon_runtime`, `server` and `server_config`, the kinds with PodSpecs. It knows
the fields that Bailie reads, joins or changes, so that the code behind it may rely on their types, and the
words that a cluster looks at only when a StatefulSet makes its pods and claims; all other fields are
Kubernetes' to judge. Source:
https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.34/#podspec-v1-core
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic.alias_generators import to_camel

from bailie.api.base import Flag, Int64, IntOrString
from bailie.api.parsing import problems_of
from bailie.api.problems import Problem
from bailie.api.quantity import parse_quantity


def _amount(value: object) -> object:
    """Reads an amount. Unlike custom resources, Kubernetes' own take numbers with a fraction, too: `cpu:
    0.5`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a number or a string")  # noqa: TRY004 -- pydantic reports only ValueErrors
    parse_quantity(str(value))
    return value


Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Objects = tuple[dict[str, Any], ...]
Quantities = dict[str, Annotated[Any, PlainValidator(_amount)]]


class Open(BaseModel):
    """An object of Kubernetes' own: these fields have these types, others are let through."""

    model_config = ConfigDict(frozen=True, extra="allow", alias_generator=to_camel)


class SecurityContext(Open):
    """Of a pod or of a container."""

    privileged: Flag = False
    allow_privilege_escalation: Flag = False
    run_as_non_root: Flag = False
    run_as_user: Int64 | None = None
    proc_mount: str = ""
    capabilities: "Capabilities | None" = None
    seccomp_profile: "Profile | None" = None
    app_armor_profile: "Profile | None" = None
    se_linux_options: dict[str, str] = {}
    windows_options: "WindowsOptions | None" = None
    sysctls: Objects = ()


class Capabilities(Open):
    """Linux capabilities."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class Profile(Open):
    """Of seccomp or AppArmor."""

    type: str = ""


class WindowsOptions(Open):
    """Settings of Windows only."""

    host_process: Flag = False


class Reference(Open):
    """The name of a Secret or ConfigMap, and a key in it."""

    name: str = ""
    secret_name: str = ""
    key: str = ""


class ValueSource(Open):
    """Where a variable's value comes from."""

    secret_key_ref: Reference | None = None
    config_map_key_ref: Reference | None = None
    field_ref: dict[str, Any] | None = None
    resource_field_ref: dict[str, Any] | None = None


class Variable(Open):
    """A variable of the environment."""

    name: str
    value: str = ""
    value_from: ValueSource | None = None


class VariablesSource(Open):
    """A Secret or ConfigMap whose keys are variables."""

    secret_ref: Reference | None = None
    config_map_ref: Reference | None = None


class ContainerPort(Open):
    """A port that a container listens on."""

    container_port: Port
    host_port: Annotated[int, Field(strict=True, ge=0, le=65535)] = 0
    name: str = ""
    protocol: Literal["", "TCP", "UDP", "SCTP"] = "TCP"


class Mount(Open):
    """A volume in the files of a container."""

    name: str
    mount_path: str


class PortHandler(Open):
    """A probe of a port."""

    port: IntOrString | None = None


class Probe(Open):
    """A question to a container."""

    http_get: PortHandler | None = None
    tcp_socket: PortHandler | None = None
    grpc: PortHandler | None = None
    exec: dict[str, Any] | None = None


class Resources(Open):
    """The resources that a container requests, and may use at most."""

    requests: Quantities = {}
    limits: Quantities = {}


class Container(Open):
    """A program of a pod; in an override only its name must be there."""

    name: str
    image: str = ""
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[Variable, ...] = ()
    env_from: tuple[VariablesSource, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    resources: Resources | None = None
    volume_mounts: tuple[Mount, ...] = ()
    volume_devices: Objects = ()
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: dict[str, Any] | None = None
    termination_message_policy: Literal["", "File", "FallbackToLogsOnError"] = ""
    security_context: SecurityContext | None = None


class ProjectedSource(Open):
    """One of the things that a projected volume joins."""

    secret: Reference | None = None
    service_account_token: dict[str, Any] | None = None
    config_map: Reference | None = None


class Projection(Open):
    """A volume of several sources."""

    sources: tuple[ProjectedSource, ...] = ()


class Volume(Open):
    """A volume of a pod; each type is an object under its own name."""

    name: str
    secret: Reference | None = None
    config_map: Reference | None = None
    projected: Projection | None = None
    empty_dir: dict[str, Any] | None = None
    persistent_volume_claim: dict[str, Any] | None = None


class PodShape(Open):
    """A PodSpec, or a part that is to be joined with one."""

    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    image_pull_secrets: tuple[Reference, ...] = ()
    service_account_name: str = ""
    service_account: str = ""
    automount_service_account_token: Flag = False
    share_process_namespace: Flag = False
    host_network: Flag = False
    host_pid: Annotated[Flag, Field(alias="hostPID")] = False
    host_ipc: Annotated[Flag, Field(alias="hostIPC")] = False
    node_name: str = ""
    priority_class_name: str = ""
    runtime_class_name: str = ""
    scheduler_name: str = ""
    restart_policy: str = ""
    dns_policy: Literal["", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"] = ""
    termination_grace_period_seconds: Annotated[Int64, Field(ge=0)] = 30
    security_context: SecurityContext | None = None
    node_selector: dict[str, str] = {}
    tolerations: Objects = ()
    affinity: dict[str, dict[str, Any]] = {}
    topology_spread_constraints: Objects = ()


class ClaimShape(Open):
    """The spec of a volume claim."""

    access_modes: tuple[
        Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"], ...
    ] = ()
    storage_class_name: str = ""
    volume_name: str = ""
    volume_mode: Literal["", "Filesystem", "Block"] = ""
    resources: Resources | None = None
    selector: dict[str, Any] | None = None
    data_source: dict[str, Any] | None = None
    data_source_ref: dict[str, Any] | None = None


def pod_spec_problems(path: str, pod: Mapping[str, Any] | None) -> list[Problem]:
    """Returns the fields of the PodSpec at `path` that do not have Kubernetes' type."""
    found = _shape_problems(PodShape, path, pod)
    if pod and "ephemeralContainers" in pod:
        text = "may not be given here: Kubernetes adds them to pods that run (kubectl debug)"
        found.append(Problem(f"{path}.ephemeralContainers", "Invalid", text))
    return found


def claim_problems(path: str, claim: Mapping[str, Any]) -> list[Problem]:
    """Returns the fields of the PersistentVolumeClaimSpec at `path` that do not have their type."""
    return _shape_problems(ClaimShape, path, claim)


def _shape_problems(shape: type[Open], path: str, value: Mapping[str, Any] | None) -> list[Problem]:
    try:
        shape.model_validate(value or {})
    except ValidationError as error:
        return [Problem(f"{path}.{p.path}", p.reason, p.message) for p in problems_of(error, shape)]
    return []
