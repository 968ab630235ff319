"""The steps from a central scheduler of Bailie's (pattern 0) to a scheduler of the namespace's own. Pure.

The hand-over itself is one field: the operator makes the namespace's scheduler, and the central one goes on
until the new one is ready. So no pod restarts, no model is loaded again, and the way back is the same field.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from bailie.api.kinds import (
    LEASE,
    MODEL,
    ROLE,
    ROLE_BINDING,
    SELDON_RUNTIME,
    SERVER,
    SERVICE,
)
from bailie.manifests.objects import is_ours
from bailie.manifests.rbac import central_manifests, namespace_manifests
from bailie.migration.changes import MoveChange, delete, patch
from bailie.migration.facts import condition_of, name_of, runtime_status
from bailie.migration.given_rights import give, take
from bailie.migration.serving import as_before
from bailie.migration.steps import MoveStep, nothing
from bailie.scope.central import SERVED_ELSEWHERE, asked_of, redirected_to, served_of
from bailie.scope.claim import claim_of
from bailie.scope.leader_notes import leader_notes
from bailie.wellknown import names
from bailie.workloads.replicas import is_ready

if TYPE_CHECKING:
    from bailie.migration.facts import MoveFacts, NamespaceObjects, Object
    from bailie.migration.record import MoveRecord
    from bailie.scope.leader_notes import LeaderNotes

_IN_NAMESPACE = "--namespace {namespace}"
LEAVING_OUT = (("disable", True), ("replicas", 0))
"""Fields of an override that leave a component out."""


def scheduler_rights(record: MoveRecord) -> tuple[Object, ...]:
    """Returns the account, the Role and the RoleBinding of a scheduler of the namespace's own."""
    wanted = namespace_manifests(record.namespace, record.home)
    stems = (names.SCHEDULER, f"{names.SCHEDULER}-role", f"{names.SCHEDULER}-rolebinding")
    return tuple(each for each in wanted if each["metadata"]["name"] in stems)


def give_rights(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Makes the rights that are missing. A Role with fewer rules gets the others; further rules stay."""
    return give(facts, scheduler_rights(record))


def take_rights(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Deletes the rights that the move made. Rules that were added to a Role stay."""
    return take(facts, record, scheduler_rights(record))


def name_central(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Puts the field in the place of a hand-made Service: first the field, then the Service goes."""
    service = facts.here.get(SERVICE, names.SCHEDULER)
    if service is None or is_ours(service) or not redirected_to(service):
        return ()
    runtime = _runtime(facts.here)
    if asked_of(runtime) != record.central:
        return (_ask(runtime, record.central),)
    return (delete(SERVICE, service),)


def central_named(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:  # noqa: ARG001 - a Hold
    """Waits for the operator's own Service."""
    service = facts.here.get(SERVICE, names.SCHEDULER)
    if service is not None and is_ours(service):
        return ()
    return (f"Service {names.SCHEDULER}: the operator has not made it yet",)


def ask_for_own(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Empties `schedulerNamespace`, and enables a scheduler that was disabled beside a hand-made Service."""
    runtime = _runtime(facts.here)
    spec: Object = {}
    values = []
    if asked_of(runtime) == record.central:
        spec["schedulerNamespace"] = None
        values.append("--set schedulerNamespace=")
    if (overrides := overrides_of(runtime)) != (enabled := [with_scheduler(each) for each in overrides]):
        spec["overrides"] = enabled
        values.append("--set scheduler.disable=false")
    return (patch(SELDON_RUNTIME, runtime, {"spec": spec}, values=values),) if spec else ()


def ask_for_central(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Sets `schedulerNamespace` to the central namespace again."""
    runtime = _runtime(facts.here)
    return () if asked_of(runtime) == record.central else (_ask(runtime, record.central),)


def led_by_own(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:
    """Waits until the namespace's scheduler leads, knows the agents, and every Envoy has its routes."""
    runtime = _runtime(facts.here)
    ready = condition_of(runtime, "SchedulerReady")
    if ready.get("status") != "True" or ready.get("reason") == SERVED_ELSEWHERE:
        return (f"scheduler: {ready.get('message') or 'the operator has not reported on it yet'}",)
    lease = facts.here.get(LEASE, names.SCHEDULER)
    holder = claim_of(lease).owner if lease else ""
    if not lease or not holder or "/" in holder:
        return (f"scheduler: it does not lead yet; the Lease is {holder or 'nobody'}'s",)
    return _in_effect(facts, record, lease)


def led_by_central(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:
    """Waits until the central scheduler leads here, knows the agents, and every Envoy has its routes."""
    ready = condition_of(_runtime(facts.here), "SchedulerReady")
    if ready.get("status") != "True" or ready.get("reason") != SERVED_ELSEWHERE:
        return (f"scheduler: {ready.get('message') or 'the operator has not reported on it yet'}",)
    lease = facts.here.get(LEASE, names.SCHEDULER)
    holder = claim_of(lease).owner if lease else ""
    if holder.partition("/")[0] != record.central or "/" not in holder:
        return (
            f"scheduler: that of {record.central} does not lead yet; the Lease is {holder or 'nobody'}'s",
        )
    central = facts.central.get(LEASE, names.SCHEDULER) if facts.central else None
    return _in_effect(facts, record, central, served=record.namespace) if central else ()


def shorten_list(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Takes the namespace from the list of those that the central scheduler may serve. A `*` stays."""
    runtime = _central_runtime(facts)
    served = served_of(runtime)
    if runtime is None or record.namespace not in served:
        return ()
    return (_serve(runtime, [each for each in served if each != record.namespace]),)


def lengthen_list(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Puts the namespace on the list again, if it was there; other names on the list stay as they are."""
    runtime = _central_runtime(facts)
    served = served_of(runtime)
    if runtime is None or not record.listed or record.namespace in served:
        return ()
    return (_serve(runtime, [*served, record.namespace]),)


def left_by_central(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:
    """Waits until the central scheduler is told that it serves the namespace no longer."""
    runtime = _central_runtime(facts)
    if record.namespace in runtime_status(runtime).served_namespaces:
        return (f"scheduler of {record.central}: it still serves {record.namespace}",)
    return led_by_own(facts, record)


def revoke_central(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Deletes the central scheduler's rights in the namespace, the RoleBinding first."""
    role, binding = central_manifests(record.namespace, record.central)
    pairs = ((ROLE_BINDING, binding), (ROLE, role))
    found = ((kind, facts.here.get(kind, name_of(each))) for kind, each in pairs)
    return tuple(delete(kind, each) for kind, each in found if each is not None)


CENTRAL_STEPS = (
    MoveStep(
        name="rights",
        title="give a scheduler of the namespace's own its account and its rights",
        back="delete the account and the rights, if the move made them",
        until="nothing",
        forward=give_rights,
        arrived=nothing,
        backward=take_rights,
        returned=nothing,
    ),
    MoveStep(
        name="redirect",
        title="put the field schedulerNamespace in the place of a hand-made Service, where there is one",
        back="nothing: the field says the same as the Service did",
        until="the operator's own Service is there",
        forward=name_central,
        arrived=central_named,
        backward=nothing,
        returned=nothing,
    ),
    MoveStep(
        name="scheduler",
        title="ask for a scheduler of the namespace's own; it takes over when it is ready",
        back="ask for the central scheduler again; it takes over as soon as the other one ends",
        until="the namespace's scheduler leads, and every Envoy has its routes",
        forward=ask_for_own,
        arrived=led_by_own,
        backward=ask_for_central,
        returned=led_by_central,
        waits=(
            f"kubectl wait deployment/{names.SCHEDULER} --for=create --timeout=1m {_IN_NAMESPACE}",
            f"kubectl rollout status deployment/{names.SCHEDULER} --timeout=5m {_IN_NAMESPACE}",
            f"kubectl wait models --all --for=condition=Ready --timeout=5m {_IN_NAMESPACE}",
        ),
    ),
    MoveStep(
        name="central",
        title="take the namespace from the list of those that the central scheduler may serve",
        back="put the namespace on the list again",
        until="the central scheduler has let the namespace go",
        forward=shorten_list,
        arrived=left_by_central,
        backward=lengthen_list,
        returned=nothing,
        patience=60.0,
    ),
    MoveStep(
        name="revoke",
        title="delete the central scheduler's rights in the namespace",
        back="none: from here on the way back is by hand",
        until="nothing",
        forward=revoke_central,
        arrived=nothing,
        backward=nothing,
        returned=nothing,
        no_return=True,
    ),
)
"""In order."""


def _runtime(objects: NamespaceObjects) -> Object:
    """Returns the SeldonRuntime of the namespace, an empty one where it is gone."""
    return objects.runtime() or {"metadata": {"name": "", "namespace": objects.name}}


def _central_runtime(facts: MoveFacts) -> Object | None:
    return facts.central.runtime() if facts.central else None


def overrides_of(runtime: Object) -> list[Object]:
    """Returns the overrides of a SeldonRuntime."""
    return list((runtime.get("spec") or {}).get("overrides") or ())


def with_scheduler(override: Object) -> Object:
    """Returns the override of a component, that of the scheduler without the fields that leave it out."""
    if override.get("name") != names.SCHEDULER:
        return override
    return {key: value for key, value in override.items() if (key, value) not in LEAVING_OUT}


def _ask(runtime: Object, central: str) -> MoveChange:
    values = (f"--set schedulerNamespace={central}",)
    return patch(SELDON_RUNTIME, runtime, {"spec": {"schedulerNamespace": central}}, values=values)


def _serve(runtime: Object, listed: list[str]) -> MoveChange:
    values = (f"--set-json {shlex.quote(f'servesNamespaces={json.dumps(listed)}')}",)
    return patch(SELDON_RUNTIME, runtime, {"spec": {"servesNamespaces": listed}}, values=values)


def _in_effect(facts: MoveFacts, record: MoveRecord, lease: Object, *, served: str = "") -> tuple[str, ...]:
    """Waits for the leader's agents and routes, then for Servers and Models as they were before."""
    notes = leader_notes(lease, served)
    if notes.told and not notes.serves:
        return (f"scheduler: it does not serve {served} yet",)
    if notes.told and (lacking := _unconnected(facts, notes)):
        return lacking
    if notes.told and (notes.acknowledged < notes.published or _unpublished(facts, notes)):
        return ("routes: not every Envoy has them yet",)
    return as_before(facts.here, record)


def _unconnected(facts: MoveFacts, notes: LeaderNotes) -> tuple[str, ...]:
    """Returns each Server of whose ready pods not all have an agent that the leader knows."""
    found = []
    for server in map(name_of, facts.here.all(SERVER)):
        ready = sum(map(is_ready, facts.here.pods_of(server)))
        if (connected := notes.agents.get(server, 0)) < ready:
            found.append(f"server {server}: {connected} of {ready} agents are connected to the leader")
    return tuple(found)


def _unpublished(facts: MoveFacts, notes: LeaderNotes) -> bool:
    """Says whether a leader has published nothing, though there are Models: its term has just begun."""
    return not notes.published and bool(facts.here.all(MODEL))
