"""Threads that read and commit, as a gateway has one; the test says what the records become."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from confluent_kafka import Consumer, Producer

from bailie.kafka.consuming import (
    CONSUMER_DEFAULTS,
    FollowedTopics,
    RecordClients,
    RecordConsumer,
    consumer_properties,
    producer_properties,
)
from bailie.kafka.records import OutgoingRecord


def only(*topics):
    return FollowedTopics(topics, frozenset(topics))


class Worker:
    """One gateway's thread; what it runs is in the hands of the test."""

    def __init__(self, kafka, space, member="gateway-0", run=None, consumer=Consumer):
        self.space, self.given, self._run = space, [], run or (lambda record: record.value)
        self.held = False
        common = kafka.client()
        own = {"socket.timeout.ms": 5000}
        clients = RecordClients(
            lambda: consumer({**common, **CONSUMER_DEFAULTS, **consumer_properties(space, member)}),
            lambda: Producer({**common, **own, **producer_properties(space, member)}),
        )
        self.consumer = RecordConsumer(clients, f"{space}.errors", self._give)
        self.thread = threading.Thread(target=self.consumer.run, daemon=True)

    def _give(self, reads):
        self.given += reads
        if not self.held:
            for read in reads:
                self.end(read)

    def end(self, read):
        record = read.record
        read.outputs = tuple(self.outputs(record))

    def outputs(self, record):
        value = self._run(record)
        out = record.topic.replace("inputs", "outputs")
        return [OutgoingRecord(out, record.partition, record.key, value, (("x-of", b"1"),), essential=True)]


@contextmanager
def working(kafka, space, **named):
    worker = Worker(kafka, space, **named)
    worker.consumer.follow(only(f"{space}.inputs"))
    worker.thread.start()
    try:
        yield worker
    finally:
        worker.consumer.stop()
        worker.thread.join(20)
        assert not worker.thread.is_alive()
