"""Conditions of SeldonRuntimes and Servers, from what is wanted and what was observed. Pure.

Called by the reconcilers. `reason` is a CamelCase token, `message` a sentence for people.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bailie.api.resource import NO_EFFECT
from bailie.api.seldon_config import ENVOY, SCHEDULER
from bailie.api.status import Condition
from bailie.manifests.runtime import left_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.api.problems import Problem
    from bailie.api.seldon_runtime import SeldonRuntime
    from bailie.workloads.port import Observation

READY = "Ready"
WORKLOAD_READY = "StatefulSetOrDeploymentReady"
COMPONENT_CONDITIONS = {SCHEDULER: "SchedulerReady", ENVOY: "EnvoyReady"}


def refused(problems: Sequence[Problem]) -> Condition:
    """Returns `Ready` for a spec that cannot be acted on; what runs stays as it is."""
    errors = [problem for problem in problems if problem.reason != NO_EFFECT]
    scaling = all(problem.reason == "InvalidScaling" for problem in errors)
    return not_ready(
        "InvalidScaling" if scaling else "InvalidSpec", "; ".join(str(error) for error in errors)
    )


def not_ready(reason: str, message: str, condition: str = READY) -> Condition:
    """Returns a condition that does not hold."""
    return Condition(type=condition, status="False", reason=reason, message=message)


def workload_condition(condition: str, asked: int, seen: Observation) -> Condition:
    """Returns whether as many pods are ready as are wanted."""
    wanted = asked if seen.wanted is None else seen.wanted
    if seen.scaled_by and wanted != asked:
        return _scaled_elsewhere(workload_condition(condition, wanted, replace(seen, scaled_by="")), seen)
    if wanted == 0 and seen.replicas == 0:
        return _holds(condition, "NoReplicas", "no replicas are wanted")
    count = f"{min(seen.ready_replicas, wanted)} of {wanted} replicas are ready"
    if seen.ready_replicas >= wanted and seen.replicas <= wanted:
        update = f"; an update is under way: {seen.message}" if seen.message else ""
        return _holds(condition, "ReplicasReady", count + update)
    if seen.replicas > wanted:
        text = f"{seen.replicas - wanted} of {seen.replicas} replicas are being removed"
        return not_ready("ScalingDown", text, condition)
    text = f"{count}: {seen.message}" if seen.message else count
    return not_ready("ReplicasNotReady", text, condition)


def _scaled_elsewhere(condition: Condition, seen: Observation) -> Condition:
    text = f"{condition.message}; {seen.scaled_by} sets the number of pods: let it scale the Server instead"
    return condition.model_copy(update={"message": text})


def left_out_condition(runtime: SeldonRuntime, component: str) -> Condition | None:
    """Returns the condition of a component that the runtime does not have, None where it has it."""
    if not left_out(runtime, component):
        return None
    condition = COMPONENT_CONDITIONS[component]
    if runtime.override(component).disable:
        return _holds(condition, "Disabled", "the component is disabled")
    text = f"the scheduler of namespace {runtime.spec.scheduler_namespace} serves this one"
    return _holds(condition, "ServedElsewhere", text)


def without_template(component: str, config: str) -> Condition:
    """Returns the condition of a component that nobody describes."""
    text = f'SeldonConfig "{config}" has no podSpec for component "{component}"'
    return not_ready("NoTemplate", text, COMPONENT_CONDITIONS[component])


def _holds(condition: str, reason: str, message: str) -> Condition:
    return Condition(type=condition, status="True", reason=reason, message=message)
