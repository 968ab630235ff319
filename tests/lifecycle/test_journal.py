"""The condition JournalReady, from the notes of all gateways."""

from __future__ import annotations

import pytest

from bailie.lifecycle.journal import JournalNote, journal_condition

KEPT = JournalNote(kept=True, words="requests are journalled to kafka:9092")
AWAY = JournalNote(kept=False, words="no broker of kafka:9092 answers")


def test_without_a_broker_there_is_no_condition():
    assert journal_condition(()) == []


@pytest.mark.parametrize(
    ("notes", "status", "message"),
    [
        ((KEPT,), "True", KEPT.words),
        ((KEPT, KEPT), "True", KEPT.words),
        ((AWAY,), "False", AWAY.words),
        ((KEPT, AWAY), "False", f"1 of 2 pipeline gateways: {AWAY.words}"),
    ],
)
def test_one_gateway_without_a_journal_is_enough(notes, status, message):
    (found,) = journal_condition(notes)
    assert (found.type, found.status, found.message) == ("JournalReady", status, message)
