"""Variables of containers that the operator sets: workers and the time for a drain.

Called by `server` and `artifact_volumes` with pods that are merged already. A variable with another value
than the default is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.wellknown import variables

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.manifests.workload import Manifest

WORKERS_VARIABLE = variables.PARALLEL_WORKERS
DRAIN_VARIABLE = variables.DRAIN_SECONDS
KUBERNETES_GRACE_SECONDS = 30
"""Of a pod that states none."""
SERVER_END_SECONDS = 15
"""The part of a server pod's grace period that is left to the server's own end."""
AGENT = "agent"
"""Name of the container."""


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
    return agent_told(pod, {"name": DRAIN_VARIABLE, "value": str(seconds)})


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
    return agent_told(pod, {"name": WORKERS_VARIABLE, "value": stated[0]})


def agent_told(pod: Manifest, variable: Manifest) -> Manifest:
    """Returns the pod with a variable for its agent."""
    containers = pod.get("containers", ())
    return {
        **pod,
        "containers": [_told(each, variable) if each["name"] == AGENT else each for each in containers],
    }


def _told(container: Manifest, variable: Manifest) -> Manifest:
    others = [each for each in container.get("env") or () if each["name"] != variable["name"]]
    return {**container, "env": [*others, variable]}
