"""Has Seldon Core's operator let the namespace go, and gives it back. Pure. Called by `seldon_steps`.

The operator reads its list when it starts, so that a shorter list replaces its pod. It always serves its own
namespace, and an empty list means the whole cluster: where no other namespace would be left, it stops.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bailie.api.kinds import DEPLOYMENT, LEASE, MLOPS_GROUP, MODEL, POD, SERVER
from bailie.api.status import status_of
from bailie.doctor.facts import Unknown
from bailie.manifests.objects import is_seldon_cores
from bailie.migration.changes import MoveChange, patch
from bailie.migration.facts import annotations_of, condition_of, is_going, name_of, spec_of
from bailie.migration.fields import writes_of
from bailie.migration.foreign import containers_with, operator_of
from bailie.migration.seldon.one_by_one import models_on
from bailie.migration.seldon.parts import seconds_between, servers, workloads
from bailie.migration.serving import replaced_pods
from bailie.migration.watch import FIELD_MANAGER
from bailie.scope.claim import UPSTREAM_LEASE, is_upstream_operator
from bailie.wellknown import labels, names
from bailie.workloads.replicas import is_ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bailie.migration.facts import MoveFacts, NamespaceObjects, Object
    from bailie.migration.foreign import ForeignOperator
    from bailie.migration.record import MoveRecord

QUIET_SECONDS = 5.0
"""So long must the operator have written nothing in the namespace."""
_SETUP_CHART = "seldon-charts/seldon-core-v2-setup"
_CLUSTER, _LIST = "the whole cluster", "a list"
"""Marks of the operator: the namespaces that it served before it let one go. A number is its replicas."""
_SCOPES = frozenset({_CLUSTER, _LIST})


def let_go(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Shortens the operator's list, or stops it where no other namespace is left on it."""
    deployment = operator_deployment(facts, record)
    if deployment is None:
        return ()
    operator = operator_of(deployment)
    if not operator.wanted or not operator.covers(record.namespace):
        return ()
    left = others(facts, operator, record.namespace)
    if not left:
        return (_marked(_with_replicas(deployment, 0), record, str(operator.wanted)),)
    before = _CLUSTER if operator.namespaces is None else _LIST
    return (_marked(_with_list(deployment, left), record, before),)


def is_silent(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:
    """Waits until the pod with the longer list has ended, and nobody writes as the operator does."""
    return (*settled(facts, record), *_written(facts))


def give_back(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Puts the namespace on the operator's list again, or starts the operator, as its mark says.

    The mark is on the operator itself: an author of the namespace can edit the record, and not the operator.
    Namespaces with marks of their own are not its again: while there are some, it gets a list.
    """
    deployment = operator_deployment(facts, record)
    marks = _marks(deployment) if deployment is not None else {}
    before = marks.pop(record.namespace, None)
    if deployment is None or before is None:
        return ()
    operator = operator_of(deployment)
    if before not in _SCOPES:
        replicas = operator.wanted or int(before) if before.isdecimal() else 1
        return (_marked(_with_replicas(deployment, replicas), record, None),)
    if operator.covers(record.namespace) and (before == _LIST or operator.namespaces is None):
        return (_marked(patch(DEPLOYMENT, deployment, {}), record, None),)  # somebody has put the name there
    return (_marked(_listed_again(deployment, record, marks, before), record, None),)


def _listed_again(
    deployment: Object, record: MoveRecord, marks: Mapping[str, str], before: str
) -> MoveChange:
    """Returns the change that gives an operator one namespace again, and none that others have let go.

    An operator that stopped for the last of them starts: its list still has that one, which goes from it.
    The last namespace that comes back gives the operator the whole cluster, where it had that.
    """
    operator = operator_of(deployment)
    starts = not operator.wanted and operator.home not in marks  # its own namespace stays its own
    stopped = {name: int(mark) for name, mark in marks.items() if mark.isdecimal()} if starts else {}
    heirs = [*stopped, *(name for name, mark in marks.items() if mark in _SCOPES and before == _CLUSTER)]
    listed = {*(operator.namespaces or ()), record.namespace} - stopped.keys()
    change = _with_list(deployment, listed if marks or before == _LIST else set())
    spec = {**(change.body or {})["spec"], **({"replicas": max(stopped.values())} if stopped else {})}
    annotations = {f"{labels.LET_GO}{name}": before for name in heirs}
    return replace(change, body={"spec": spec, "metadata": {"annotations": annotations}})


def has_it_again(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:
    """Waits until the operator has made its workloads again, each has its pods, and new pods their models."""
    lacking = (*_lacking(facts.here, record), *_unloaded(facts.here, record))
    return (*_left_out(facts, record), *settled(facts, record), *lacking)


def acts_rightly(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:  # noqa: ARG001 - a Hold
    """Returns that what the operator does in the namespace is right: the namespace is its again."""
    return ("Seldon Core's operator: it has the namespace",)


def operator_deployment(facts: MoveFacts, record: MoveRecord) -> Object | None:
    """Returns the Deployment of Seldon Core's operator, None where the move began without one.

    Bailie's has the same name: a record must not make a move stop one of Bailie's.
    """
    found = facts.present(DEPLOYMENT, names.OPERATOR, record.foreign) if record.foreign else None
    return found if found is not None and is_upstream_operator(found) else None


def others(facts: MoveFacts, operator: ForeignOperator, namespace: str) -> frozenset[str]:
    """Returns the list that is left to an operator without a namespace, empty where it has to stop."""
    if namespace == operator.home:
        return frozenset()
    running = facts.runtimes_in
    if operator.namespaces is not None:
        listed = operator.namespaces - {namespace}
    else:
        listed = frozenset() if isinstance(running, Unknown) else running - {namespace}
    alone = not isinstance(running, Unknown) and operator.home not in running and listed <= {operator.home}
    return frozenset() if alone else frozenset({*listed, operator.home})


def _with_list(deployment: Object, listed: Iterable[str]) -> MoveChange:
    names_of = sorted(listed)
    body = {"spec": {"template": {"spec": {"containers": containers_with(deployment, names_of)}}}}
    values = ("--set controller.watchNamespaces=" + (f'"{{{",".join(names_of)}}}"' if names_of else "null"),)
    change = patch(DEPLOYMENT, deployment, body, values=values, chart=_SETUP_CHART)
    return replace(change, said=f"its list of namespaces is {', '.join(names_of) or 'the whole cluster'}")


def _marked(change: MoveChange, record: MoveRecord, before: str | None) -> MoveChange:
    """Returns a change of the operator that puts the mark on it, too, or takes it off."""
    body = change.body or {}
    others_too = (body.get("metadata") or {}).get("annotations") or {}
    marks = {**others_too, f"{labels.LET_GO}{record.namespace}": before}
    return replace(change, body={**body, "metadata": {"annotations": marks}})


def _marks(deployment: Object) -> dict[str, str]:
    """Returns the marks of an operator, by the namespace that it has let go."""
    of_all = annotations_of(deployment).items()
    return {key.removeprefix(labels.LET_GO): text for key, text in of_all if key.startswith(labels.LET_GO)}


def _left_out(facts: MoveFacts, record: MoveRecord) -> Iterator[str]:
    """Yields that the operator does not serve the namespace: others have shortened its list, or stopped it.

    A move that began before there were marks has none: its operator is given back by hand.
    """
    deployment = operator_deployment(facts, record)
    if deployment is None:
        return
    operator, its = operator_of(deployment), f"Seldon Core's operator in {record.foreign}"
    if not operator.covers(record.namespace):
        yield f"{its}: its list lacks {record.namespace}; put it there"
    if record.replicas and not operator.wanted:
        yield f"{its}: it is stopped; start it, with replicas: {record.replicas} as before"


def _with_replicas(deployment: Object, replicas: int) -> MoveChange:
    return patch(DEPLOYMENT, deployment, {"spec": {"replicas": replicas}})


def settled(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:
    """Returns why the operator's pods are not those of its Deployment as it is; nothing if they are."""
    return tuple(_unsettled(facts, record))


def _unsettled(facts: MoveFacts, record: MoveRecord) -> Iterator[str]:
    deployment = operator_deployment(facts, record)
    place = facts.place(record.foreign)
    if deployment is None or place is None:
        return
    wanted, status = operator_of(deployment).wanted, status_of(deployment)
    pods = [each for each in place.all(POD) if name_of(each).startswith(f"{names.OPERATOR}-")]
    seen = int(status.get("observedGeneration") or 0) >= int(deployment["metadata"].get("generation") or 0)
    updated = int(status.get("updatedReplicas") or 0) >= wanted
    right = [pod for pod in pods if is_ready(pod) and not is_going(pod)]
    if not seen or not updated or len(pods) != wanted or len(right) != wanted:
        ending = len(pods) - len(right)
        text = f"{len(right)} of {wanted} pods are ready, {ending} others have not ended"
        yield f"Seldon Core's operator in {record.foreign}: {text}"


def _written(facts: MoveFacts) -> Iterator[str]:
    """Yields the newest write of the operator in the namespace, where it is too young."""
    every = (item for items in facts.here.objects.values() for item in items.values())
    its = [each for each in every if _is_an_operators(each)]
    fields = [each for item in its for each in item["metadata"].get("managedFields") or ()]
    newest = max(
        (str(each.get("time") or "") for each in fields if each.get("manager") == FIELD_MANAGER), default=""
    )
    if newest and facts.at and seconds_between(newest, facts.at) < QUIET_SECONDS:
        yield f"Seldon Core's operator: it wrote in the namespace at {newest}"
    lease = facts.here.get(LEASE, UPSTREAM_LEASE)
    renewed = str(spec_of(lease).get("renewTime") or "") if lease is not None else ""
    if renewed and facts.at and seconds_between(renewed, facts.at) < QUIET_SECONDS:
        yield f"Seldon Core's operator: it renewed its Lease in the namespace at {renewed}"


def _is_an_operators(item: Object) -> bool:
    """Says whether an object is of the kinds that an operator writes. Others have the same field manager."""
    return str(item.get("apiVersion", "")).startswith(f"{MLOPS_GROUP}/") or is_seldon_cores(item)


def _lacking(here: NamespaceObjects, record: MoveRecord) -> Iterator[str]:
    sets, envoys = workloads(here)
    there = {name_of(each) for each in sets}
    for name in servers(here):
        if name not in there:
            yield f"server {name}: {_nobody(record, 'StatefulSet')}"
    if record.envoys and not envoys:
        yield f"Envoys: {_nobody(record, 'Deployment')}"
    for each in (*sets, *envoys):
        ready, wanted = int(status_of(each).get("readyReplicas") or 0), spec_of(each).get("replicas", 1)
        if ready < wanted and not (each in sets and f"{SERVER.kind}/{name_of(each)}" in record.unready):
            yield f"{each['kind']} {name_of(each)}: {ready} of {wanted} pods are ready"


def _unloaded(here: NamespaceObjects, record: MoveRecord) -> Iterator[str]:
    """Yields the models of pods that were made again, until Seldon Core's operator says that they are ready.

    `Ready` may still be the word of Bailie's scheduler.
    """
    pods = replaced_pods(here, record) if record.one_by_one else ()
    anew = tuple({name.rpartition("-")[0] for name in pods} & set(record.one_by_one))
    for name in models_on(record, anew) if anew else ():
        model = here.get(MODEL, name)
        if model is None or f"{MODEL.kind}/{name}" in record.unready:
            continue
        its = writes_of(model, (("status",),), manager=FIELD_MANAGER)
        others = [each for each in writes_of(model, (("status",),)) if each.manager != FIELD_MANAGER]
        told = max((each.time for each in its), default="") >= max((each.time for each in others), default="")
        if not its or not told or condition_of(model, "Ready").get("status") != "True":
            yield f"model {name}: Seldon Core has not loaded it again yet"


def _nobody(record: MoveRecord, kind: str) -> str:
    if record.foreign and record.replicas:
        return f"Seldon Core's operator has not made its {kind} again yet"
    return f"no operator of Seldon Core's was at work before the move: start it, so that it makes its {kind}"
