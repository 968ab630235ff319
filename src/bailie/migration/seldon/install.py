"""Prepares the namespace for Bailie, then has Bailie's operator serve it beside Seldon Core's pods. Pure.

Called by `seldon_steps`, in two steps: the first changes nothing that runs. Servers count from a hundred on:
no pod gets a name that is taken. The Service of Seldon Core's scheduler goes, for Bailie's has no selector;
only agents and Envoys use it. The Service of callers stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    LEASE,
    MODEL,
    POD,
    POD_DISRUPTION_BUDGET,
    SECRET,
    SELDON_RUNTIME,
    SERVER,
    SERVICE,
    STATEFUL_SET,
)
from bailie.api.status import status_of
from bailie.manifests.defaults import SELDON_CONFIG_NAME, token_secret
from bailie.manifests.objects import is_ours
from bailie.manifests.rbac import MODEL_SECRETS, namespace_manifests
from bailie.migration.central_steps import LEAVING_OUT, overrides_of, with_scheduler
from bailie.migration.changes import MoveChange, create, delete, patch
from bailie.migration.facts import annotations_of, condition_of, is_going, name_of, spec_of
from bailie.migration.given_rights import give, reference, take
from bailie.migration.record import mesh_namespace
from bailie.migration.seldon.one_by_one import HELD, lead_all_back
from bailie.migration.seldon.parts import own_workload, seconds_between, servers
from bailie.migration.seldon.set_aside import put_back, set_aside
from bailie.scope.claim import CLAIM_LEASE, claim_of
from bailie.scope.leader_notes import leader_notes
from bailie.scope.watch_list import parse_lines, with_names, without_names
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.api.kinds import Kind
    from bailie.migration.facts import MoveFacts, NamespaceObjects, Object
    from bailie.migration.record import MoveRecord

FIRST = "100"
"""The number of the first replica of Bailie's."""
_MADE = (DEPLOYMENT, STATEFUL_SET, POD_DISRUPTION_BUDGET, SERVICE, ENDPOINT_SLICE, CONFIG_MAP)
"""Kinds of which Bailie's operator makes objects in a namespace."""


def needed_rights(facts: MoveFacts, record: MoveRecord) -> tuple[Object, ...]:
    """Returns the accounts and rights of operator, scheduler, Envoys and agents.

    Agents may read the Secrets that the Models of the namespace name.
    """
    named = {str(spec_of(each).get("secretName") or "") for each in facts.here.all(MODEL)} - {""}
    secrets = {*MODEL_SECRETS, *named}
    return tuple(namespace_manifests(record.namespace, record.home, secrets=secrets))


def needed_token(record: MoveRecord) -> Object:
    """Returns the Secret of the control plane, without its content: the token is drawn when it is written."""
    return {key: value for key, value in token_secret(record.namespace, "").items() if key != "stringData"}


def prepare(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Makes the rights, the token and the SeldonRuntime's new fields, and numbers the Servers."""
    here = facts.here
    found = list(give(facts, needed_rights(facts, record)))
    if here.get(SECRET, names.CONTROL_PLANE_SECRET) is None:
        found.append(create(SECRET, needed_token(record)))
    found += set_aside(facts)
    runtime = here.runtime()
    if runtime is None:
        found.append(create(SELDON_RUNTIME, _new_runtime(record)))
    elif spec := _asked(runtime, record):
        found.append(patch(SELDON_RUNTIME, runtime, {"spec": spec}, values=_values(spec)))
    for each in here.all(SERVER):
        if marks := _marks(each, record):
            found.append(patch(SERVER, each, {"metadata": {"annotations": marks}}))
    return tuple(found)


def undo(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Deletes all that Bailie and the move made, and takes the fields of resources back."""
    here = facts.here
    found = [delete(kind, each) for kind, each in _made(here) if not is_going(each)]
    found += [
        delete(LEASE, each) for name in (names.SCHEDULER, CLAIM_LEASE) if (each := here.get(LEASE, name))
    ]
    found += [*put_back(here), *_runtime_as_before(here.runtime(), record)]
    for each in here.all(SERVER):
        present = annotations_of(each)
        marks = [labels.FIRST_ORDINAL] if present.get(labels.FIRST_ORDINAL) == FIRST else []
        marks += [labels.HELD] if labels.HELD in present else []
        if marks:
            found.append(patch(SERVER, each, {"metadata": {"annotations": dict.fromkeys(marks)}}))
    token = here.get(SECRET, names.CONTROL_PLANE_SECRET)
    if token is not None and reference(needed_token(record)) in record.made:
        found.append(delete(SECRET, token))
    if record.redirect and here.get(SERVICE, names.SCHEDULER) is None:
        found.append(create(SERVICE, _redirect(record)))
    return (*found, *lead_all_back(facts, record), *take(facts, record, needed_rights(facts, record)))


def is_undone(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:  # noqa: ARG001 - a Hold
    """Waits until no pod of Bailie's is left: its servers end when their requests have."""
    return tuple(
        f"pod {name_of(each)}: it has not ended yet" for each in facts.here.all(POD) if is_ours(each)
    )


def enlist(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Takes the scheduler's Service of before away, and puts the namespace on the operator's list."""
    service = facts.here.get(SERVICE, names.SCHEDULER)
    if service is not None and not is_ours(service):
        return (delete(SERVICE, service),)
    listed = _list_of(facts, record)
    if listed is None or record.namespace in parse_lines(_lines(listed))[0]:
        return ()
    return (
        patch(
            CONFIG_MAP,
            listed,
            {"data": {names.NAMESPACES_KEY: with_names(_lines(listed), [record.namespace])}},
        ),
    )


def delist(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Takes the namespace from the operator's list."""
    listed = _list_of(facts, record)
    if listed is None or record.namespace not in parse_lines(_lines(listed))[0]:
        return ()
    left = without_names(_lines(listed), [record.namespace])
    return (patch(CONFIG_MAP, listed, {"data": {names.NAMESPACES_KEY: left}}),)


def is_let_go(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:
    """Waits until the operator has let the namespace go, or renews its claim no more, because it is dead."""
    lease = facts.here.get(LEASE, CLAIM_LEASE)
    claim = claim_of(lease) if lease is not None else None
    if claim is None or not claim.owner:
        return ()
    if claim.renewed and facts.at and not claim.fresh(seconds_between(claim.renewed, facts.at)):
        return ()
    return (f"Bailie's operator in {record.home}: it still has the claim on the namespace ({claim.owner})",)


def is_served_beside(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:
    """Waits until Bailie's scheduler leads, and its Envoys are ready and have every route."""
    here = facts.here
    lease = here.get(LEASE, CLAIM_LEASE)
    if lease is None or not claim_of(lease).owner:
        return (
            f"Bailie's operator in {record.home}: it has not claimed the namespace yet; `bailie scope list`",
        )
    missing = [text for name in (names.SCHEDULER, names.ENVOY) for text in _unready(here, name)]
    missing += [f"server {each}: it has no StatefulSet yet" for each in _unmade(here)]
    if missing:
        return tuple(missing)
    term = here.get(LEASE, names.SCHEDULER)
    notes = leader_notes(term) if term is not None else None
    if notes is None or not notes.told or not notes.published:
        return ("scheduler: it does not lead yet",)
    if notes.acknowledged < notes.published:
        return ("routes: not every Envoy has them yet",)
    return ()


def _marks(server: Object, record: MoveRecord) -> dict[str, str]:
    """Returns the annotations that a Server lacks: its first number, and that its replicas are held back."""
    present, found = annotations_of(server), {}
    if present.get(labels.FIRST_ORDINAL, "0") == "0":
        found[labels.FIRST_ORDINAL] = FIRST
    if name_of(server) in record.one_by_one and labels.HELD not in present:
        found[labels.HELD] = HELD
    return found


def _unmade(here: NamespaceObjects) -> Iterator[str]:
    for name in servers(here):
        if own_workload(here, name) is None:
            yield name


def _unready(here: NamespaceObjects, component: str) -> Iterator[str]:
    """Yields how far a part of the runtime is, with the operator's own words where it has any."""
    found = own_workload(here, component)
    ready = int(status_of(found).get("readyReplicas") or 0) if found is not None else 0
    wanted = int(spec_of(found).get("replicas") or 1) if found is not None else 1
    if ready < wanted:
        runtime = here.runtime() or {"metadata": {}}
        kind = "SchedulerReady" if component == names.SCHEDULER else "EnvoyReady"
        condition = condition_of(runtime, kind)
        said = f" ({condition.get('message')})" if condition.get("status") == "False" else ""
        yield f"{component}: {ready} of {wanted} pods are ready{said}"


def _made(here: NamespaceObjects) -> Iterator[tuple[Kind, Object]]:
    for kind in _MADE:
        yield from ((kind, each) for each in here.all(kind) if is_ours(each))


def _asked(runtime: Object, record: MoveRecord) -> Object:
    """Returns the fields of the SeldonRuntime that differ from those that a move needs."""
    spec: Object = {}
    if spec_of(runtime).get("fallbackMesh") != (mesh := _fallback(record)):
        spec["fallbackMesh"] = mesh
    overrides = overrides_of(runtime)
    if overrides != (enabled := [with_scheduler(each) for each in overrides]):
        spec["overrides"] = enabled
    return spec


def _fallback(record: MoveRecord) -> Object:
    """Returns the mesh that still serves: the Envoys of before, or those of the central namespace."""
    if record.envoys:
        return {"service": names.MESH_BEFORE}
    return {"service": names.MESH, "namespace": mesh_namespace(record.mesh) or record.central}


def _values(spec: Object) -> tuple[str, ...]:
    fields = spec.get("fallbackMesh") or {}
    found = [f"--set fallbackMesh.{key}={value}" for key, value in fields.items()]
    return (
        *found,
        *(("--set scheduler.disable=false", "--set scheduler.replicas=1") if "overrides" in spec else ()),
    )


def _new_runtime(record: MoveRecord) -> Object:
    return {
        "apiVersion": SELDON_RUNTIME.api_version,
        "kind": SELDON_RUNTIME.kind,
        "metadata": {"name": "seldon", "namespace": record.namespace},
        "spec": {"seldonConfig": SELDON_CONFIG_NAME, "fallbackMesh": _fallback(record)},
    }


def _runtime_as_before(runtime: Object | None, record: MoveRecord) -> Iterator[MoveChange]:
    if runtime is None:
        return
    if f"{SELDON_RUNTIME.kind}/{name_of(runtime)}" in record.made:
        if not is_going(runtime):
            yield delete(SELDON_RUNTIME, runtime)
        return
    spec: Object = {"fallbackMesh": None} if spec_of(runtime).get("fallbackMesh") == _fallback(record) else {}
    overrides = overrides_of(runtime)
    if overrides != (before := [_left_out(each, record) for each in overrides]):
        spec["overrides"] = before
    if spec:
        yield patch(SELDON_RUNTIME, runtime, {"spec": spec}, values=("--set fallbackMesh=null",))


def _left_out(override: Object, record: MoveRecord) -> Object:
    """Returns the override of a component, that of the scheduler with the fields that left it out before."""
    if override.get("name") != names.SCHEDULER:
        return override
    return {**override, **{key: value for key, value in LEAVING_OUT if key in record.left_out}}


def _redirect(record: MoveRecord) -> Object:
    metadata = {"name": names.SCHEDULER, "namespace": record.namespace}
    spec = {"type": "ExternalName", "externalName": record.redirect}
    return {"apiVersion": "v1", "kind": SERVICE.kind, "metadata": metadata, "spec": spec}


def _list_of(facts: MoveFacts, record: MoveRecord) -> Object | None:
    return facts.present(CONFIG_MAP, names.WATCH_LIST, record.home)


def _lines(listed: Object) -> str:
    return str((listed.get("data") or {}).get(names.NAMESPACES_KEY) or "")
