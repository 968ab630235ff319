"""The writes of a move, as far as they can be told beforehand. Pure; called by `preview`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from bailie.manifests.rbac import namespace_manifests
from bailie.migration.checks.operators import home_of
from bailie.migration.errors import Blocked
from bailie.migration.facts import MovePlaces
from bailie.migration.source import SELDON_SOURCES
from bailie.migration.start import begin, steps_of

if TYPE_CHECKING:
    from bailie.migration.changes import MoveChange
    from bailie.migration.facts import MoveFacts, Object
    from bailie.migration.source import MoveSource

    PlannedWrite: TypeAlias = "MoveChange | Object"
    """A change of a step, or a manifest as it would be applied."""


def planned_writes(facts: MoveFacts, source: MoveSource) -> tuple[PlannedWrite, ...]:
    """Returns the writes of the steps before `finish`; from Seldon Core only the rights.

    The other writes there depend on what the operators do in between.
    """
    if source in SELDON_SOURCES:
        home = home_of(facts)
        return () if home is None else tuple(namespace_manifests(facts.here.name, home.home))
    try:
        places = MovePlaces(central=facts.here.scheduled_from())
        record = begin(facts, source, places, at="", by="")
        steps = [step for step in steps_of(record) if not step.no_return]
    except Blocked:
        return ()
    return tuple(change for step in steps for change in step.forward(facts, record))
