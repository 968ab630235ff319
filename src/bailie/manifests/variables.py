"""Variables of containers that the operator sets: scheduler of a pod, namespaces of a scheduler, workers.

Called by `runtime` and `server` with pods that are merged already. A variable with another value than the
default is left alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bailie.api.seldon_config import SCHEDULER
from bailie.wellknown import variables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bailie.manifests.workload import Manifest, Workload

HOST_VARIABLE = variables.SCHEDULER_HOST
WORKERS_VARIABLE = variables.PARALLEL_WORKERS
DRAIN_VARIABLE = variables.DRAIN_SECONDS
KUBERNETES_GRACE_SECONDS = 30
"""Of a pod that states none."""
SERVER_END_SECONDS = 15
"""The part of a server pod's grace period that is left to the server's own end."""
AGENT = "agent"
"""Name of the container."""
SERVES_VARIABLE = variables.SERVES_NAMESPACES
_CONTAINER = "scheduler"


def rewritten(pod: Manifest, variable: str, change: Callable[[str], str]) -> Manifest:
    """Returns the pod with a new value of the variable in every container that states it."""
    return {**pod, "containers": [_rewritten(each, variable, change) for each in pod.get("containers", ())]}


def _rewritten(container: Manifest, variable: str, change: Callable[[str], str]) -> Manifest:
    """Returns the variable rewritten; a variable with `valueFrom` stays as it is, for its value is not known
    here."""
    if not any(each["name"] == variable for each in container.get("env") or ()):
        return container
    env = [
        {"name": variable, "value": change(each.get("value", ""))}
        if each["name"] == variable and "valueFrom" not in each
        else each
        for each in container["env"]
    ]
    return {**container, "env": env}


def with_drain(pod: Manifest) -> Manifest:
    """Returns the pod with the time for a drain told to its agent: the grace period, less the server's."""
    agents = [each for each in pod.get("containers", ()) if each["name"] == AGENT]
    if any(each["name"] == DRAIN_VARIABLE for agent in agents for each in agent.get("env") or ()):
        return pod
    stated = pod.get("terminationGracePeriodSeconds")
    grace = KUBERNETES_GRACE_SECONDS if stated is None else int(stated)
    seconds = max(grace - SERVER_END_SECONDS, grace // 2)
    return _agent_told(pod, {"name": DRAIN_VARIABLE, "value": str(seconds)})


def with_workers(pod: Manifest) -> Manifest:
    """Returns the pod with the server's number of parallel workers told to its agent.

    People set it where the server reads it, in its own container; that value is the true one.
    """
    containers = pod.get("containers", ())
    stated = [
        each["value"]
        for container in containers
        if container["name"] != AGENT
        for each in container.get("env") or ()
        if each["name"] == WORKERS_VARIABLE and each.get("value")
    ]
    if not stated:
        return pod
    return _agent_told(pod, {"name": WORKERS_VARIABLE, "value": stated[0]})


def _agent_told(pod: Manifest, variable: Manifest) -> Manifest:
    containers = pod.get("containers", ())
    return {
        **pod,
        "containers": [_told(each, variable) if each["name"] == AGENT else each for each in containers],
    }


def _told(container: Manifest, variable: Manifest) -> Manifest:
    others = [each for each in container.get("env") or () if each["name"] != variable["name"]]
    return {**container, "env": [*others, variable]}


def with_scheduler_of(pod: Manifest, namespace: str) -> Manifest:
    """Returns the pod with the scheduler of another namespace as its own; an empty one changes nothing."""
    if not namespace:
        return pod
    return rewritten(
        pod, HOST_VARIABLE, lambda host: f"{SCHEDULER}.{namespace}" if host == SCHEDULER else host
    )


def serving_namespaces(workload: Workload, namespaces: Sequence[str]) -> Workload:
    """Returns the scheduler's workload with the other namespaces that it serves."""
    if not namespaces or not workload.template:
        return workload
    variable = {"name": SERVES_VARIABLE, "value": ",".join(sorted(namespaces))}
    pod = workload.template["spec"]
    containers = [
        {**each, "env": [*(each.get("env") or ()), variable]} if each["name"] == _CONTAINER else each
        for each in pod.get("containers", ())
    ]
    return replace(workload, template={**workload.template, "spec": {**pod, "containers": containers}})
