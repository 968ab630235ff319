"""The columns of the built-in kinds in Table output, as kubectl's users know them.

Read by `table`. One kind, one list of columns; a column is a name, the width of output from which on it is
shown, and a function from the object to its cell. Pure. After k8s.io/kubernetes
`pkg/printers/internalversion`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubeapi.printing.ages import age

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `priority` 1 means `-o wide` only."""

    name: str
    cell: Callable[[Obj, datetime], Any]
    type: str = "string"
    priority: int = 0
    format: str = ""
    description: str = ""


def _of(path: str, default: str = "") -> Callable[[Obj, datetime], Any]:
    keys = path.split(".")

    def cell(obj: Obj, _now: datetime) -> Any:
        value: Any = obj
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return default if value is None else value

    return cell


def _count(*fields: str) -> Callable[[Obj, datetime], int]:
    return lambda obj, _now: sum(len(obj.get(field) or ()) for field in fields)


def _age(obj: Obj, now: datetime) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


NAME = Column("Name", _of("metadata.name"), format="name", description="Name, unique in its namespace.")
AGE = Column("Age", _age, description="Time since the object was created.")
_CREATED = Column("Created At", _of("metadata.creationTimestamp"), type="date")


# --- pods ---------------------------------------------------------------------------------------------------


def _statuses(pod: Obj, field: str = "containerStatuses") -> list[Obj]:
    return (pod.get("status") or {}).get(field) or []


def _ready(pod: Obj, _now: datetime) -> str:
    ready = sum(1 for status in _statuses(pod) if status.get("ready"))
    return f"{ready}/{len((pod.get('spec') or {}).get('containers') or ())}"


def pod_status(pod: Obj, _now: datetime | None = None) -> str:
    """Returns the word for a pod: its phase, or the reason why it is held up, as in `CrashLoopBackOff`."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    starting = _initialising(pod)
    if starting:
        return starting
    word = status.get("reason") or status.get("phase") or "Pending"
    running = False
    for container in reversed(_statuses(pod)):
        state = container.get("state") or {}
        running = running or ("running" in state and bool(container.get("ready")))
        word = _state_word(state) or word
    if word == "Completed" and running:
        return "Running" if _is_ready(pod) else "NotReady"
    return str(word)


def _initialising(pod: Obj) -> str:
    containers = (pod.get("spec") or {}).get("initContainers") or []
    for position, container in enumerate(_statuses(pod, "initContainerStatuses")):
        state = container.get("state") or {}
        if (state.get("terminated") or {}).get("exitCode") == 0:
            continue
        word = _state_word(state)
        if word and word != "PodInitializing":
            return f"Init:{word}"
        return f"Init:{position}/{len(containers)}"
    return ""


def _state_word(state: Mapping[str, Any]) -> str:
    waiting, ended = state.get("waiting") or {}, state.get("terminated")
    if waiting.get("reason"):
        return str(waiting["reason"])
    if ended is None:
        return ""
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _is_ready(pod: Obj) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _restarts(pod: Obj, now: datetime) -> str:
    statuses = _statuses(pod)
    total = sum(status.get("restartCount") or 0 for status in statuses)
    ended = [((s.get("lastState") or {}).get("terminated") or {}).get("finishedAt") for s in statuses]
    last = max(filter(None, ended), default=None)
    return f"{total} ({age(last, now)} ago)" if total and last else str(total)


def _gates(pod: Obj, _now: datetime) -> str:
    gates = (pod.get("spec") or {}).get("readinessGates") or []
    return str(len(gates)) if gates else "<none>"


_POD = (
    NAME,
    Column("Ready", _ready, description="Containers that are ready, of all."),
    Column("Status", pod_status, description="What the pod is doing."),
    Column("Restarts", _restarts, description="Restarts of all containers."),
    AGE,
    Column("IP", _of("status.podIP", "<none>"), priority=1),
    Column("Node", _of("spec.nodeName", "<none>"), priority=1),
    Column("Nominated Node", _of("status.nominatedNodeName", "<none>"), priority=1),
    Column("Readiness Gates", _gates, priority=1),
)


# --- services -----------------------------------------------------------------------------------------------


def _external_address(service: Obj, _now: datetime) -> str:
    spec = service.get("spec") or {}
    addresses = list(spec.get("externalIPs") or ())
    if spec.get("type") == "LoadBalancer":
        ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        addresses += [entry.get("ip") or entry.get("hostname") or "" for entry in ingress]
        return ",".join(addresses) or "<pending>"
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    return ",".join(addresses) or "<none>"


def _ports(service: Obj, _now: datetime) -> str:
    ports = (service.get("spec") or {}).get("ports") or []
    return ",".join(_port(port) for port in ports) or "<none>"


def _port(port: Obj) -> str:
    node = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}"


def _selector(obj: Obj, _now: datetime) -> str:
    labels = (obj.get("spec") or {}).get("selector") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


_SERVICE = (
    NAME,
    Column("Type", _of("spec.type", "ClusterIP")),
    Column("Cluster-IP", _of("spec.clusterIP", "<none>")),
    Column("External-IP", _external_address),
    Column("Port(s)", _ports),
    AGE,
    Column("Selector", _selector, priority=1),
)


# --- events -------------------------------------------------------------------------------------------------


def _last_seen(event: Obj, now: datetime) -> str:
    series = event.get("series") or {}
    seen = (
        series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("deprecatedLastTimestamp")
    )
    return age(seen or event.get("eventTime") or event["metadata"].get("creationTimestamp"), now)


def _first_seen(event: Obj, now: datetime) -> str:
    seen = event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime")
    return age(seen, now)


def _about(event: Obj, _now: datetime) -> str:
    about = event.get("involvedObject") or event.get("regarding") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _subobject(event: Obj, _now: datetime) -> str:
    about = event.get("involvedObject") or event.get("regarding") or {}
    return str(about.get("fieldPath", ""))


def _source(event: Obj, _now: datetime) -> str:
    source = event.get("source") or event.get("deprecatedSource") or {}
    component = source.get("component") or event.get("reportingComponent") or event.get("reportingController")
    host = source.get("host") or event.get("reportingInstance")
    return ", ".join(str(part) for part in (component, host) if part)


def _message(event: Obj, _now: datetime) -> str:
    return str(event.get("message") or event.get("note") or "").strip()


def _times(event: Obj, _now: datetime) -> int:
    series = event.get("series") or {}
    return int(series.get("count") or event.get("count") or event.get("deprecatedCount") or 1)


_EVENT = (
    Column("Last Seen", _last_seen),
    Column("Type", _of("type")),
    Column("Reason", _of("reason")),
    Column("Object", _about),
    Column("Subobject", _subobject, priority=1),
    Column("Source", _source, priority=1),
    Column("Message", _message),
    Column("First Seen", _first_seen, priority=1),
    Column("Count", _times, type="integer", priority=1),
    Column("Name", _of("metadata.name"), priority=1, format="name"),
)


# --- workloads ----------------------------------------------------------------------------------------------


def _replicas(obj: Obj, _now: datetime) -> str:
    ready = (obj.get("status") or {}).get("readyReplicas") or 0
    return f"{ready}/{(obj.get('spec') or {}).get('replicas') or 0}"


def _template(field: str) -> Callable[[Obj, datetime], str]:
    def cell(obj: Obj, _now: datetime) -> str:
        containers = _of("spec.template.spec.containers")(obj, _now) or ()
        return ",".join(str(container.get(field, "")) for container in containers)

    return cell


_TEMPLATE = (
    Column("Containers", _template("name"), priority=1),
    Column("Images", _template("image"), priority=1),
)
_COUNTED = "integer"
_DEPLOYMENT = (
    NAME,
    Column("Ready", _replicas),
    Column("Up-to-date", _of("status.updatedReplicas", "0"), type=_COUNTED),
    Column("Available", _of("status.availableReplicas", "0"), type=_COUNTED),
    AGE,
    *_TEMPLATE,
)
_REPLICA_SET = (
    NAME,
    Column("Desired", _of("spec.replicas", "0"), type=_COUNTED),
    Column("Current", _of("status.replicas", "0"), type=_COUNTED),
    Column("Ready", _of("status.readyReplicas", "0"), type=_COUNTED),
    AGE,
    *_TEMPLATE,
)
_BUDGET = (
    NAME,
    Column("Min Available", _of("spec.minAvailable", "N/A")),
    Column("Max Unavailable", _of("spec.maxUnavailable", "N/A")),
    Column("Allowed Disruptions", _of("status.disruptionsAllowed", "0"), type=_COUNTED),
    AGE,
)


def _policy_selector(obj: Obj, _now: datetime) -> str:
    labels = ((obj.get("spec") or {}).get("podSelector") or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


def _endpoints(obj: Obj, _now: datetime) -> str:
    found = [each["addresses"][0] for each in obj.get("endpoints") or () if each.get("addresses")]
    return ",".join(found) or "<unset>"


def _slice_ports(obj: Obj, _now: datetime) -> str:
    return ",".join(str(port.get("port", "*")) for port in obj.get("ports") or ()) or "<unset>"


def _capacity(obj: Obj, _now: datetime) -> str:
    return str(((obj.get("status") or {}).get("capacity") or {}).get("storage", ""))


_SLICE = (
    NAME,
    Column("AddressType", _of("addressType")),
    Column("Ports", _slice_ports),
    Column("Endpoints", _endpoints),
    AGE,
)
_CLAIM = (
    NAME,
    Column("Status", _of("status.phase")),
    Column("Volume", _of("spec.volumeName")),
    Column("Capacity", _capacity),
    Column("StorageClass", _of("spec.storageClassName")),
    AGE,
)
_AUTOSCALER = (
    NAME,
    Column("MinPods", _of("spec.minReplicas", "<unset>")),
    Column("MaxPods", _of("spec.maxReplicas", "0"), type=_COUNTED),
    Column("Replicas", _of("status.currentReplicas", "0"), type=_COUNTED),
    AGE,
)


# --- rights -------------------------------------------------------------------------------------------------


def _role(binding: Obj, _now: datetime) -> str:
    ref = binding.get("roleRef") or {}
    return f"{ref.get('kind', '')}/{ref.get('name', '')}"


def _subjects(kind: str) -> Callable[[Obj, datetime], str]:
    def cell(binding: Obj, _now: datetime) -> str:
        found = [s for s in binding.get("subjects") or () if s.get("kind") == kind]
        names = [f"{s['namespace']}/{s['name']}" if s.get("namespace") else s.get("name", "") for s in found]
        return ", ".join(names)

    return cell


_BINDING = (
    NAME,
    Column("Role", _role),
    AGE,
    Column("Users", _subjects("User"), priority=1),
    Column("Groups", _subjects("Group"), priority=1),
    Column("ServiceAccounts", _subjects("ServiceAccount"), priority=1),
)

BY_PLURAL: dict[str, tuple[Column, ...]] = {
    "pods": _POD,
    "services": _SERVICE,
    "events": _EVENT,
    "configmaps": (NAME, Column("Data", _count("data", "binaryData")), AGE),
    "secrets": (NAME, Column("Type", _of("type")), Column("Data", _count("data")), AGE),
    "namespaces": (NAME, Column("Status", _of("status.phase")), AGE),
    "serviceaccounts": (NAME, Column("Secrets", _count("secrets")), AGE),
    "deployments": _DEPLOYMENT,
    "replicasets": _REPLICA_SET,
    "statefulsets": (NAME, Column("Ready", _replicas), AGE, *_TEMPLATE),
    "networkpolicies": (NAME, Column("Pod-Selector", _policy_selector), AGE),
    "poddisruptionbudgets": _BUDGET,
    "endpointslices": _SLICE,
    "persistentvolumeclaims": _CLAIM,
    "horizontalpodautoscalers": _AUTOSCALER,
    "leases": (NAME, Column("Holder", _of("spec.holderIdentity")), AGE),
    "roles": (NAME, _CREATED),
    "clusterroles": (NAME, _CREATED),
    "rolebindings": _BINDING,
    "clusterrolebindings": _BINDING,
    "customresourcedefinitions": (NAME, _CREATED),
}
