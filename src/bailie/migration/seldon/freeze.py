"""Has Seldon Core's operator let the namespace go, and gives it back. Pure. Called by `seldon_steps`.

The operator reads its list when it starts, so that a shorter list replaces its pod. It always serves its own
namespace, and an empty list means the whole cluster: where no other namespace would be left, it stops.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bailie.api.kinds import DEPLOYMENT, LEASE, MLOPS_GROUP, MODEL, POD
from bailie.doctor.facts import Unknown
from bailie.manifests.objects import is_seldon_cores
from bailie.migration.changes import MoveChange, patch
from bailie.migration.facts import annotations_of, condition_of, is_going, name_of, spec_of, status_of
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
    from collections.abc import Iterable, Iterator

    from bailie.migration.facts import MoveFacts, NamespaceObjects, Object
    from bailie.migration.foreign import ForeignOperator
    from bailie.migration.record import MoveRecord

QUIET_SECONDS = 5.0
"""So long must the operator have written nothing in the namespace."""
_SETUP_CHART = "seldon-charts/seldon-core-v2-setup"
_CLUSTER, _LIST = "the whole cluster", "a list"
"""Marks of the operator: the namespaces that it served before it let one go. A number is its replicas."""


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
    """
    deployment = operator_deployment(facts, record)
    before = annotations_of(deployment).get(_mark(record)) if deployment is not None else None
    if deployment is None or before is None:
        return ()
    operator = operator_of(deployment)
    if before not in {_CLUSTER, _LIST}:
        replicas = operator.wanted or int(before) if before.isdecimal() else 1
        return (_marked(_with_replicas(deployment, replicas), record, None),)
    if before == _LIST and operator.covers(record.namespace):  # somebody has put the name there
        return (_marked(patch(DEPLOYMENT, deployment, {}), record, None),)
    again = {*(operator.namespaces or ()), record.namespace} if before == _LIST else set()
    return (_marked(_with_list(deployment, again), record, None),)


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
    return replace(change, body={**(change.body or {}), "metadata": {"annotations": {_mark(record): before}}})


def _mark(record: MoveRecord) -> str:
    return f"{labels.LET_GO}{record.namespace}"


def _left_out(facts: MoveFacts, record: MoveRecord) -> Iterator[str]:
    """Yields that the operator does not serve the namespace, where others have shortened its list."""
    deployment = operator_deployment(facts, record)
    if deployment is not None and not operator_of(deployment).covers(record.namespace):
        yield f"Seldon Core's operator in {record.foreign}: its list lacks {record.namespace}; put it there"


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
        if ready < wanted:
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
