"""What the state of the topics means for the journal of a pipeline."""

from __future__ import annotations

import pytest

from bailie.kafka.topic_states import LARGEST, BrokerView, TopicState, journal_note, partitions_of

GOOD = TopicState(partitions=4, most_bytes=64 << 20)
NAMES = ("p.inputs", "p.outputs")


def view(**changes):
    given = {"brokers": "kafka:9092", "partitions": 4, "topics": dict.fromkeys(NAMES, GOOD)}
    return BrokerView(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "kept", "words"),
    [
        ({}, True, "requests are journalled to kafka:9092"),
        ({"problem": "Connection refused"}, False, "no broker of kafka:9092 answers (Connection refused)"),
        ({"topics": {"p.inputs": GOOD}}, False, "1 topics are not made yet"),
        ({"topics": dict.fromkeys(NAMES, TopicState(problem="not allowed"))}, False, "and 1 more topics"),
        ({"topics": {"p.inputs": GOOD, "p.outputs": TopicState(problem="no")}}, False, "p.outputs: no"),
        ({"lost": "3 records were dropped lately"}, False, "3 records were dropped lately"),
        ({"topics": dict.fromkeys(NAMES, GOOD._replace(most_bytes=1_048_588))}, True, "max.message.bytes"),
        ({"topics": dict.fromkeys(NAMES, GOOD._replace(partitions=1))}, True, "have 1 partitions, not the 4"),
    ],
)
def test_a_note_says_whether_requests_are_journalled_and_what_limits_it(changes, kept, words):
    note = journal_note(view(**changes), NAMES, 32 << 20)
    assert note.kept is kept
    assert words in note.words


def test_the_fewest_partitions_count():
    topics = {"a": GOOD, "b": GOOD._replace(partitions=2), "c": TopicState(problem="no")}
    assert partitions_of(view(topics=topics), ("a", "b", "c")) == 2
    assert partitions_of(view(topics={}), ("a", "b")) == 4


def test_a_bound_that_is_not_told_is_that_of_kafka():
    assert TopicState().largest == LARGEST
    assert TopicState(most_bytes=1).largest == 0
    assert 1_000_000 < TopicState(most_bytes=1_048_588).largest < 1_048_588
