"""Records that a consumer has not read are counted, with those that run."""

from __future__ import annotations

from confluent_kafka import Consumer, TopicPartition
from tests.support.waiting import until_blocking

from bailie.kafka.lag import RecordLag, unread


def test_unread_records_and_those_that_run_are_the_lag(kafka, space):
    topics = [f"{space}.a", f"{space}.b"]
    kafka.make(*topics)
    kafka.write(topics[0], b"1", b"2", b"3", b"4")
    consumer = Consumer(kafka.client(group_id=space, enable_auto_commit=False))
    try:
        assert unread(consumer, topics) == 0
        consumer.assign([TopicPartition(topic, 0, 0) for topic in topics])
        until_blocking(lambda: consumer.poll(0.1))
        assert unread(consumer, topics) == 3
        assert unread(consumer, topics[1:]) == 0, "of these topics alone"
        lag = RecordLag()
        lag.look(consumer, topics, 1, 10.0)
        assert lag.records == 4
        assert consumer.poll(5) is not None
        lag.look(consumer, topics, 2, 10.5)
        assert lag.records == 4, "not twice within a second"
        lag.look(consumer, topics, 2, 11.0)
        assert lag.records == 4
        consumer.poll(5)
        consumer.poll(5)
        lag.look(consumer, topics, 0, 12.0)
        assert lag.records == 0
    finally:
        consumer.close()
