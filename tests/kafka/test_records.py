from __future__ import annotations

from bailie.kafka.records import OutgoingRecord


def test_the_size_of_a_record_has_all_its_parts():
    empty = OutgoingRecord("t", 0, None, b"").size
    assert OutgoingRecord("t", 0, b"key", b"value", (("a", b"bc"),)).size == empty + 3 + 5 + 3
