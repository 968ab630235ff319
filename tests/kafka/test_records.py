from __future__ import annotations

from bailie.kafka.records import IncomingRecord, OutgoingRecord


def test_the_size_of_a_record_has_all_its_parts():
    empty = OutgoingRecord("t", 0, None, b"").size
    assert OutgoingRecord("t", 0, b"key", b"value", (("a", b"bc"),)).size == empty + 3 + 5 + 3


def test_a_record_that_comes_counts_with_all_that_its_writer_has_chosen():
    empty = IncomingRecord("t", 0, 0, None, None).size
    assert IncomingRecord("t", 0, 0, b"k" * 1_000, b"value", (("a", b"bc"),)).size == empty + 1_000 + 5 + 3
