"""The steps of a move, and which of them come in which order for a source. Pure.

A step is a pair of questions to fresh facts, in each direction: which writes are still to be made, and what
has to hold before the next step. A step with nothing to write and nothing to wait for is done. `executor`
carries steps out; `bailie migrate plan` shows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bailie.migration.changes import MoveChange
    from bailie.migration.facts import MoveFacts
    from bailie.migration.record import MoveRecord


class Decide(Protocol):
    """Returns the writes that are still to be made, none where all are."""

    def __call__(self, facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]: ...


class Hold(Protocol):
    """Returns each thing that does not hold yet, as `name: why`."""

    def __call__(self, facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]: ...


def nothing(facts: MoveFacts, record: MoveRecord) -> tuple[()]:  # noqa: ARG001 - a Decide and a Hold
    """Writes nothing, and waits for nothing."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveStep:
    """One step of a move."""

    name: str
    title: str
    """A sentence: the change that the step makes."""
    back: str
    """A sentence: how `rollback` undoes the step."""
    until: str
    """The end of the wait of the step, in words."""
    forward: Decide
    arrived: Hold
    backward: Decide
    returned: Hold
    patience: float = 300.0
    """Seconds that the step waits at most."""
    waits: tuple[str, ...] = ()
    """kubectl lines that wait for the same, with `{namespace}` for the namespace."""
    no_return: bool = False
    """True for the steps of `finish`."""
    quiet: Hold | None = nothing
    """The acts of Seldon Core's operator that are still to end: once there are none, each further one pauses
    the move. A second operator is told from the right one by its Lease meanwhile. None for a step before the
    namespace is taken from the operator, in which it acts as ever."""
    quiet_back: Hold | None = nothing
    """The same on the way back."""
