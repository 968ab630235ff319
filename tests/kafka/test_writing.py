from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ClusterMetadata

from bailie.kafka.records import OutgoingRecord
from bailie.kafka.writing import TransactionWriter, cut

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


class LostAnswers:
    """A producer whose broker acknowledges records; the answer to one call is lost."""

    def __init__(self, call):
        self.call, self.aborted = call, 0

    def begin_transaction(self):
        pass

    def produce(self, topic, value, key, partition, delivered, headers):
        delivered(None, None)

    def flush(self, seconds):
        return 0

    def send_offsets_to_transaction(self, offsets, group, seconds):
        self._lose("offsets")

    def commit_transaction(self, seconds):
        self._lose("commit")

    def abort_transaction(self, seconds):
        self.aborted += 1

    def _lose(self, call):
        if call == self.call:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN, "lost", False, False, True))


def test_a_commit_whose_outcome_nobody_knows_is_not_written_again():
    producer = LostAnswers("commit")
    with pytest.raises(KafkaException, match="lost"):
        TransactionWriter(producer, "errors").write([RECORD], [], None)
    assert producer.aborted == 0


def test_a_transaction_that_failed_before_its_commit_is_given_up_and_may_be_tried_again():
    producer = LostAnswers("offsets")
    assert not TransactionWriter(producer, "errors").write([RECORD], [], None)
    assert producer.aborted == 1


class Narrow(LostAnswers):
    """A producer that takes small records, and keeps those of the last transaction."""

    def __init__(self):
        super().__init__("none")
        self.taken = []

    def __len__(self):
        return 0

    def begin_transaction(self):
        self.taken = []

    def produce(self, topic, value, key, partition, delivered, headers):
        if len(value) + len(key or b"") > 100_000:
            raise BufferError("Local: Queue full")
        if len(value) + len(key or b"") > 1_000:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        self.taken.append((topic, key, value, dict(headers)))
        delivered(None, None)


def test_any_number_of_records_may_be_too_large():
    producer = Narrow()
    large = RECORD._replace(value=b"x" * 2_000)
    answers = [large._replace(essential=True)] * 30
    assert TransactionWriter(producer, "errors").write([RECORD, *answers, large], [], None)
    topics = [topic for topic, _, _, _ in producer.taken]
    assert topics == ["t.outputs", *["t.outputs", "errors"] * 30, "t.outputs"]
    assert all(b"2000 bytes" in value for _, _, value, _ in producer.taken[1:-1])


def test_a_key_that_is_too_large_is_left_out_and_holds_nothing_up():
    producer = Narrow()
    large = RECORD._replace(key=b"k" * 2_000)
    assert TransactionWriter(producer, "errors").write([large._replace(essential=True), large], [], None)
    assert [(topic, key) for topic, key, _, _ in producer.taken] == [
        ("t.outputs", None),
        ("errors", None),
        ("t.outputs", None),
    ]
    assert all(told["x-bailie-cut"] == b"100" for _, _, _, told in producer.taken)


def test_a_record_that_the_library_has_never_room_for_is_too_large():
    producer = Narrow()
    assert TransactionWriter(producer, "errors").write([RECORD._replace(value=b"x" * 200_000)], [], None)
    assert [told["x-bailie-cut"] for _, _, _, told in producer.taken] == [b"200000"]


class Changing(LostAnswers):
    """A producer with topics that take one record at a time, and others that take none for now."""

    def __init__(self):
        super().__init__("none")
        self.open, self.sent = set(), []

    def __len__(self):
        return len(self.open)

    def begin_transaction(self):
        self.open, self.sent = set(), []

    def produce(self, topic, value, key, partition, delivered, headers):
        code = None
        if topic.startswith("narrow") and topic in self.open:
            code = KafkaError.MSG_SIZE_TOO_LARGE
        elif topic.startswith("closed"):
            code = KafkaError.TOPIC_AUTHORIZATION_FAILED
        self.open.add(topic)
        self.sent.append(topic)
        delivered(KafkaError(code) if code else None, None)

    def flush(self, seconds):
        self.open = set()
        return 0

    def list_topics(self, topic, seconds):
        return ClusterMetadata()


def test_nothing_is_kept_of_topics_that_come_and_go():
    now = [0.0]
    writer = TransactionWriter(Changing(), "errors", lambda: now[0])

    def marks():
        return [len(each) for each in (writer._alone, writer._refused, writer._doubted)]

    for number in range(300):
        names = f"narrow-{number}", f"closed-{number}"
        narrow, closed = (RECORD._replace(topic=name) for name in names)
        assert writer.write([narrow, narrow, closed], [], None)
        assert not writer.write([closed._replace(essential=True)], [], None)
        assert writer.waiting == {names[1]}
        now[0] += 10.0
    assert marks() == [60, 6, 60]
    now[0] += 600.0
    assert writer.write([RECORD], [], None)
    assert marks() == [0, 0, 0]


def test_a_topic_that_takes_more_than_before_gets_its_records_together_again():
    now, producer = [0.0], Changing()
    writer = TransactionWriter(producer, "errors", lambda: now[0])
    narrow = RECORD._replace(topic="narrow")
    assert writer.write([narrow, narrow], [], None)
    assert writer.write([narrow, narrow], [], None)
    assert "narrow" in writer._alone
    now[0] += 600.0
    assert writer.write([RECORD], [], None)
    assert "narrow" not in writer._alone
