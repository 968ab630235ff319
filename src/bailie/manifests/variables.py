"""Variables of containers that the operator sets: which scheduler a pod belongs to, whom a scheduler serves.

Called by `runtime` and `server` with pods that are merged already. A variable that somebody has given another
value than the default is left alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bailie.api.seldon_config import SCHEDULER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bailie.manifests.workload import Manifest, Workload

HOST_VARIABLE = "SELDON_SCHEDULER_HOST"
SERVES_VARIABLE = "BAILIE_SERVES_NAMESPACES"
_CONTAINER = "scheduler"


def rewritten(pod: Manifest, variable: str, change: Callable[[str], str]) -> Manifest:
    """Returns the pod with a new value of the variable in every container that states it."""
    return {**pod, "containers": [_rewritten(each, variable, change) for each in pod.get("containers", ())]}


def _rewritten(container: Manifest, variable: str, change: Callable[[str], str]) -> Manifest:
    if not any(each["name"] == variable for each in container.get("env") or ()):
        return container
    env = [
        {"name": variable, "value": change(each.get("value", ""))} if each["name"] == variable else each
        for each in container["env"]
    ]
    return {**container, "env": env}


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
