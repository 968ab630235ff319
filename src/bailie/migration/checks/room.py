"""Checks of room and of autoscalers: memory, quotas, disruption budgets, replicas that others set. Pure.

Called by `findings`. A move from Seldon Core runs both copies of each server for a while: of all servers at
once, or of one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api import kinds
from bailie.api.quantity import parse_quantity, parse_thousandths
from bailie.api.status import status_of
from bailie.doctor.facts import Unknown
from bailie.migration.checks.resources import reference_to
from bailie.migration.facts import labels_of, name_of, spec_of
from bailie.migration.finding import PlanFinding, advice, blocker
from bailie.migration.requests import memory_of, processors_of
from bailie.migration.seldon.interruption import seconds_for
from bailie.migration.source import SELDON_SOURCES
from bailie.wellknown import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bailie.migration.facts import MoveFacts, Object
    from bailie.migration.source import MoveSource

_MEMORY = ("requests.memory", "memory", "limits.memory")
_PROCESSORS = ("requests.cpu", "cpu", "limits.cpu")
_PODS = ("pods", "count/pods")
_MESH_PODS = 2
"""Pods of the new runtime: a scheduler and an Envoy."""
_GIB = 2**30
_ONE_BY_ONE = "bailie migrate apply {namespace} --one-server-at-a-time, with the way back that it names"


def server_sets(facts: MoveFacts) -> dict[str, Object]:
    """Returns the StatefulSet of each Server that has one, by the Server's name."""
    found = {name_of(each): facts.here.get(kinds.STATEFUL_SET, name_of(each)) for each in _servers(facts)}
    return {name: each for name, each in found.items() if each is not None}


def room_for_copies(facts: MoveFacts) -> dict[str, int]:
    """Returns the bytes that the second copy of each server requests."""
    return _of_copies(facts, memory_of)


def machines(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields that the cluster lacks memory or processors for a second copy of the servers."""
    if source not in SELDON_SOURCES:
        return
    bytes_of, free = room_for_copies(facts), facts.cluster.free_memory
    if isinstance(free, Unknown) and any(bytes_of.values()):
        wanted = _size(sum(bytes_of.values()))
        text = f"whether {wanted} are free for a second copy of the servers is not known: {free.why}"
        remedy = "kubectl describe nodes shows what is requested"
        yield advice("room", f"Namespace {facts.here.name}", text, remedy)
    rooms = (
        (bytes_of, free, _size),
        (_of_copies(facts, processors_of), facts.cluster.free_processors, _cores),
    )
    for needed, left, shown in rooms:
        if not isinstance(left, Unknown) and sum(needed.values()) > left:
            yield _too_little(facts, needed, left, shown)


def _too_little(
    facts: MoveFacts, needed: dict[str, int], free: int, shown: Callable[[int], str]
) -> PlanFinding:
    subject, name = f"Namespace {facts.here.name}", max(needed, key=lambda each: needed[each])
    if needed[name] > free:
        text = f"a second copy of Server {name} needs {shown(needed[name])}, {shown(free)} are free"
        remedy = f"add a machine until the move has ended; {_one_by_one(facts)}, if all do not fit even then"
        return advice("room", subject, text, remedy)
    text = f"second copies of all servers need {shown(sum(needed.values()))}, {shown(free)} are free"
    return advice("room", subject, f"{text}; {_price(facts)}", _one_by_one(facts))


def _of_copies(facts: MoveFacts, of: Callable[[Object], int]) -> dict[str, int]:
    """Returns the request of the second copy of each server."""
    pods = {name: _pod_spec(each) for name, each in server_sets(facts).items()}
    return {name: _replicas(each) * of(pods[name]) for name, each in server_sets(facts).items()}


def _pod_spec(workload: Object) -> Object:
    return (spec_of(workload).get("template") or {}).get("spec") or {}


def quotas(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields quotas that would refuse the new pods."""
    wanted = _wanted(facts, source, sum)
    at_a_time = _wanted(facts, source, max)
    for quota in facts.here.all(kinds.RESOURCE_QUOTA):
        hard = status_of(quota).get("hard") or spec_of(quota).get("hard") or {}
        used = status_of(quota).get("used") or {}
        for resource in wanted.keys() & hard.keys():
            read = parse_thousandths if resource in _PROCESSORS else parse_quantity
            left = read(hard[resource]) - read(used.get(resource, 0))
            if left < wanted[resource]:
                more, rest = _shown(resource, wanted[resource]), _shown(resource, left)
                numbers = f"{resource}: %s {more} more, {rest} are left"
                yield _short(facts, quota, source, numbers, one_fits=left >= at_a_time[resource])


def _wanted(facts: MoveFacts, source: MoveSource, joined: Callable[[Iterable[int]], int]) -> dict[str, int]:
    """Returns the requests of the new runtime with copies of the servers, of all or of the largest."""
    copies = server_sets(facts) if source in SELDON_SOURCES else {}
    pods = (_MESH_PODS if source in SELDON_SOURCES else 1) + joined([0, *map(_replicas, copies.values())])
    found = dict.fromkeys(_PODS, pods)
    for resources, of in ((_MEMORY, memory_of), (_PROCESSORS, processors_of)) if copies else ():
        found |= dict.fromkeys(resources, joined([0, *_of_copies(facts, of).values()]))
    return found


def _short(
    facts: MoveFacts, quota: Object, source: MoveSource, numbers: str, *, one_fits: bool
) -> PlanFinding:
    remedy = f"kubectl edit resourcequota {name_of(quota)} --namespace {quota['metadata']['namespace']}"
    if source not in SELDON_SOURCES:
        text = numbers % "the namespace's own scheduler needs"
        return blocker("quota", reference_to(quota), text, remedy)
    text = numbers % "second copies and the new runtime need"
    if one_fits:
        text, remedy = f"{text}; {_price(facts)}", f"{remedy}, or {_one_by_one(facts)}"
    return advice("quota", reference_to(quota), text, remedy)


def _one_by_one(facts: MoveFacts) -> str:
    return _ONE_BY_ONE.format(namespace=facts.here.name)


def _price(facts: MoveFacts) -> str:
    """Says what it costs to bring the Servers over one at a time."""
    servers = len(server_sets(facts))
    seconds = seconds_for(max(servers - 1, 1), len(facts.here.all(kinds.MODEL)))
    return (
        "the Servers can come over one at a time, where a rollback stops models of those that are over for "
        f"up to about {seconds} s"
    )


def budgets(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields disruption budgets of others for pods of Servers, which get one of Bailie's."""
    if source not in SELDON_SOURCES:
        return
    for budget in facts.here.all(kinds.POD_DISRUPTION_BUDGET):
        selector = (spec_of(budget).get("selector") or {}).get("matchLabels") or {}
        chosen = [pod for pod in facts.here.all(kinds.POD) if selector.items() <= labels_of(pod).items()]
        servers = sorted({labels_of(pod).get(labels.SERVER, "") for pod in chosen} - {""})
        if servers:
            text = (
                f"it is for pods of Server {', '.join(servers)}, for which Bailie makes one, too; Kubernetes "
                "evicts no pod with two budgets, so that no machine could be drained"
            )
            remedy = f"kubectl delete poddisruptionbudget {name_of(budget)} --namespace {facts.here.name}"
            yield blocker("budget", reference_to(budget), text, remedy)


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
    return source in SELDON_SOURCES and (of_seldon or target.get("name") in server_sets(facts))


def _pause(kind: str, item: Object, namespace: str) -> str:
    name = name_of(item)
    if kind == kinds.SCALED_OBJECT.kind:
        return f"kubectl annotate scaledobject {name} --namespace {namespace} autoscaling.keda.sh/paused=true"
    largest = spec_of(item).get("maxReplicas", 1)
    patch = '{"spec":{"minReplicas":' + str(largest) + "}}"
    return f"kubectl patch hpa {name} --namespace {namespace} --type merge --patch '{patch}'"


def _servers(facts: MoveFacts) -> tuple[Object, ...]:
    return facts.here.all(kinds.SERVER)


def _replicas(item: Object) -> int:
    wanted = spec_of(item).get("replicas")
    return 1 if wanted is None else int(wanted)


def _shown(resource: str, amount: int) -> str:
    shown = {**dict.fromkeys(_MEMORY, _size), **dict.fromkeys(_PROCESSORS, _cores)}
    return shown.get(resource, str)(amount)


def _size(amount: int) -> str:
    return f"{amount / _GIB:.1f}Gi of memory"


def _cores(amount: int) -> str:
    return f"{amount / 1000:.1f} processors"
