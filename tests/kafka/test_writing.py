from __future__ import annotations

from bailie.kafka.records import OutgoingRecord
from bailie.kafka.writing import cut

RECORD = OutgoingRecord("t.outputs", 1, b"p.id", b"x" * 100, (("pipeline", b"p"),))


def test_of_data_that_is_too_large_the_headers_are_left():
    (found,) = cut(RECORD, "errors")
    assert (found.value, found.key, found.partition) == (b"", b"p.id", 1)
    assert found.headers == (("pipeline", b"p"), ("x-bailie-cut", b"100"))


def test_an_answer_that_is_too_large_becomes_its_failure():
    answer, error = cut(RECORD._replace(essential=True), "errors")
    assert answer.value == error.value
    assert b"100 bytes" in answer.value
    assert b"t.outputs" in answer.value
    assert answer.headers[-1] == ("seldon-pipeline-errors", b"p")
    assert (answer.topic, error.topic) == ("t.outputs", "errors")
