"""The writes of a move, as far as they can be told beforehand. Pure; called by `preview`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from bailie.manifests.rbac import namespace_manifests
from bailie.migration.checks.operators import home_of
from bailie.migration.errors import Blocked
from bailie.migration.source import MoveSource
from bailie.migration.start import begin, steps_of

if TYPE_CHECKING:
    from bailie.migration.changes import MoveChange
    from bailie.migration.facts import MoveFacts, Object

    PlannedWrite: TypeAlias = "MoveChange | Object"
    """A change of a step, or a manifest that a person applies."""

_BY_HAND = frozenset({MoveSource.SELDON_CENTRAL, MoveSource.SELDON_SCOPED})


def planned_writes(facts: MoveFacts, source: MoveSource) -> tuple[PlannedWrite, ...]:
    """Returns the writes of the steps before `finish`; of steps by hand only those of the rights."""
    if source in _BY_HAND:
        home = home_of(facts)
        return () if home is None else tuple(namespace_manifests(facts.here.name, home.home))
    try:
        record = begin(facts, source, central=facts.here.scheduled_from(), at="", by="")
        steps = [step for step in steps_of(source) if not step.no_return]
    except Blocked:
        return ()
    return tuple(change for step in steps for change in step.forward(facts, record))
