"""The end of a move from Seldon Core: takes away all that is left of it. Pure. Called by `seldon_steps`.

First the fall-back ends, so that no request needs the pods of before; then the pods end, in their own way; at
last the objects that both systems have under one name become Bailie's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    EXPERIMENT,
    MODEL,
    PERSISTENT_VOLUME_CLAIM,
    PIPELINE,
    POD,
    REPLICA_SET,
    ROLE,
    ROLE_BINDING,
    SELDON_RUNTIME,
    SERVER,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
)
from bailie.manifests.objects import MANAGED_BY, is_ours, is_seldon_cores
from bailie.migration.central_steps import overrides_of
from bailie.migration.changes import MoveChange, delete, patch
from bailie.migration.checks.resources import FINALIZERS
from bailie.migration.facts import (
    annotations_of,
    is_going,
    labels_of,
    name_of,
    owners_of,
    runtime_status,
    spec_of,
)
from bailie.migration.given_rights import kind_and_present
from bailie.migration.seldon.detach import is_own_before
from bailie.migration.seldon.install import needed_rights
from bailie.migration.seldon.one_by_one import claims_of_ended
from bailie.migration.seldon.parts import claims_of, detached_pods, envoy_sets, mesh, scheduler_claims
from bailie.migration.seldon.set_aside import copies
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.api.kinds import Kind
    from bailie.migration.facts import MoveFacts, Object
    from bailie.migration.record import MoveRecord

_HELD = (MODEL, PIPELINE, EXPERIMENT, SERVER, SELDON_RUNTIME)
_LEFT = (DEPLOYMENT, STATEFUL_SET, SERVICE, CONFIG_MAP, ROLE_BINDING, ROLE, SERVICE_ACCOUNT)
"""Kinds of which Seldon Core's operator makes objects in a namespace, in the order in which they go."""


def part(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:  # noqa: ARG001 - a Decide
    """Takes the fall-back off the SeldonRuntime, and the finalizers of Seldon Core's operator off all kinds.

    Without that operator a deletion would hang on them.
    """
    found = []
    runtime = facts.here.runtime()
    if runtime is not None and "fallbackMesh" in spec_of(runtime):
        values = ("--set fallbackMesh=null",)
        found.append(patch(SELDON_RUNTIME, runtime, {"spec": {"fallbackMesh": None}}, values=values))
    for kind in _HELD:
        for each in facts.here.all(kind):
            present = each["metadata"].get("finalizers") or []
            kept = [mark for mark in present if mark not in FINALIZERS]
            if len(kept) < len(present):
                found.append(patch(kind, each, {"metadata": {"finalizers": kept}}))
    return tuple(found)


def is_without_fallback(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:  # noqa: ARG001 - a Hold
    """Waits until the scheduler tells of no fall-back any more."""
    told = runtime_status(facts.here.runtime()).fallback
    return ("fall-back: the namespace's scheduler has not given it up yet",) if told else ()


def end_envoys(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:  # noqa: ARG001 - a Decide
    """Deletes the Envoys of before, while their servers still answer: callers may have kept connections."""
    return tuple(delete(REPLICA_SET, each) for each in envoy_sets(facts.here) if not is_going(each))


def are_envoys_ended(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:  # noqa: ARG001 - a Hold
    """Waits until the Envoys of before have ended."""
    return tuple(f"pod {name_of(each)}: it has not ended yet" for each in _before(facts) if _is_envoy(each))


def clear(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Deletes the pods of servers of before, their volume claims, and the objects that were made for them."""
    here = facts.here
    pods = [pod for pod, _ in detached_pods(here)]
    claims = (*claims_of(here, pods), *claims_of_ended(here, record), *scheduler_claims(here))
    found = [delete(PERSISTENT_VOLUME_CLAIM, each) for each in claims]
    found += [delete(POD, each) for each in pods]
    found += [delete(kind, each) for kind, each in _left(facts, record)]
    found += [delete(kind, each) for kind, each in copies(here)]
    for each in here.all(SERVER):
        if labels.HELD in annotations_of(each):
            found.append(patch(SERVER, each, {"metadata": {"annotations": {labels.HELD: None}}}))
    before = here.get(SERVICE, names.MESH_BEFORE)
    if before is not None and is_own_before(before) and not is_going(before):
        found.append(delete(SERVICE, before))
    return tuple(found)


def is_cleared(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:  # noqa: ARG001 - a Hold
    """Waits until the pods of before have ended."""
    return tuple(f"pod {name_of(each)}: it has not ended yet" for each in _before(facts))


def make_own(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Makes the objects that both systems share Bailie's: Service, settings, accounts and rights."""
    here, found = facts.here, []
    service, runtime = mesh(here), here.runtime()
    if service is not None and runtime is not None:
        found.append(_kept_type(service, runtime) or _owned(SERVICE, service, names.ENVOY))
    settings = here.get(CONFIG_MAP, names.AGENT_CONFIG)
    if settings is not None and not is_ours(settings):
        found.append(_owned(CONFIG_MAP, settings, names.AGENT_CONFIG))
    for manifest in needed_rights(facts, record):
        kind, present = kind_and_present(facts, manifest)
        if present is not None and owners_of(present):
            found.append(patch(kind, present, {"metadata": {"ownerReferences": None}}))
    return tuple(found)


def _before(facts: MoveFacts) -> Iterator[Object]:
    return (each for each in facts.here.all(POD) if labels.BEFORE in labels_of(each))


def _is_envoy(pod: Object) -> bool:
    return labels_of(pod)[labels.BEFORE] == names.ENVOY


def _left(facts: MoveFacts, record: MoveRecord) -> Iterator[tuple[Kind, Object]]:
    """Yields the objects of Seldon Core's operator whose names Bailie does not use."""
    used = {(SERVICE.kind, names.MESH), (CONFIG_MAP.kind, names.AGENT_CONFIG)}
    used |= {(each["kind"], name_of(each)) for each in needed_rights(facts, record)}
    for kind in _LEFT:
        for each in facts.here.all(kind):
            if is_seldon_cores(each) and (kind.kind, name_of(each)) not in used and not is_going(each):
                yield kind, each


def _kept_type(service: Object, runtime: Object) -> MoveChange | None:
    """Returns the change by which the SeldonRuntime keeps the Service's type, and with it its address.

    Without it the operator would give the Service the type of the shared configuration.
    """
    kept, overrides = spec_of(service).get("type"), overrides_of(runtime)
    own: Object = next((each for each in overrides if each.get("name") == names.ENVOY), {"name": names.ENVOY})
    if own.get("serviceType") == kept:
        return None
    rest = [each for each in overrides if each.get("name") != names.ENVOY]
    spec = {"overrides": [*rest, {**own, "serviceType": kept}]}
    return patch(SELDON_RUNTIME, runtime, {"spec": spec}, values=(f"--set envoy.serviceType={kept}",))


def _owned(kind: Kind, item: Object, workload: str) -> MoveChange:
    """Returns the change after which Bailie's operator keeps an object as part of a workload."""
    body: Object = {"metadata": {"labels": {labels.WORKLOAD: workload, labels.MANAGED_BY: MANAGED_BY}}}
    if kind is SERVICE:
        body["spec"] = {"selector": {labels.WORKLOAD: None}}
    return patch(kind, item, body)
