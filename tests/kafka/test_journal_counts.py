"""Records that were dropped are told until none has been dropped for a while."""

from __future__ import annotations

from bailie.kafka.journal_counts import QUIET_LOOKS, JournalCounts


def test_a_gap_is_told_with_its_size_and_then_is_over():
    counts = JournalCounts()
    assert counts.look() == ""
    for _ in range(3):
        counts.lose("queue full")
    assert "3 records" in counts.look()
    counts.lose("timed out")
    told = counts.look()
    assert "4 records" in told
    assert "timed out" in told
    for _ in range(QUIET_LOOKS - 1):
        assert counts.look() == told
    assert counts.look() == ""
    counts.lose("again")
    assert "1 records" in counts.look()
    assert counts.dropped == 5
