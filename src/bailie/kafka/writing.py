"""Transactions: records that follow from others, and the offsets of these, written together or not at all.

Called by `consuming`, in its thread. A record that the broker refuses for itself holds up no other: data of a
step is left out, and an answer that is too large becomes its failure.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from bailie.kafka import headers

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from confluent_kafka import Message, TopicPartition

    from bailie.kafka.records import OutgoingRecord

log = structlog.get_logger(__name__)

_SECONDS = 30.0
"""How long the broker may take for one call; then all begins anew from the last committed offsets."""
_AWAY_SECONDS = 120.0
"""How long a broker may be away without that requests run again."""
_BEGIN_SECONDS = 1.0
_TRIES = 10
_COMMIT_TRIES = 3
_REFUSED_SECONDS = 60.0
"""How long data of steps is left out for a topic that the broker refuses."""
_ANY_PARTITION = -1
_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
_NO_PARTITION = KafkaError._UNKNOWN_PARTITION  # noqa: SLF001 - the library's name for its own errors
_FOR_ITSELF = {
    *_TOO_LARGE,
    _NO_PARTITION,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.INVALID_RECORD,
    KafkaError.POLICY_VIOLATION,
}
"""The failures of a record that others of its transaction do not share."""


class TransactionWriter:
    """Writes with one producer, whose transactional id no other living gateway has."""

    def __init__(self, producer: Producer, errors_topic: str) -> None:
        """Takes a new producer; `begin` comes first."""
        self._producer, self._errors = producer, errors_topic
        self._refusals: dict[int, KafkaError] = {}
        self._refused: dict[str, float] = {}
        self.trouble = ""
        """Why the last transaction was given up; empty if it was not."""
        self.waiting = frozenset[str]()
        """Topics in which the broker refused answers of the last transaction: these wait for its owner."""
        self._alone: set[str] = set()
        """Topics whose records are sent one by one: they take less than the library puts together."""

    def begin(self, stopped: threading.Event) -> None:
        """Ends the transactions of a predecessor. Raises KafkaException, at once where `stopped` is set."""
        end = time.monotonic() + _SECONDS
        while True:
            try:
                self._producer.init_transactions(_BEGIN_SECONDS)
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > end or stopped.is_set():
                    raise
            else:
                return

    def write(self, records: Sequence[OutgoingRecord], offsets: list[TopicPartition], group: object) -> bool:
        """Writes records and offsets; False where nothing was written and the same may be tried again.

        `group`: the consumer's membership, without which the broker takes no offsets. Raises KafkaException
        where this producer can write no more.
        """
        now, self.waiting = time.monotonic(), frozenset()
        kept = [each for each in records if each.essential or self._refused.get(each.topic, 0.0) <= now]
        for _ in range(_TRIES):
            alone = frozenset(self._alone)
            written = self._attempt(kept, offsets, group)
            if written or not self._refusals:
                return written
            mended = [self._mended(index, record, alone) for index, record in enumerate(kept)]
            if None in mended:
                pairs = zip(kept, mended, strict=True)
                self.waiting = frozenset(record.topic for record, found in pairs if found is None)
                return False
            kept = [each for found in mended for each in found or ()]
        return False

    def _attempt(
        self, records: Sequence[OutgoingRecord], offsets: list[TopicPartition], group: object
    ) -> bool:
        """Makes one transaction; False for none. The records that the broker refuses are in `_refusals`."""
        self._refusals = {}
        producer = self._producer
        producer.begin_transaction()
        try:
            for index, record in enumerate(records):
                self._produce(index, record)
                if record.topic in self._alone:
                    producer.flush(_SECONDS)
            if producer.flush(_SECONDS) or self._refusals:
                self.trouble = f"no acknowledgement within {_SECONDS:.0f} s"
                self._abort()
                return False
            producer.send_offsets_to_transaction(offsets, group, _SECONDS)
            self._commit()
        except KafkaException as error:
            found = error.args[0]
            if found.fatal() or not (found.txn_requires_abort() or found.retriable()):
                raise
            self.trouble = found.str()
            self._abort()
            return False
        return True

    def _abort(self) -> None:
        """Gives a transaction up, however long the broker is away, within limits."""
        end = time.monotonic() + _AWAY_SECONDS
        while True:
            try:
                self._producer.abort_transaction(_SECONDS)
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > end:
                    raise
            else:
                return

    def _produce(self, index: int, record: OutgoingRecord) -> None:
        delivered = partial(self._delivered, index)
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    record.partition,
                    delivered,
                    headers=list(record.headers),
                )
            except BufferError:
                self._producer.poll(0.05)
            except KafkaException as error:
                if error.args[0].code() not in _FOR_ITSELF:
                    raise
                self._refusals[index] = error.args[0]
                return
            else:
                return

    def _delivered(self, index: int, error: KafkaError | None, _: Message) -> None:
        """Notes that the broker has refused a record for itself; other failures are of the transaction."""
        if error is not None and error.code() in _FOR_ITSELF:
            self._refusals[index] = error

    def _commit(self) -> None:
        for tries in range(_COMMIT_TRIES):
            try:
                self._producer.commit_transaction(_SECONDS)
            except KafkaException as error:
                if not error.args[0].retriable() or tries == _COMMIT_TRIES - 1:
                    raise
            else:
                return

    def _mended(
        self, index: int, record: OutgoingRecord, alone: frozenset[str]
    ) -> list[OutgoingRecord] | None:
        """Returns a record as it is tried again; None where an answer must wait for the broker's owner.

        `alone`: the topics whose records were sent one by one.
        """
        error = self._refusals.get(index)
        if error is None:
            return [record]
        if error.code() in _TOO_LARGE and record.topic not in alone:
            self._alone.add(record.topic)
            return [record]
        if error.code() in _TOO_LARGE:
            log.warning("record too large for the broker", topic=record.topic, size=len(record.value))
            return cut(record, self._errors)
        if error.code() == _NO_PARTITION and record.partition != _ANY_PARTITION:
            log.warning("topics have not the same partitions", topic=record.topic, partition=record.partition)
            return [record._replace(partition=_ANY_PARTITION)]
        if record.essential:
            self.trouble = f"the broker refuses answers in topic {record.topic}: {error.str()}"
            return None
        log.warning("data of steps left out", topic=record.topic, cause=error.str())
        self._refused[record.topic] = time.monotonic() + _REFUSED_SECONDS
        return []


def cut(record: OutgoingRecord, errors_topic: str) -> list[OutgoingRecord]:
    """Returns what is written in place of a record that is too large for the broker.

    Of a step's data the headers are left, with the size. In place of an answer its readers get the failure.
    """
    size = len(record.value)
    mark = (headers.CUT, b"%d" % size)
    if not record.essential:
        return [record._replace(value=b"", headers=(*record.headers, mark))]
    owner = headers.first(record.headers, headers.PIPELINE)
    words = (
        f"the answer has {size} bytes, which is more than the broker takes: raise `message.max.bytes` of the"
        f" broker, or `max.message.bytes` of the topic {record.topic}"
    )
    failed = record._replace(value=words.encode(), headers=(*record.headers, mark, (headers.FAILED, owner)))
    return [failed, failed._replace(topic=errors_topic)]
