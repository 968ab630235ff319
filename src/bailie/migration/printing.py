"""The steps of a move as lines for a shell, for people who carry them out by other means. Pure.

Called by `bailie migrate … --print`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bailie.migration.changes import MoveChange
    from bailie.migration.facts import MoveFacts
    from bailie.migration.record import MoveRecord
    from bailie.migration.steps import MoveStep


def printed(steps: Iterable[MoveStep], facts: MoveFacts, record: MoveRecord, direction: str) -> str:
    """Returns the lines for kubectl; where a Helm release has an object, also the upgrade that says the
    same."""
    return "\n".join(_lines(steps, facts, record, direction)) + "\n"


def _lines(steps: Iterable[MoveStep], facts: MoveFacts, record: MoveRecord, direction: str) -> Iterator[str]:
    back = direction == "rollback"
    for step in steps:
        yield f"# {step.name}: {step.back if back else step.title}"
        changes = (step.backward if back else step.forward)(facts, record)
        for change in changes:
            yield from _commands(change)
        if not changes:
            yield "# nothing to do"
        elif not back:
            yield from (line.format(namespace=record.namespace) for line in step.waits)
            yield f"# wait until {step.until}" if step.until != "nothing" else "# nothing to wait for"


def _commands(change: MoveChange) -> Iterator[str]:
    yield change.command()
    if change.helm:
        yield "# a Helm release has this object; instead, or at its next upgrade:"
        yield f"#   {change.helm}"
