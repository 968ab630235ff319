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
    from collections.abc import Callable, Sequence

    from confluent_kafka import Message, TopicPartition

    from bailie.kafka.records import OutgoingRecord

log = structlog.get_logger(__name__)

_SECONDS = 30.0
"""How long the broker may take for one call; then all begins anew from the last committed offsets."""
_AWAY_SECONDS = 120.0
"""How long a broker may be away without that requests run again."""
_BEGIN_SECONDS = 1.0
_TRIES = 10
"""How often a transaction is tried again in which nothing has been changed."""
_COMMIT_TRIES = 3
_LATE_SECONDS = 5.0
"""How long records of one topic may go without acknowledgement while others have theirs."""
_FLUSH_SECONDS = 0.1
_ASK_SECONDS = 1.0
_REFUSED_SECONDS = 60.0
"""How long data of steps is left out for a topic that the broker refuses."""
_REMEMBERED_SECONDS = 600.0
"""How long other words of the broker about a topic count: it may be another topic by then, or none."""
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
    KafkaError._TIMED_OUT,  # noqa: SLF001 - of a topic that is late, as `_sent` says
}
"""The failures of a record that others of its transaction do not share."""


class _Marked:
    """Topics that are marked, each for so many seconds since the last time: pipelines come and go."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds, self._clock = seconds, clock
        self._until: dict[str, float] = {}
        """The next to be forgotten first."""

    def __contains__(self, topic: str) -> bool:
        return topic in self._until

    def __len__(self) -> int:
        return len(self._until)

    def add(self, topic: str) -> None:
        """Marks a topic from now on."""
        self.discard(topic)
        self._until[topic] = self._clock() + self._seconds

    def discard(self, topic: str) -> None:
        """Takes the mark off, where there is one."""
        self._until.pop(topic, None)

    def forget(self) -> None:
        """Takes the marks off that have been there for long enough."""
        now = self._clock()
        while self._until and next(iter(self._until.values())) <= now:
            del self._until[next(iter(self._until))]


class TransactionWriter:
    """Writes with one producer, whose transactional id no other living gateway has."""

    def __init__(
        self, producer: Producer, errors_topic: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Takes a new producer; `begin` comes first."""
        self._producer, self._errors = producer, errors_topic
        self._refusals: dict[int, KafkaError] = {}
        self._acknowledged: set[int] = set()
        self._refused = _Marked(_REFUSED_SECONDS, clock)
        self.trouble = ""
        """Why the last transaction was given up; empty if it was not."""
        self.waiting = frozenset[str]()
        """Topics in which the broker refused answers of the last transaction: these wait for its owner."""
        self._doubted = _Marked(_REMEMBERED_SECONDS, clock)
        """Topics in which answers were refused, until the broker says that it knows them."""
        self._alone = _Marked(_REMEMBERED_SECONDS, clock)
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
        for marked in (self._refused, self._doubted, self._alone):
            marked.forget()
        kept = [each for each in records if each.essential or each.topic not in self._refused]
        self.waiting = frozenset(filter(self._is_unknown, {each.topic for each in kept if each.essential}))
        if self.waiting:
            return False
        tries = 0
        while tries < _TRIES:
            alone = frozenset(each.topic for each in kept if each.topic in self._alone)
            written = self._attempt(kept, offsets, group)
            if written or not self._refusals:
                return written
            mended = [self._mended(index, record, alone) for index, record in enumerate(kept)]
            if None in mended:
                pairs = zip(kept, mended, strict=True)
                self.waiting = frozenset(record.topic for record, found in pairs if found is None)
                for topic in self.waiting:
                    self._doubted.add(topic)
                return False
            # Of records that go one by one each try finds one that is too large, and there may be many.
            tries += mended == [[record] for record in kept]
            kept = [each for found in mended for each in found or ()]
        return False

    def _attempt(
        self, records: Sequence[OutgoingRecord], offsets: list[TopicPartition], group: object
    ) -> bool:
        """Makes one transaction; False for none. The records that the broker refuses are in `_refusals`."""
        self._refusals, self._acknowledged = {}, set()
        producer = self._producer
        producer.begin_transaction()
        try:
            given = all(self._put(index, record) for index, record in enumerate(records))
            if not (given and self._sent(len(records))):
                self.trouble = f"no acknowledgement within {_SECONDS:.0f} s"
                self._abort()
                return False
            producer.send_offsets_to_transaction(offsets, group, _SECONDS)
        except KafkaException as error:
            found = error.args[0]
            if found.fatal() or not (found.txn_requires_abort() or found.retriable()):
                raise
            self.trouble = found.str()
            self._abort()
            return False
        self._commit()
        return True

    def _put(self, index: int, record: OutgoingRecord) -> bool:
        """Hands a record to the library; False where records that go one by one are not acknowledged."""
        self._produce(index, record)
        return record.topic not in self._alone or self._sent(index + 1)

    def _sent(self, number: int) -> bool:
        """Waits until so many records are acknowledged; False for a refusal, or none of them in time.

        Records that are late while others have come count as refused, so that one topic holds up no other.
        """
        begun = time.monotonic()
        while self._producer.flush(_FLUSH_SECONDS):
            passed = time.monotonic() - begun
            if self._refusals or passed > _SECONDS:
                return False
            if self._acknowledged and passed > _LATE_SECONDS:
                words = f"no acknowledgement within {_LATE_SECONDS:.0f} s"
                late = KafkaError(KafkaError._TIMED_OUT, words)  # noqa: SLF001
                self._refusals = dict.fromkeys(set(range(number)) - self._acknowledged, late)
                return False
        return not self._refusals

    def _is_unknown(self, topic: str) -> bool:
        """Says whether the broker has refused answers in a topic and still does not know it.

        A question takes a moment, where a transaction with a record for such a topic would take a second.
        """
        if topic not in self._doubted:
            return False
        try:
            found = self._producer.list_topics(topic, _ASK_SECONDS).topics.get(topic)
        except KafkaException:
            return False  # no broker answers: the transaction says more
        if found is not None and found.error is not None:
            self.trouble = _refused_words(topic, found.error)
            return True
        self._doubted.discard(topic)
        return False

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
            except BufferError as error:
                if not len(self._producer):  # the room of the library is empty, and too small by itself
                    self._refusals[index] = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, str(error))
                    return
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
        if error is None:
            self._acknowledged.add(index)
        elif error.code() in _FOR_ITSELF:
            self._refusals[index] = error

    def _commit(self) -> None:
        """Commits a transaction. Raises KafkaException where nobody knows whether it is committed.

        A commit that failed may have gone through, with its answer lost: the committed offsets alone tell,
        from which a next producer begins. The same records written once more would be there twice.
        """
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
        if error.code() in _TOO_LARGE and not _is_shortest(record):
            return shortened(record, self._errors)
        if error.code() == _NO_PARTITION and record.partition != _ANY_PARTITION:
            log.warning("topics have not the same partitions", topic=record.topic, partition=record.partition)
            return [record._replace(partition=_ANY_PARTITION)]
        if record.essential:
            self.trouble = _refused_words(record.topic, error)
            return None
        log.warning("data of steps left out", topic=record.topic, cause=error.str())
        self._refused.add(record.topic)
        return []


def _refused_words(topic: str, error: KafkaError) -> str:
    return f"the broker refuses answers in topic {topic}: {error.str()}"


def _is_shortest(record: OutgoingRecord) -> bool:
    return record.key is None and bool(headers.first(record.headers, headers.CUT))


def shortened(record: OutgoingRecord, errors_topic: str) -> list[OutgoingRecord]:
    """Returns what is written in place of a record that is too large: without the value, then the key.

    The key is the choice of the request's writer, and may be too large by itself.
    """
    if headers.first(record.headers, headers.CUT):
        log.warning("key too large for the broker", topic=record.topic, size=len(record.key or b""))
        return [record._replace(key=None)]
    log.warning("record too large for the broker", topic=record.topic, size=len(record.value))
    return cut(record, errors_topic)


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
