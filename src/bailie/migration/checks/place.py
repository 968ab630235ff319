"""Checks of the namespace as a place: whether it is there, and whether needed names are free. Pure.

Called by `findings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api import kinds
from bailie.manifests.objects import MANAGED_BY, is_ours, is_seldon_cores
from bailie.migration.checks.resources import reference_to
from bailie.migration.errors import DamagedRecord
from bailie.migration.facts import labels_of, name_of
from bailie.migration.finding import PlanFinding, advice, blocker
from bailie.migration.record import record_in
from bailie.migration.source import SELDON_SOURCES, MoveSource
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.migration.facts import MoveFacts

_WORKLOADS = (names.SCHEDULER, names.ENVOY)


def existence(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields that the namespace is not there, is about to go, or has nothing to move."""
    name, namespace = facts.here.name, facts.here.namespace
    subject = f"Namespace {name}"
    if namespace is None:
        yield blocker("namespace", subject, "there is no such namespace", "kubectl get namespaces")
    elif isinstance(namespace, dict) and namespace["metadata"].get("deletionTimestamp"):
        text = "the namespace is being deleted, and all that is in it"
        yield blocker("namespace", subject, text, f"kubectl get namespace {name} -o yaml")
    elif source is MoveSource.NOTHING:
        text = "neither Bailie nor Seldon Core serves the namespace, so there is nothing to move"
        yield blocker("namespace", subject, text, "bailie migrate plan -A lists the namespaces that can move")


def taken_names(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields objects of somebody else's under names that the move needs."""
    before = facts.here.get(kinds.SERVICE, names.MESH_BEFORE) if source in SELDON_SOURCES else None
    if before is not None and labels_of(before).get(labels.MANAGED_BY) != MANAGED_BY:
        text = "a Service of this name leads to the mesh that is left, and this object is not Bailie's"
        remedy = f"kubectl delete service {names.MESH_BEFORE} --namespace {facts.here.name}, if it may go"
        yield blocker("name-taken", reference_to(before), text, remedy)
    for name in _WORKLOADS:
        item = facts.here.get(kinds.DEPLOYMENT, name)
        if item is not None and not is_ours(item) and not is_seldon_cores(item):
            text = f"Bailie makes a Deployment {name_of(item)}, and this one is neither its nor Seldon Core's"
            remedy = f"kubectl delete deployment {name} --namespace {facts.here.name}, if it may go"
            yield blocker("name-taken", reference_to(item), text, remedy)


def records(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:  # noqa: ARG001 - as all checks
    """Yields a record of a move that cannot be read, and a move that has begun already."""
    subject = f"ConfigMap {facts.here.name}/{names.MIGRATION_RECORD}"
    try:
        record = record_in(facts)
    except DamagedRecord as error:
        remedy = f"kubectl get configmap {names.MIGRATION_RECORD} --namespace {facts.here.name} -o yaml, and "
        remedy += "give it another name if it is not Bailie's, or apply with --from-what-is-there"
        yield blocker("record", subject, error.message, remedy)
        return
    if record is not None:
        text = f"a move has begun: {record.by} began it at {record.begun}, its last step is {record.step}"
        remedy = f"bailie migrate apply {facts.here.name} goes on with it, bailie migrate rollback undoes it"
        yield advice("record", subject, text, remedy)
