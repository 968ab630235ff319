"""Whether requests to a pipeline are journalled to a message broker, and the condition that says so. Pure.

Each pipeline gateway says it of each pipeline, if a broker is configured. The journal is beside the requests:
without it a Pipeline answers and is Ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bailie.api.status import Condition
from bailie.lifecycle.words import clipped

if TYPE_CHECKING:
    from collections.abc import Sequence

JOURNAL_READY = "JournalReady"


class JournalNote(NamedTuple):
    """The words of one gateway about one pipeline; `kept`: all of its requests are journalled."""

    kept: bool
    words: str


def journal_condition(notes: Sequence[JournalNote]) -> list[Condition]:
    """Returns the condition from the notes of all gateways; none without a broker."""
    if not notes:
        return []
    lacking = [each for each in notes if not each.kept]
    if not lacking:
        text = clipped(notes[0].words)
        return [Condition(type=JOURNAL_READY, status="True", reason="Journalled", message=text)]
    of = f"{len(lacking)} of {len(notes)} pipeline gateways: " if len(notes) > 1 else ""
    text = clipped(f"{of}{lacking[0].words}")
    return [Condition(type=JOURNAL_READY, status="False", reason="NotJournalled", message=text)]
