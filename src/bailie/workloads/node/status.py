"""A pod's status from the states of its containers, in the words of Kubernetes.

Called by the pod worker whenever something changed; pure. Times are RFC 3339 strings made by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bailie.manifests.workload import Manifest


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not running; `reason` is a token, `message` a sentence."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """A live process."""

    pid: int
    started_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    """How a run ended. `signal` is 0 where the process ended by itself."""

    exit_code: int
    signal: int = 0
    message: str = ""
    started_at: str = ""
    finished_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """One container as its runner sees it."""

    name: str
    image: str
    current: Waiting | Running | Terminated = Waiting("ContainerCreating")
    last: Terminated | None = None
    restarts: int = 0
    started: bool = False
    ready: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """The node's own facts about the pod; with the containers' states it makes the status."""

    ip: str
    start_time: str
    now: str
    containers: Sequence[ContainerState]
    initialised: bool = True
    init_containers: Sequence[ContainerState] = ()


def ended(terminated: Terminated) -> str:
    """Returns a phrase such as `exited with code 1` or `was killed by signal 9`."""
    if terminated.signal:
        return f"was killed by signal {terminated.signal}"
    return f"exited with code {terminated.exit_code}"


def pod_status(pod: Manifest, facts: PodFacts) -> Manifest:
    """Returns the whole `status`; unchanged conditions keep the times of the pod's old status."""
    unready = [each.name for each in facts.containers if not each.ready]
    complaint = f"containers with unready status: [{' '.join(unready)}]" if unready else ""
    old = {each["type"]: each for each in (pod.get("status") or {}).get("conditions") or []}
    wanted = (
        ("PodScheduled", True, "", ""),
        ("Initialized", facts.initialised, "ContainersNotInitialized", "init containers have not ended"),
        ("ContainersReady", not unready, "ContainersNotReady", complaint),
        ("Ready", not unready, "ContainersNotReady", complaint),
    )
    status: dict[str, Any] = {
        "phase": _phase(facts),
        "conditions": [_condition(old, entry, facts.now) for entry in wanted],
        "hostIP": "127.0.0.1",
        "podIP": facts.ip,
        "podIPs": [{"ip": facts.ip}],
        "startTime": facts.start_time,
        "qosClass": "Burstable",
        "containerStatuses": [_container(each) for each in facts.containers],
    }
    if facts.init_containers:
        status["initContainerStatuses"] = [_container(each) for each in facts.init_containers]
    return status


def _phase(facts: PodFacts) -> str:
    """Returns the phase: Running once every container ran at least once, as in Kubernetes."""
    ran = [not isinstance(each.current, Waiting) or each.last is not None for each in facts.containers]
    return "Running" if facts.initialised and all(ran) else "Pending"


def _condition(old: Mapping[str, Manifest], wanted: tuple[str, bool, str, str], now: str) -> Manifest:
    kind, holds, reason, message = wanted
    status = "True" if holds else "False"
    before = old.get(kind, {})
    since = before.get("lastTransitionTime") if before.get("status") == status else None
    entry = {"type": kind, "status": status, "lastTransitionTime": since or now}
    return entry if holds else {**entry, "reason": reason, "message": message}


def _container(state: ContainerState) -> Manifest:
    return {
        "name": state.name,
        "image": state.image,
        "imageID": state.image,
        "ready": state.ready,
        "started": state.started,
        "restartCount": state.restarts,
        "state": _state(state.current),
        "lastState": _state(state.last) if state.last else {},
        **({"containerID": f"process://{state.current.pid}"} if isinstance(state.current, Running) else {}),
    }


def _state(state: Waiting | Running | Terminated) -> Manifest:
    match state:
        case Waiting():
            return {"waiting": {"reason": state.reason, "message": state.message}}
        case Running():
            return {"running": {"startedAt": state.started_at}}
        case Terminated():
            return {"terminated": _terminated(state)}


def _terminated(state: Terminated) -> Manifest:
    """Returns the state without times that are unknown: the API takes a time or none, and no empty text."""
    failed = state.exit_code != 0
    times = {"startedAt": state.started_at, "finishedAt": state.finished_at}
    return {
        "exitCode": state.exit_code,
        **({"signal": state.signal} if state.signal else {}),
        "reason": "Error" if failed else "Completed",
        "message": state.message,
        **{name: time for name, time in times.items() if time},
    }
