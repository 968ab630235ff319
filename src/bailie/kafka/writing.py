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
_BEGIN_SECONDS = 1.0
_TRIES = 10
_COMMIT_TRIES = 3
_REFUSED_SECONDS = 60.0
"""How long data of steps is left out for a topic that the broker refuses."""
_ANY_PARTITION = -1
_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
_NO_PARTITION = KafkaError._UNKNOWN_PARTITION  # noqa: SLF001 - the library's name for its own errors


class TransactionWriter:
    """Writes with one producer, whose transactional id no other living gateway has."""

    def __init__(self, producer: Producer, errors_topic: str) -> None:
        """Takes a new producer; `begin` comes first."""
        self._producer, self._errors = producer, errors_topic
        self._refusals: dict[int, KafkaError] = {}
        self._refused: dict[str, float] = {}

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
        """Writes records and offsets; False where the transaction was given up and may be tried again.

        `group`: the consumer's membership, without which the broker takes no offsets. Raises KafkaException
        where this producer can write no more.
        """
        now = time.monotonic()
        kept = [each for each in records if each.essential or self._refused.get(each.topic, 0.0) <= now]
        for _ in range(_TRIES):
            if not self._attempt(kept, offsets, group):
                return False
            if not self._refusals:
                return True
            kept = [each for index, record in enumerate(kept) for each in self._mended(index, record)]
        return False

    def _attempt(
        self, records: Sequence[OutgoingRecord], offsets: list[TopicPartition], group: object
    ) -> bool:
        """Makes one transaction, or none where the broker has refused records (`_refusals`)."""
        self._refusals = {}
        producer = self._producer
        producer.begin_transaction()
        try:
            for index, record in enumerate(records):
                self._produce(index, record)
            left = producer.flush(_SECONDS)
            if self._refusals or left:
                producer.abort_transaction(_SECONDS)
                return not left
            producer.send_offsets_to_transaction(offsets, group, _SECONDS)
            self._commit()
        except KafkaException as error:
            if not error.args[0].txn_requires_abort():
                raise
            log.info("transaction given up", cause=error.args[0].str())
            producer.abort_transaction(_SECONDS)
            return bool(self._refusals)
        return True

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
                if error.args[0].fatal() or error.args[0].txn_requires_abort():
                    raise
                self._refusals[index] = error.args[0]
                return
            else:
                return

    def _delivered(self, index: int, error: KafkaError | None, _: Message) -> None:
        if error is not None and error.code() not in {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}:  # noqa: SLF001
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

    def _mended(self, index: int, record: OutgoingRecord) -> list[OutgoingRecord]:
        """Returns a record as it is tried again. Raises KafkaException where an answer cannot be written."""
        error = self._refusals.get(index)
        if error is None:
            return [record]
        if error.code() in _TOO_LARGE:
            log.warning("record too large for the broker", topic=record.topic, size=len(record.value))
            return cut(record, self._errors)
        if error.code() == _NO_PARTITION and record.partition != _ANY_PARTITION:
            log.warning("topics have not the same partitions", topic=record.topic, partition=record.partition)
            return [record._replace(partition=_ANY_PARTITION)]
        if record.essential:
            raise KafkaException(error)
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
