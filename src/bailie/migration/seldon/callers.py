"""Leads callers from Seldon Core's Envoys to Bailie's, by the selector of their Service alone. Pure.

Called by `seldon_steps`. The Service stays the same object with the same addresses: it leads to the Envoys of
before, then to both, then to Bailie's. Every Envoy that a caller reaches answers for every name, for Bailie's
hand requests on as long as no server here has the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import MODEL, SERVICE
from bailie.migration.changes import patch
from bailie.migration.facts import condition_of, name_of, runtime_status, spec_of
from bailie.migration.seldon.detach import with_selector
from bailie.migration.seldon.parts import addresses_of, behind, envoys, mesh, own_envoys, own_workload
from bailie.migration.serving import silent_names
from bailie.wellknown import labels, names, ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.api.seldon_runtime import FallbackStatus
    from bailie.migration.changes import MoveChange
    from bailie.migration.facts import MoveFacts, NamespaceObjects, Object
    from bailie.migration.record import MoveRecord


_HERE = {
    "type": "ClusterIP",
    "externalName": None,
    "selector": {labels.NAME: names.ENVOY, labels.WORKLOAD: names.ENVOY},
    "ports": [{"name": "http", "port": ports.MESH, "targetPort": "http", "protocol": "TCP"}],
}
"""Of a Service that leads to Bailie's Envoys alone, in the place of one that led elsewhere."""


def admit(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:  # noqa: ARG001 - a Decide
    """Lets Bailie's Envoys into the Service of callers, beside those of before."""
    return _changed(facts.here, labels.BEFORE, None)


def are_admitted(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:  # noqa: ARG001 - a Hold
    """Waits until the Service leads to Bailie's Envoys."""
    return tuple(_absent(facts.here, own_envoys(facts.here)))


def shut_out(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:  # noqa: ARG001 - a Decide
    """Leads the Service to the Envoys of before alone, as long as Bailie's are there."""
    if own_workload(facts.here, names.ENVOY) is None or not envoys(facts.here):
        return ()
    return _changed(facts.here, labels.BEFORE, names.ENVOY)


def are_shut_out(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:  # noqa: ARG001 - a Hold
    """Waits until the Service leads to none of Bailie's Envoys."""
    return tuple(_present(facts.here, own_envoys(facts.here)))


def are_served(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:
    """Waits until Bailie answers for every name that was answered before, and hands none of them on.

    `Ready` of Models may still be the word of Seldon Core's operator; `RolledOut` is Bailie's alone.
    """
    told = runtime_status(facts.here.runtime()).fallback
    if told is None:
        return ("fall-back: the namespace's scheduler has not told yet which names are handed on",)
    silent = silent_names(facts.here, record)
    return (*_handed_on(told, silent), *_not_rolled_out(facts.here, record))


def keep_out(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Takes the Envoys of before out of the Service of callers; their connections go on.

    A Service that led to another namespace's mesh leads to Bailie's Envoys here from now on.
    """
    service = facts.here.get(SERVICE, names.MESH)
    if record.mesh and service is not None and "externalName" in spec_of(service):
        return (patch(SERVICE, service, {"spec": _HERE}),)
    return _changed(facts.here, labels.WORKLOAD, names.ENVOY)


def are_kept_out(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:
    """Waits until the Service leads to Bailie's Envoys alone, while every name is served here."""
    here = facts.here
    found = (*_present(here, envoys(here)), *_absent(here, own_envoys(here)))
    return (*found, *are_served(facts, record))


def let_in(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Takes the Envoys of before into the Service again, or leads the Service to the other mesh."""
    service = mesh(facts.here)
    if record.mesh and service is not None:
        gone = dict.fromkeys(("selector", "ports", "clusterIP", "clusterIPs"))
        there = {**gone, "type": "ExternalName", "externalName": record.mesh}
        return (patch(SERVICE, service, {"spec": there}),)
    return _changed(facts.here, labels.WORKLOAD, None)


def are_let_in(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:  # noqa: ARG001 - a Hold
    """Waits until the Service leads to the Envoys of before, too."""
    return tuple(_absent(facts.here, envoys(facts.here)))


def _changed(here: NamespaceObjects, label: str, value: str | None) -> tuple[MoveChange, ...]:
    service = mesh(here)
    if service is None or (spec_of(service).get("selector") or {}).get(label) == value:
        return ()
    return (with_selector(service, label, value),)


def _absent(here: NamespaceObjects, pods: tuple[Object, ...]) -> Iterator[str]:
    ready = behind(here, names.MESH)
    if ready is not None and mesh(here) is not None:
        for address in sorted(addresses_of(pods) - ready):
            yield f"Service {names.MESH}: it does not lead to {address} yet"


def _present(here: NamespaceObjects, pods: tuple[Object, ...]) -> Iterator[str]:
    ready = behind(here, names.MESH)
    if ready is not None and mesh(here) is not None:
        for address in sorted(addresses_of(pods) & ready):
            yield f"Service {names.MESH}: it still leads to {address}"


def _handed_on(told: FallbackStatus, silent: frozenset[str]) -> Iterator[str]:
    """Yields the names that the fall-back answers for, but for those that nothing answered for before."""
    for name in told.listed:
        if name not in silent:
            yield f"{name}: {told.mesh} still answers for it"
    more = told.names - len(told.listed)
    if more > len(silent):
        yield f"{more} more names: {told.mesh} still answers for them"


def _not_rolled_out(here: NamespaceObjects, record: MoveRecord) -> Iterator[str]:
    for each in here.all(MODEL):
        name, rolled = name_of(each), condition_of(each, "RolledOut")
        if rolled.get("status") != "True" and f"{MODEL.kind}/{name}" not in record.unready:
            yield f"model {name}: {rolled.get('message') or 'its scheduler has not reported on it yet'}"
