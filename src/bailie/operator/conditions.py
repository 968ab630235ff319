"""Conditions of SeldonRuntimes and Servers, from their specs and the observed workloads. Pure.

Called by the reconcilers. `reason` is a CamelCase token, `message` a sentence for people.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bailie.api.kinds import CONFIG_MAP, POD_DISRUPTION_BUDGET, SERVICE
from bailie.api.problems import told_problems
from bailie.api.resource import NO_EFFECT
from bailie.api.seldon_config import ENVOY, SCHEDULER
from bailie.api.status import Condition, told_conditions
from bailie.api.texts import counted
from bailie.lifecycle.words import UNREADABLE
from bailie.manifests.objects import is_ours, is_seldon_cores
from bailie.manifests.pipeline_gateway import gateway_is_left_out
from bailie.manifests.runtime import left_out, requested_scheduler_namespace
from bailie.scope.central import SERVED_ELSEWHERE
from bailie.wellknown.names import PIPELINE_GATEWAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.api.problems import Problem
    from bailie.api.seldon_runtime import SeldonRuntime
    from bailie.api.server import Server
    from bailie.api.status import ConditionStatus
    from bailie.kube.client import Object
    from bailie.workloads.port import Observation

READY = "Ready"
WORKLOAD_READY = "StatefulSetOrDeploymentReady"
CONFIG_CURRENT = "ConfigCurrent"
OWN_SERVICES = "OwnServices"
OWN_OBJECTS = "OwnObjects"
SCHEDULER_PRESENT = "SchedulerPresent"
KNOWN_CONTAINERS = "KnownContainers"
SCHEDULER_REFUSED = "SchedulerNamespaceRefused"
REMOTES = "RemotesUsable"
SERVED_HERE = "ServedHere"
PIPELINE_GATEWAY_READY = "PipelineGatewayReady"
SCALING = "Scaling"
COMPONENT_CONDITIONS = {SCHEDULER: "SchedulerReady", ENVOY: "EnvoyReady"}


def refused(problems: Sequence[Problem]) -> Condition:
    """Returns `Ready` for an invalid spec, which leaves the workloads as they are."""
    errors = [problem for problem in problems if problem.reason != NO_EFFECT]
    scaling = all(problem.reason == "InvalidScaling" for problem in errors)
    return unmet("InvalidScaling" if scaling else "InvalidSpec", told_problems(errors))


def failed(kind: str, error: Exception) -> Condition:
    """Returns `Ready` for an object at which Bailie itself has failed, without the exception's own text."""
    text = (
        f"Bailie failed at this {kind} ({type(error).__name__}) and tries again. That is a mistake in Bailie:"
        ' please report it with the line "reconcile raised" of the operator\'s log; until it is mended, only'
        " another spec or configuration helps. No other object waits for this one"
    )
    return unmet(UNREADABLE, text)


def unmet(reason: str, message: str, condition: str = READY) -> Condition:
    """Returns a condition with status False."""
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
        return unmet("ScalingDown", text, condition)
    text = f"{count}: {seen.message}" if seen.message else count
    return unmet("ReplicasNotReady", text, condition)


def _scaled_elsewhere(condition: Condition, seen: Observation) -> Condition:
    text = f"{condition.message}; {seen.scaled_by} sets the number of pods: let it scale the Server instead"
    return condition.model_copy(update={"message": text})


def left_out_condition(
    runtime: SeldonRuntime, component: str, service: Object | None = None
) -> Condition | None:
    """Returns the condition of a component that the runtime does not have, None where it has it.

    `service`: a hand-made Service in the place of the component's own.
    """
    if not left_out(runtime, component):
        return None
    condition, override = COMPONENT_CONDITIONS[component], runtime.override(component)
    elsewhere = requested_scheduler_namespace(runtime) if component == SCHEDULER else ""
    if elsewhere:
        text = f"the scheduler of namespace {elsewhere} serves this one"
        return _holds(condition, SERVED_ELSEWHERE, text)
    text = "the component is disabled" if override.disable else "no replicas are wanted"
    if service is not None:
        return _holds(condition, SERVED_ELSEWHERE, f"{text}; {_described(service)} is left alone")
    return _holds(condition, "Disabled" if override.disable else "NoReplicas", text)


def service_taken(service: Object, component: str) -> Condition:
    """Returns the condition of a component that no client finds, because its Service was made by others."""
    text = (
        f"{_described(service)} is left alone, so clients do not find the pods of this namespace: delete it,"
        " or disable the component"
    )
    return unmet("ServiceTaken", text, COMPONENT_CONDITIONS[component])


def scheduler_refused(other: str, namespace: str) -> str:
    """Returns a sentence: the field that the owner of the other namespace must set before its scheduler
    serves this one."""
    return (
        f"the SeldonRuntime of namespace {other} does not let its scheduler serve {namespace}: its owner has"
        f" to add {namespace} to its spec.servesNamespaces; or ask for no scheduler of {other} here"
    )


def own_services(hand_made: Sequence[Object]) -> Condition:
    """Returns whether the runtime made its Services. A hand-made Service is reported and does no harm."""
    if not hand_made:
        return _holds(OWN_SERVICES, "Own", "the runtime has its Services to itself")
    text = "; ".join(f"{_described(each)} is left alone" for each in hand_made)
    return unmet("HandMade", text, OWN_SERVICES).model_copy(update={"severity": "Info"})


def own_objects(others: Sequence[Object], before: Condition | None) -> list[Condition]:
    """Returns whether the objects around the pods are the operator's own, once there was a reason to say so.

    `others`: the objects of others in their places, which are left alone; `before`: the condition that the
    status has.
    """
    if not others:
        text = "no object of others is in the place of one of its own"
        return [_holds(OWN_OBJECTS, "Own", text)] if before is not None else []
    text = "; ".join(map(_in_the_place, others))
    return [unmet("MadeByOthers", text, OWN_OBJECTS).model_copy(update={"severity": "Warning"})]


_WHAT_FOLLOWS = {
    SERVICE.kind: "so its names and addresses lead where it says, not to these pods",
    CONFIG_MAP.kind: "and the pods read it in place of the operator's",
    POD_DISRUPTION_BUDGET.kind: "so drains follow its rule",
}


def _in_the_place(other: Object) -> str:
    """Returns what an object of others does in the place of one of the operator's, and the remedy."""
    kind, metadata = str(other["kind"]), other["metadata"]
    maker = "Seldon Core's operator" if is_seldon_cores(other) else "somebody else"
    follows = f", {found}" if (found := _WHAT_FOLLOWS.get(kind)) else ""
    remedy = f"kubectl delete {kind.lower()} {metadata['name']} -n {metadata['namespace']}"
    return (
        f'the {kind} "{metadata["name"]}" was made by {maker} and is left alone{follows}; to have the'
        f" operator make its own: {remedy}"
    )


def pipeline_gateway(runtime: SeldonRuntime, server: Object | None, refusal: str) -> Condition:
    """Returns whether the gateways of the namespace's pipelines are ready, as their Server says.

    `refusal`: why the Server could not be made, empty where it could.
    """
    kind, named = PIPELINE_GATEWAY_READY, f'Server "{PIPELINE_GATEWAY}"'
    if refusal:
        return unmet("Refused", f"the {named} could not be made: {refusal}", kind)
    if server is not None and not is_ours(server):
        condition = gateways_of(server)
        text = f"the {named} was made by hand and is left alone; {condition.message or 'it says no more'}"
        return condition.model_copy(update={"message": text})
    if not runtime.status.has_pipelines:
        return _holds(kind, "NoPipelines", "the namespace has no Pipeline, so no gateway runs")
    if gateway_is_left_out(runtime):
        text = (
            f"the namespace has Pipelines, and spec.overrides of {PIPELINE_GATEWAY} leaves their gateway out"
        )
        return unmet("Disabled", text, kind)
    return unmet("NotMadeYet", f"the {named} is being made", kind) if server is None else gateways_of(server)


def gateways_of(server: Object) -> Condition:
    """Returns the word of a Server about itself as a condition of the runtime."""
    said = {each.type: each for each in told_conditions(server)}
    ready = said.get(READY)
    if ready is None:
        return unmet("NotMadeYet", "the Server says nothing yet", PIPELINE_GATEWAY_READY)
    if ready.status == "True":
        ready = said.get(WORKLOAD_READY, ready)
        return _holds(PIPELINE_GATEWAY_READY, "ReplicasReady", ready.message or "")
    return unmet(ready.reason or "ReplicasNotReady", ready.message or "", PIPELINE_GATEWAY_READY)


def remotes_usable(problems: Sequence[str]) -> Condition:
    """Returns whether all rclone remotes of the configuration can be used, as the agents say."""
    if not problems:
        return _holds(REMOTES, "Usable", "the configured remotes can be used")
    return unmet("RemoteInvalid", told_problems(problems), REMOTES)


def served_here(runtime: SeldonRuntime) -> Condition:
    """Returns whether the namespace answers for all of its names, and another mesh for none, as its scheduler
    told it last."""
    mesh, fallback = runtime.spec.fallback_mesh, runtime.status.fallback
    if mesh is None:
        return _holds(SERVED_HERE, "NoFallback", "no other mesh is asked: spec.fallbackMesh names none")
    if fallback is None or fallback.mesh != f"{mesh.host(runtime.metadata.namespace)}:{mesh.port}":
        text = "the namespace's scheduler has not said yet which names the fallback mesh answers for"
        return Condition(type=SERVED_HERE, status="Unknown", reason="NotTold", message=text)
    if not fallback.names:
        text = f"the namespace answers for all of its names; {fallback.mesh} is asked for none"
        return _holds(SERVED_HERE, "AllNames", text)
    more = fallback.names - len(fallback.listed)
    names = ", ".join(fallback.listed) + (f" and {more} more" if more > 0 else "")
    text = f"{fallback.mesh} answers for {counted(fallback.names, 'name')} until models here do: {names}"
    return unmet("OnFallback", text, SERVED_HERE).model_copy(update={"severity": "Info"})


def server_scaling(server: Server) -> Condition | None:
    """Returns whether the Server's number of replicas follows its models, as the scheduler told it last.

    None for a Server of which that was never asked.
    """
    told = server.status.scaling
    if told is not None:
        status: ConditionStatus = "True" if told.active else "False"
        return Condition(type=SCALING, status=status, reason=told.reason, message=told.message)
    if server.status.condition(SCALING) is None:
        return None
    text = "the number stays: spec has no minReplicas below its maxReplicas, or the SeldonRuntime forbids it"
    return unmet("NotAsked", text, SCALING).model_copy(update={"severity": "Info"})


def scheduler_present(namespace: str, runtime: Object | None, service: Object | None) -> Condition:
    """Returns whether anything in the namespace asks for a scheduler: without one its Models get no status.

    `service`: a hand-made Service in the place of the scheduler's own.
    """
    if runtime is not None:
        name = runtime["metadata"]["name"]
        return _holds(SCHEDULER_PRESENT, "Runtime", f'SeldonRuntime "{name}" asks for a scheduler')
    if service is not None:
        return _holds(SCHEDULER_PRESENT, "ServedElsewhere", f"{_described(service)} leads to a scheduler")
    text = (
        f"namespace {namespace} has no SeldonRuntime, so no scheduler looks at its Models and they get no"
        " status; the chart seldon-core-v2-runtime makes one"
    )
    return unmet("NoRuntime", text, SCHEDULER_PRESENT).model_copy(update={"severity": "Warning"})


def known_containers(config: str, own: Sequence[str], running: Sequence[str]) -> Condition:
    """Returns whether the pods have the configuration's containers only. One more is allowed, and is often
    meant to be one of them.

    Args:
        config: kind and name of the configuration, in words.
        own: names of its containers.
        running: names of the containers of the pods.
    """
    added = ", ".join(f'"{name}"' for name in running if name not in own)
    if not added:
        return _holds(KNOWN_CONTAINERS, "Known", f"the pods have the containers of {config}")
    text = (
        f"{config} has no container {added}: it has {', '.join(own) or 'none'}. So {added} runs beside these."
        " To change one of them, for example its image, give the container in podSpec the same name"
    )
    return unmet("Added", text, KNOWN_CONTAINERS).model_copy(update={"severity": "Info"})


def config_current(kind: str, name: str, *, pending: bool) -> Condition:
    """Returns whether the workloads follow the present configuration."""
    if not pending:
        return _holds(CONFIG_CURRENT, "UpToDate", f'the workloads follow {kind} "{name}"')
    text = (
        f'{kind} "{name}" has changed; disableAutoUpdate keeps the workloads as they are until'
        " this object changes or disableAutoUpdate is removed"
    )
    return unmet("UpdatePending", text, CONFIG_CURRENT).model_copy(update={"severity": "Info"})


def _described(service: Object) -> str:
    spec = service["spec"]
    target = f", an ExternalName of {spec['externalName']}," if spec.get("externalName") else ""
    maker = "Seldon Core's" if is_seldon_cores(service) else "the hand-made"
    return f'{maker} Service "{service["metadata"]["name"]}"{target}'


def without_template(component: str, config: str) -> Condition:
    """Returns the condition of a component that has no pod template."""
    text = f'SeldonConfig "{config}" has no podSpec for component "{component}"'
    return unmet("NoTemplate", text, COMPONENT_CONDITIONS[component])


def _holds(condition: str, reason: str, message: str) -> Condition:
    return Condition(type=condition, status="True", reason=reason, message=message)
