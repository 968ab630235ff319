"""The plan for a namespace: its source, the findings, the steps, and what the move takes. Pure.

Made by `bailie migrate plan` from the facts of `read`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL, PIPELINE, SERVER
from bailie.migration.checks.room import room_for_copies
from bailie.migration.finding import Impact
from bailie.migration.findings import examine_move
from bailie.migration.outline import outline
from bailie.migration.seldon.interruption import HAND_OVER_SECONDS, seconds_for
from bailie.migration.source import SELDON_SOURCES, WORDS, MoveSource, recognise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.migration.facts import MoveFacts
    from bailie.migration.finding import PlanFinding
    from bailie.migration.outline import StepOutline


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePlan:
    """The move of one namespace, beforehand."""

    namespace: str
    source: MoveSource
    central: str
    """The namespace whose scheduler serves this one, empty where its own does."""
    models: int
    servers: int
    pipelines: int
    findings: tuple[PlanFinding, ...]
    steps: tuple[StepOutline, ...]
    memory: int
    """Bytes of a second copy of all servers: without them models do not answer for a while."""
    seconds: int
    """How long the steps before `finish` take, roughly."""
    changes: tuple[str, ...] = ()
    """The changes of the first writes, as the API server would make them."""

    @property
    def blocked(self) -> bool:
        """Whether a finding keeps the move from beginning."""
        return any(finding.impact is Impact.BLOCKER for finding in self.findings)

    def data(self) -> dict[str, Any]:
        """Returns the plan as JSON data."""
        return {
            "namespace": self.namespace,
            "source": self.source.value,
            "sourceText": WORDS[self.source],
            "centralNamespace": self.central,
            "models": self.models,
            "servers": self.servers,
            "pipelines": self.pipelines,
            "blocked": self.blocked,
            "findings": [finding.data() for finding in self.findings],
            "steps": [step.data() for step in self.steps],
            "changes": list(self.changes),
            "memoryBytes": self.memory,
            "seconds": self.seconds,
        }


def make_plan(
    facts: MoveFacts, *, changes: Iterable[str] = (), refused: Iterable[PlanFinding] = ()
) -> MovePlan:
    """Returns the plan for a namespace. `changes` and `refused`: of the writes that the API server tried."""
    source, here = recognise(facts), facts.here
    models, servers = len(here.all(MODEL)), len(here.all(SERVER))
    return MovePlan(
        namespace=here.name,
        source=source,
        central=here.scheduled_from(),
        models=models,
        servers=servers,
        pipelines=len(here.all(PIPELINE)),
        findings=(*refused, *examine_move(facts, source)),
        steps=outline(source, here.name),
        memory=_memory(facts, source),
        seconds=_seconds(source, models, servers),
        changes=tuple(changes),
    )


def in_order(plans: Iterable[MovePlan]) -> tuple[MovePlan, ...]:
    """Returns plans in the order in which to move: without blockers first, then the smaller, then by name.

    A small namespace shows the way at the least risk. The API knows no traffic; models and servers stand for
    it.
    """
    return tuple(sorted(plans, key=lambda plan: (plan.blocked, plan.models + plan.servers, plan.namespace)))


def _memory(facts: MoveFacts, source: MoveSource) -> int:
    if source in SELDON_SOURCES:
        return sum(room_for_copies(facts).values())
    return 0


def _seconds(source: MoveSource, models: int, servers: int) -> int:
    if source is MoveSource.BAILIE_CENTRAL:
        return HAND_OVER_SECONDS
    if source in SELDON_SOURCES:
        return seconds_for(servers, models)
    return 0
