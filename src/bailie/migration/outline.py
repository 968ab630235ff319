"""The steps of a move in words: its changes, and the way back from each. Pure.

Read by `plan`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from bailie.migration.central_steps import CENTRAL_STEPS
from bailie.migration.seldon_steps import SELDON_STEPS
from bailie.migration.source import MoveSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.migration.steps import MoveStep


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutline:
    """One step as a person reads it."""

    name: str
    title: str
    """The change, in one sentence."""
    back: str
    """How the step is undone."""
    command: str = ""
    """The line that carries the step out; empty where `bailie migrate apply` does it with the others."""

    def data(self) -> dict[str, Any]:
        """Returns the step as JSON data."""
        return asdict(self)


_FINISH = "bailie migrate finish {namespace}"


def _told(steps: Iterable[MoveStep]) -> tuple[StepOutline, ...]:
    return tuple(
        StepOutline(
            name=step.name, title=step.title, back=step.back, command=_FINISH if step.no_return else ""
        )
        for step in steps
    )


_STEPS = {
    MoveSource.BAILIE_CENTRAL: _told(CENTRAL_STEPS),
    MoveSource.SELDON_CENTRAL: _told(SELDON_STEPS),
    MoveSource.SELDON_SCOPED: _told(SELDON_STEPS),
}


def outline(source: MoveSource, namespace: str) -> tuple[StepOutline, ...]:
    """Returns the steps of a move from a source, in order; none where there is nothing to move."""
    return tuple(
        replace(step, command=step.command.format(namespace=namespace)) for step in _STEPS.get(source, ())
    )
