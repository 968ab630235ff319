"""The sentences with which a move pauses, or ends before its end. Pure; raised by `executor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.migration.changes import Verb
from bailie.migration.errors import BrokenOff, PastReturn, Paused, WaitEnded
from bailie.migration.fields import folded_paths, paths_in, writer_of
from bailie.migration.record import ABOUT_TO_FINISH
from bailie.migration.serving import folded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.migration.changes import MoveChange
    from bailie.migration.facts import MoveFacts
    from bailie.migration.record import MoveRecord
    from bailie.migration.steps import MoveStep


def paused(record: MoveRecord, text: str) -> Paused:
    """Returns the pause of a move because of another writer."""
    return Paused(text, hint=f"end that; then {_ways_on(record)}")


def broken_off(record: MoveRecord, step: MoveStep, why: str, mend: str) -> BrokenOff:
    """Returns the end of a step of which the API did not allow, or not answer, a look or a write."""
    return BrokenOff(f"step {step.name}: {why}", hint=f"{mend}; then {_ways_on(record)}")


def wait_ended(record: MoveRecord, step: MoveStep, missing: Iterable[str]) -> WaitEnded:
    """Returns the end of a wait that was too long."""
    return WaitEnded(
        f"step {step.name} waited {step.patience:g} s until {step.until}: {folded(missing)}",
        hint=f"mend that; then {_ways_on(record)}",
    )


def past_return(record: MoveRecord) -> PastReturn:
    """Returns the refusal of a way back."""
    return PastReturn(
        f"`finish` of namespace {record.namespace} has begun: there is no way back",
        hint=f"bailie migrate finish {record.namespace}",
    )


def undone(facts: MoveFacts, change: MoveChange) -> str:
    """Returns the object that somebody changed, the fields, and their last writer."""
    present, paths = facts.present(change.kind, change.name, change.namespace), paths_in(change.body)
    if present is None:
        return f"{change.reference} is gone; needed again: {change.told()}"
    if change.verb is Verb.DELETE:
        return f"{change.reference} is there again (last written by {writer_of(present)})"
    text = f"{folded_paths(paths)} of {change.reference} (last written by {writer_of(present, paths)})"
    return f"{text}; needed again: {change.told()}"


def _ways_on(record: MoveRecord) -> str:
    name = record.namespace
    if record.doing == ABOUT_TO_FINISH:
        return f"`bailie migrate finish {name}` goes on"
    return f"`bailie migrate apply {name}` goes on, or `bailie migrate rollback {name}` goes back"
