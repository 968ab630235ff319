"""The beginning of a move: the steps for its source, and the record of the state before. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bailie.api.kinds import LEASE, ROLE_BINDING
from bailie.manifests.rbac import central_manifests
from bailie.migration.central_steps import CENTRAL_STEPS, scheduler_rights
from bailie.migration.errors import Blocked
from bailie.migration.facts import name_of
from bailie.migration.given_rights import absent
from bailie.migration.record import MOST_BYTES, MoveRecord
from bailie.migration.seldon.before import seldon_record
from bailie.migration.seldon_steps import SELDON_STEPS, one_at_a_time
from bailie.migration.serving import object_digests, serving_pods, unready
from bailie.migration.source import WORDS, MoveSource
from bailie.scope.central import ANY, served_of
from bailie.scope.claim import CLAIM_LEASE, claim_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.migration.facts import MoveFacts, MovePlaces, Object
    from bailie.migration.steps import MoveStep

STEPS: dict[MoveSource, tuple[MoveStep, ...]] = {
    MoveSource.BAILIE_CENTRAL: CENTRAL_STEPS,
    MoveSource.SELDON_CENTRAL: SELDON_STEPS,
    MoveSource.SELDON_SCOPED: SELDON_STEPS,
}
"""The steps of each source that can be moved."""


def steps_of(record: MoveRecord) -> tuple[MoveStep, ...]:
    """Returns the steps of a move, those of `finish` last. Raises Blocked where there are none."""
    steps = _steps_from(record.source)
    return one_at_a_time(steps, record) if record.one_by_one else steps


def _steps_from(source: MoveSource) -> tuple[MoveStep, ...]:
    if source in STEPS:
        return STEPS[source]
    hint = "`bailie migrate plan` shows what is found there"
    if source is MoveSource.MOVED:
        raise Blocked("the namespace has a scheduler of its own: there is nothing to move", hint=hint)
    raise Blocked(f"{WORDS[source]} is at work in the namespace", hint=hint)


def begin(
    facts: MoveFacts, source: MoveSource, places: MovePlaces, *, at: str, by: str, one_by_one: bool = False
) -> MoveRecord:
    """Returns the record of the state before the first write. Raises Blocked.

    `at`: the present, as the API writes times. `one_by_one`: the Servers come over one at a time.
    """
    _steps_from(source)
    here = facts.here
    found = MoveRecord(
        namespace=here.name,
        source=source,
        home=places.home,
        central=places.central,
        uid=here.uid,
        begun=at,
        by=by,
        unready=unready(here),
        known=object_digests(here),
        pods=serving_pods(here),
    )
    if source is not MoveSource.BAILIE_CENTRAL:
        found = seldon_record(facts, replace(found, foreign=places.foreign), one_by_one=one_by_one)
    elif one_by_one:
        text = "no server is copied: the scheduler of the namespace is handed over, and needs no room"
        raise Blocked(text, hint=f"bailie migrate apply {here.name}")
    else:
        found = _of_bailie(facts, found)
    if (size := len(found.text().encode())) > MOST_BYTES:
        raise _too_large(found, size)
    return found


def _too_large(record: MoveRecord, size: int) -> Blocked:
    text = f"the record of the state before would have {size:,} bytes, and may have {MOST_BYTES:,}"
    names = f"the names of {len(record.unready):,} objects that are not ready"
    names += f", and of {len(record.placed):,} Models with their Servers" if record.placed else ""
    return Blocked(f"{text}: it has {names}", hint="delete Models that nobody needs, or mend them, before")


def _of_bailie(facts: MoveFacts, record: MoveRecord) -> MoveRecord:
    """Completes the record of a move from a central scheduler of Bailie's. Raises Blocked."""
    here = facts.here
    lease = here.get(LEASE, CLAIM_LEASE)
    home = claim_of(lease).owner.partition("/")[0] if lease else ""
    if not home:
        raise Blocked(
            f"no operator of Bailie's has claimed namespace {here.name}, so nobody would act on the move",
            hint=f"bailie scope add {here.name} --wait",
        )
    if here.runtime() is None:
        hint = "`bailie doctor` says more; the chart seldon-core-v2-runtime makes one"
        raise Blocked(f"namespace {here.name} has no SeldonRuntime", hint=hint)
    listed = served_of(facts.central.runtime()) if facts.central else ()
    found = replace(record, home=home, listed=here.name in listed or ANY not in listed)
    return replace(found, made=absent(facts, scheduler_rights(found)))


def central_from(facts: MoveFacts, runtimes: Iterable[Object]) -> str:
    """Returns the namespace whose scheduler served this one before a move of which the record is lost.

    Its rights here name it until `finish`, and its SeldonRuntime (`runtimes`: of all namespaces) until the
    last step before. Empty where neither does.
    """
    binding = facts.here.get(ROLE_BINDING, name_of(central_manifests(facts.here.name, "")[1]))
    subjects = (binding or {}).get("subjects") or ()
    found = [str(each.get("namespace") or "") for each in subjects]
    found += [str(each["metadata"]["namespace"]) for each in runtimes if facts.here.name in served_of(each)]
    return next((each for each in found if each), "")
