"""From where a namespace would move: which system serves it now, and in which pattern. Pure.

The source is told from objects alone; once a move has begun, the move's
record in the namespace names the source, because halfway the objects are those of both systems.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from bailie.api.kinds import LEASE, MLOPS_KINDS, SERVICE, STATEFUL_SET
from bailie.doctor.facts import known
from bailie.scope.claim import CLAIM_LEASE, claim_of
from bailie.wellknown import names

if TYPE_CHECKING:
    from bailie.migration.facts import MoveFacts


class MoveSource(enum.StrEnum):
    """The system and the pattern from which a namespace would move."""

    BAILIE_CENTRAL = "bailie-central"
    """Bailie, with the scheduler of another namespace (pattern 0)."""
    SELDON_CENTRAL = "seldon-central"
    """Seldon Core v2, with a scheduler in another namespace behind an ExternalName Service."""
    SELDON_SCOPED = "seldon-scoped"
    """Seldon Core v2, with a scheduler in the namespace (its patterns 1 to 3)."""
    MOVED = "moved"
    """Bailie, with a scheduler in the namespace (pattern 3): there is nothing to move."""
    NOTHING = "nothing"
    """Neither system is at work in the namespace."""


SELDON_SOURCES = frozenset({MoveSource.SELDON_CENTRAL, MoveSource.SELDON_SCOPED})

WORDS = {
    MoveSource.BAILIE_CENTRAL: "Bailie with a central scheduler (pattern 0)",
    MoveSource.SELDON_CENTRAL: "Seldon Core v2 with a central scheduler (ExternalName Service)",
    MoveSource.SELDON_SCOPED: "Seldon Core v2 with a scheduler in the namespace",
    MoveSource.MOVED: "Bailie with a scheduler in the namespace (pattern 3)",
    MoveSource.NOTHING: "neither Bailie nor Seldon Core",
}
"""Each source in words."""


def recognise(facts: MoveFacts) -> MoveSource:
    """Returns the source of a namespace."""
    here = facts.here
    if not any(here.all(kind) for kind in MLOPS_KINDS):
        return MoveSource.NOTHING
    central = here.scheduled_from()
    if is_ours(facts):
        return MoveSource.BAILIE_CENTRAL if central else MoveSource.MOVED
    service = here.get(SERVICE, names.SCHEDULER)
    if service is not None and (service.get("spec") or {}).get("type") == "ExternalName":
        return MoveSource.SELDON_CENTRAL
    if here.get(STATEFUL_SET, names.SCHEDULER) is not None:
        return MoveSource.SELDON_SCOPED
    return MoveSource.NOTHING


def is_ours(facts: MoveFacts) -> bool:
    """Says whether an operator of Bailie's has claimed the namespace, or has it in its list."""
    lease = facts.here.get(LEASE, CLAIM_LEASE)
    if lease is not None and claim_of(lease).owner:
        return True
    return any(facts.here.name in (seen.listed or ()) for seen in known(facts.cluster.installations))
