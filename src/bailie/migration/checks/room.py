"""Checks of room and of autoscalers: memory, quotas, disruption budgets, replicas that others set. Pure.

Called by `findings`. In place, a move from Seldon Core runs both copies of each server for a while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api import kinds
from bailie.api.quantity import parse_quantity
from bailie.doctor.facts import Unknown
from bailie.migration.checks.resources import reference_to
from bailie.migration.facts import labels_of, name_of, spec_of, status_of
from bailie.migration.finding import PlanFinding, advice, blocker
from bailie.migration.requests import memory_of
from bailie.migration.source import MoveSource
from bailie.wellknown import labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.migration.facts import MoveFacts, Object

_SELDON = frozenset({MoveSource.SELDON_CENTRAL, MoveSource.SELDON_SCOPED})
_MEMORY = ("requests.memory", "memory", "limits.memory")
_PODS = ("pods", "count/pods")
_MESH_PODS = 2
"""Pods of the new runtime: a scheduler and an Envoy."""
_GIB = 2**30


def server_sets(facts: MoveFacts) -> dict[str, Object]:
    """Returns the StatefulSet of each Server that has one, by the Server's name."""
    found = {name_of(each): facts.here.get(kinds.STATEFUL_SET, name_of(each)) for each in _servers(facts)}
    return {name: each for name, each in found.items() if each is not None}


def room_for_copies(facts: MoveFacts) -> dict[str, int]:
    """Returns the bytes that the second copy of each server requests."""
    return {name: _replicas(each) * _pod_memory(each) for name, each in server_sets(facts).items()}


def memory(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields that the cluster lacks memory for a second copy of the servers."""
    needed = room_for_copies(facts)
    if source not in _SELDON or not sum(needed.values()):
        return
    subject, free = f"Namespace {facts.here.name}", facts.cluster.free_memory
    if isinstance(free, Unknown):
        text = f"whether {_size(sum(needed.values()))} are free for the second copy is not known: {free.why}"
        yield advice("room", subject, text, "kubectl describe nodes shows what is requested")
    elif max(needed.values()) > free:
        name = max(needed, key=lambda each: needed[each])
        text = f"a second copy of Server {name} needs {_size(needed[name])} of memory, {_size(free)} are free"
        yield blocker("room", subject, text, "add a machine, or move the models beside into a new namespace")
    elif sum(needed.values()) > free:
        text = f"second copies of all servers need {_size(sum(needed.values()))}, {_size(free)} are free"
        remedy = f"bailie migrate apply {facts.here.name} --one-server-at-a-time"
        yield blocker("room", subject, text, remedy)


def quotas(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields quotas that would refuse the new pods."""
    sets = server_sets(facts) if source in _SELDON else {}
    pods = _MESH_PODS + sum(map(_replicas, sets.values()))
    wanted = dict.fromkeys(_PODS, pods) | dict.fromkeys(_MEMORY, sum(room_for_copies(facts).values()))
    for quota in facts.here.all(kinds.RESOURCE_QUOTA):
        hard, used = status_of(quota).get("hard") or spec_of(quota).get("hard") or {}, status_of(quota)
        for resource, needed in wanted.items():
            if resource not in hard or (resource in _MEMORY and not sets):
                continue
            left = parse_quantity(hard[resource]) - parse_quantity((used.get("used") or {}).get(resource, 0))
            if left < needed:
                more, rest = _shown(resource, needed), _shown(resource, left)
                text = f"{resource}: the move needs {more} more, {rest} are left"
                remedy = f"kubectl edit resourcequota {name_of(quota)} --namespace {facts.here.name}"
                if resource in _MEMORY:
                    remedy += f", or bailie migrate apply {facts.here.name} --one-server-at-a-time"
                yield blocker("quota", reference_to(quota), text, remedy)


def budgets(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields disruption budgets that let no pod of a Server go."""
    for budget in facts.here.all(kinds.POD_DISRUPTION_BUDGET):
        selector = (spec_of(budget).get("selector") or {}).get("matchLabels") or {}
        chosen = [pod for pod in facts.here.all(kinds.POD) if selector.items() <= labels_of(pod).items()]
        servers = sorted({labels_of(pod).get(labels.SERVER, "") for pod in chosen} - {""})
        if servers and _lets_none_go(budget) and labels_of(budget).get(labels.MANAGED_BY) != "bailie":
            text = f"the budget lets no pod of Server {', '.join(servers)} go"
            if source in _SELDON:
                text += "; the step that takes the old pods away would wait for ever"
            remedy = (
                f"kubectl patch poddisruptionbudget {name_of(budget)} --namespace {facts.here.name} "
                '--type merge --patch \'{"spec":{"maxUnavailable":1,"minAvailable":null}}\''
            )
            make = blocker if source in _SELDON else advice
            yield make("budget", reference_to(budget), text, remedy)


def autoscalers(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields autoscalers of objects that the move replaces or watches."""
    for kind in (kinds.HORIZONTAL_POD_AUTOSCALER, kinds.SCALED_OBJECT):
        for item in facts.here.all(kind):
            target = spec_of(item).get("scaleTargetRef") or {}
            target_kind = str(target.get("kind") or "Deployment")
            aimed = f"{target_kind} {target.get('name')}"
            if target_kind in {"StatefulSet", "Deployment"} and _is_replaced(facts, target, source):
                text = f"it scales {aimed}, which the move replaces by another object"
                remedy = f"let it scale the Server: kubectl edit {kind.plural} {name_of(item)} "
                yield blocker(
                    "autoscaler", reference_to(item), text, f"{remedy}--namespace {facts.here.name}"
                )
            elif target_kind in {"Server", "Model"}:
                text = f"it scales {aimed}; a change of replicas in the middle of the move makes it longer"
                yield advice("autoscaler", reference_to(item), text, _pause(kind.kind, item, facts.here.name))


def _is_replaced(facts: MoveFacts, target: Object, source: MoveSource) -> bool:
    kind = kinds.STATEFUL_SET if target.get("kind") == "StatefulSet" else kinds.DEPLOYMENT
    seen = facts.here.get(kind, str(target.get("name")))
    owners = seen["metadata"].get("ownerReferences") or () if seen is not None else ()
    of_seldon = any(str(each.get("apiVersion", "")).startswith(kinds.MLOPS_GROUP) for each in owners)
    return source in _SELDON and (of_seldon or target.get("name") in server_sets(facts))


def _pause(kind: str, item: Object, namespace: str) -> str:
    name = name_of(item)
    if kind == kinds.SCALED_OBJECT.kind:
        return f"kubectl annotate scaledobject {name} --namespace {namespace} autoscaling.keda.sh/paused=true"
    largest = spec_of(item).get("maxReplicas", 1)
    patch = '{"spec":{"minReplicas":' + str(largest) + "}}"
    return f"kubectl patch hpa {name} --namespace {namespace} --type merge --patch '{patch}'"


def _lets_none_go(budget: Object) -> bool:
    spec = spec_of(budget)
    return str(spec.get("maxUnavailable")) in {"0", "0%"} or str(spec.get("minAvailable")) == "100%"


def _servers(facts: MoveFacts) -> tuple[Object, ...]:
    return facts.here.all(kinds.SERVER)


def _replicas(item: Object) -> int:
    wanted = spec_of(item).get("replicas")
    return 1 if wanted is None else int(wanted)


def _pod_memory(item: Object) -> int:
    return memory_of((spec_of(item).get("template") or {}).get("spec") or {})


def _shown(resource: str, amount: int) -> str:
    return _size(amount) if resource in _MEMORY else str(amount)


def _size(amount: int) -> str:
    return f"{amount / _GIB:.1f}Gi"
