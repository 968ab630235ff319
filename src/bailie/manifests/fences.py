"""Fields of pods that need the administrator's permission, because they reach beyond the namespace. Pure.

Called by the operator with merged templates. A person who may write a Server, a SeldonRuntime or one of their
configurations may lack the right to make pods, and gets no more through the operator than these fences allow.
A stated value is refused if the Pod Security Standards refuse it; an unstated field is for the cluster to
judge (https://kubernetes.io/docs/concepts/security/pod-security-standards/). The place of a field does not
matter: a user who overrides the command of a privileged container in the administrator's configuration gets
its privileges.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api.problems import told_problems
from bailie.api.texts import shown
from bailie.manifests.objects import NAME_LABEL
from bailie.manifests.rbac import CONTROL_PLANE_SECRET, ENVOY_ACCOUNT, SCHEDULER_ACCOUNT, SERVER_ACCOUNT
from bailie.settings import fields
from bailie.wellknown import variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bailie.manifests.workload import Manifest, Workload

HOST, VOLUMES, PRIVILEGED, ROOT, TOKENS = "host", "volumes", "privileged", "root", "tokens"
PERMISSIONS = {
    HOST: "the machine: its network, processes and ports, choosing it by name, priorities of the system,"
    " probes of other addresses",
    VOLUMES: "volumes that are a folder of the machine or a storage server by its address (hostPath, nfs, …)",
    PRIVILEGED: "privileged containers, more capabilities, weaker seccomp, AppArmor and SELinux, sysctls",
    ROOT: "user 0",
    TOKENS: "tokens of the Kubernetes API and of the control plane in other containers than Bailie's own",
}
"""The permissions that an administrator can give, by name."""
SETTING = "controller.podPermissions"
_OWN_CONTAINERS = {SERVER_ACCOUNT: "agent", SCHEDULER_ACCOUNT: "scheduler", ENVOY_ACCOUNT: "envoy"}
_VOLUME_TYPES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
    "secret",
}  # fmt: skip
"""Those of the standard `restricted`: the API and drivers decide which data they reach."""
_SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
}  # fmt: skip
_SAFE_CAPABILITIES = {"NET_BIND_SERVICE"}
_SAFE_SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
_CONTAINER_GROUPS = ("initContainers", "containers")
_PROBES = ("readinessProbe", "livenessProbe", "startupProbe")


def _permissions(value: str) -> frozenset[str]:
    given = frozenset(fields.split(value))
    if unknown := sorted(given - PERMISSIONS.keys()):
        raise ValueError(f'there is no "{unknown[0]}"')
    return given


@dataclass(frozen=True, slots=True)
class Fence:
    """The administrator's permissions, and the name of the Secret with the control plane's token."""

    allowed: frozenset[str] = dataclasses.field(
        default=frozenset(),
        metadata=fields.custom(
            variables.POD_PERMISSIONS,
            "What pods may ask for beyond the usual.",
            allowed=f"permissions, separated by commas: {', '.join(PERMISSIONS)}",
            parse=_permissions,
        ),
    )
    accounts: frozenset[str] = dataclasses.field(
        default=frozenset(),
        metadata=fields.custom(
            variables.POD_SERVICE_ACCOUNTS,
            "Service accounts that pods may name besides the components' own.",
            allowed="names of accounts, separated by commas",
            parse=lambda value: frozenset(fields.split(value)),
        ),
    )
    token_secret: str = dataclasses.field(
        default=CONTROL_PLANE_SECRET,
        metadata=fields.text(
            variables.TOKEN_SECRET, "The Secret with the control plane's token.", "the name of a Secret"
        ),
    )


@dataclass(frozen=True, slots=True)
class FenceDemand:
    """A field that asks for more; `permission` is empty for a service account, which is allowed by name."""

    path: str
    permission: str
    what: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a pod comes from: `base` is the PodSpec of `config`, and what it lacks is written in `own`."""

    base: Mapping[str, Any]
    config: str
    own: str


def forbidden(workload: Workload, fence: Fence, origin: Origin) -> str:
    """Returns the forbidden fields, where they are written, and the setting that allows them.

    Empty where the workload's pods ask for nothing that is not allowed.
    """
    found = [each for each in _demands(workload, fence) if each.permission not in fence.allowed]
    if not found:
        return ""
    in_config = {each.path for each in _demands_of_pod(origin.base, _component(workload), fence)}
    texts = [_described(each, origin.config if each.path in in_config else origin.own) for each in found]
    return f"{told_problems(texts)}; {_remedy(found)}"


def _described(demand: FenceDemand, place: str) -> str:
    where = f" (written in {place})" if demand.path.startswith("podSpec.") else ""
    return f"{demand.path}{where} asks for {demand.what}"


def _remedy(found: Iterable[FenceDemand]) -> str:
    permissions = sorted({each.permission for each in found if each.permission})
    settings = [f"{SETTING}.allow={{{','.join(permissions)}}}"] if permissions else []
    if not all(each.permission for each in found):
        settings.append(f"{SETTING}.serviceAccounts")
    return (
        "that reaches beyond what a Server or a runtime may have; take it out, or ask the administrator"
        f" to allow it with {' and '.join(settings)} of the chart seldon-core-v2-setup"
    )


def _demands(workload: Workload, fence: Fence) -> Iterator[FenceDemand]:
    if not workload.template:
        return
    annotations = (workload.template.get("metadata") or {}).get("annotations") or {}
    for key, value in annotations.items():
        if key.startswith(_APPARMOR_ANNOTATION) and value == "unconfined":
            yield FenceDemand(f'metadata.annotations["{key}"]', PRIVILEGED, "no AppArmor profile")
    yield from _demands_of_pod(workload.template["spec"], _component(workload), fence)


def _component(workload: Workload) -> str:
    """Returns the component's name, which its service account has, too."""
    return str(workload.template["metadata"]["labels"][NAME_LABEL])


def _demands_of_pod(pod: Mapping[str, Any], component: str, fence: Fence) -> Iterator[FenceDemand]:
    for field in ("serviceAccountName", "serviceAccount"):
        account = pod.get(field)
        if account and account != component and account not in fence.accounts:
            yield FenceDemand(
                f"podSpec.{field}", "", f'the service account "{account}" in place of {component}'
            )
    yield from _machine(pod)
    yield from _volumes(pod)
    yield from _tokens(pod, component, fence)
    yield from _context(pod.get("securityContext") or {}, "podSpec.securityContext")
    for path, container in _containers(pod):
        yield from _ports_and_probes(container, path)
        yield from _context(container.get("securityContext") or {}, f"{path}.securityContext")


def _containers(pod: Mapping[str, Any]) -> Iterator[tuple[str, Manifest]]:
    for group in _CONTAINER_GROUPS:
        for container in pod.get(group) or ():
            yield f'podSpec.{group}["{shown(container["name"])}"]', container


def _machine(pod: Mapping[str, Any]) -> Iterator[FenceDemand]:
    for field, what in (("hostNetwork", "network"), ("hostPID", "processes"), ("hostIPC", "shared memory")):
        if pod.get(field):
            yield FenceDemand(f"podSpec.{field}", HOST, f"the {what} of its machine")
    if pod.get("nodeName"):
        yield FenceDemand(
            "podSpec.nodeName", HOST, "a machine past the scheduler (nodeSelector asks for labels)"
        )
    if str(pod.get("priorityClassName", "")).startswith("system-"):
        yield FenceDemand("podSpec.priorityClassName", HOST, "the priority of the system's own pods")


def _ports_and_probes(container: Manifest, path: str) -> Iterator[FenceDemand]:
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield FenceDemand(f"{path}.ports", HOST, "a port of its machine")
    asked = {name: container.get(name) or {} for name in _PROBES}
    hooks = container.get("lifecycle") or {}
    asked |= {f"lifecycle.{name}": hook for name, hook in hooks.items() if isinstance(hook, dict)}
    for name, handlers in asked.items():
        for kind in ("httpGet", "tcpSocket"):
            if isinstance(handlers.get(kind), dict) and handlers[kind].get("host"):
                yield FenceDemand(f"{path}.{name}.{kind}.host", HOST, "another address, from its machine")


def _volumes(pod: Mapping[str, Any]) -> Iterator[FenceDemand]:
    for volume in pod.get("volumes") or ():
        path = f'podSpec.volumes["{shown(volume["name"])}"]'
        for kind in sorted(volume.keys() - {"name"} - _VOLUME_TYPES):
            text = f"a volume {kind} (a volume claim is for all kinds of storage)"
            yield FenceDemand(f"{path}.{kind}", VOLUMES, text)


def _tokens(pod: Mapping[str, Any], component: str, fence: Fence) -> Iterator[FenceDemand]:
    if pod.get("automountServiceAccountToken"):
        text = "a token of the Kubernetes API in every container"
        yield FenceDemand("podSpec.automountServiceAccountToken", TOKENS, text)
    if pod.get("shareProcessNamespace"):
        text = "one view of all processes, so that models' code sees the agent's token"
        yield FenceDemand("podSpec.shareProcessNamespace", TOKENS, text)
    holders = {volume["name"] for volume in pod.get("volumes") or () if _holds_token(volume, fence)}
    for path, container in _containers(pod):
        if container["name"] != _OWN_CONTAINERS.get(component):
            for field in _shown(container, holders, fence):
                yield FenceDemand(f"{path}.{field}", TOKENS, "a token that only Bailie's own containers get")


def _holds_token(volume: Manifest, fence: Fence) -> bool:
    sources = (volume.get("projected") or {}).get("sources") or ()
    return (volume.get("secret") or {}).get("secretName") == fence.token_secret or any(
        "serviceAccountToken" in source or (source.get("secret") or {}).get("name") == fence.token_secret
        for source in sources
    )


def _shown(container: Manifest, holders: set[str], fence: Fence) -> Iterator[str]:
    """Yields the fields by which a token comes into the container."""
    if any(mount.get("name") in holders for mount in container.get("volumeMounts") or ()):
        yield "volumeMounts"
    values = [each.get("valueFrom") or {} for each in container.get("env") or ()]
    if any((value.get("secretKeyRef") or {}).get("name") == fence.token_secret for value in values):
        yield "env"
    sources = [each.get("secretRef") or {} for each in container.get("envFrom") or ()]
    if any(source.get("name") == fence.token_secret for source in sources):
        yield "envFrom"


def _context(context: Mapping[str, Any], path: str) -> Iterator[FenceDemand]:
    """Checks the security context of a pod or a container; a field that one of the two lacks is not stated
    there."""
    if context.get("runAsUser") == 0:
        yield FenceDemand(f"{path}.runAsUser", ROOT, "user 0")
    if context.get("runAsNonRoot") is False:
        yield FenceDemand(f"{path}.runAsNonRoot", ROOT, "leave to be user 0")
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield FenceDemand(f"{path}.windowsOptions.hostProcess", HOST, "processes of its machine")
    for field in ("privileged", "allowPrivilegeEscalation"):
        if context.get(field):
            yield FenceDemand(f"{path}.{field}", PRIVILEGED, "privileges that its user does not have")
    added = set((context.get("capabilities") or {}).get("add") or ()) - _SAFE_CAPABILITIES
    if added:
        text = f"the capabilities {', '.join(sorted(added))}"
        yield FenceDemand(f"{path}.capabilities.add", PRIVILEGED, text)
    yield from _confinement(context, path)


def _confinement(context: Mapping[str, Any], path: str) -> Iterator[FenceDemand]:
    if context.get("procMount", "") not in {"", "Default"}:
        yield FenceDemand(f"{path}.procMount", PRIVILEGED, "an unmasked /proc")
    for field in ("seccompProfile", "appArmorProfile"):
        if (context.get(field) or {}).get("type") == "Unconfined":
            yield FenceDemand(f"{path}.{field}", PRIVILEGED, "no confinement")
    linux = context.get("seLinuxOptions") or {}
    if linux.get("user") or linux.get("role") or linux.get("type", "") not in _SAFE_SELINUX_TYPES:
        yield FenceDemand(f"{path}.seLinuxOptions", PRIVILEGED, "another SELinux domain")
    unsafe = sorted({str(each.get("name")) for each in context.get("sysctls") or ()} - _SAFE_SYSCTLS)
    if unsafe:
        yield FenceDemand(f"{path}.sysctls", PRIVILEGED, f"settings of the kernel ({', '.join(unsafe)})")
