"""The journal: records of requests that were answered, written to the broker behind the requests' backs.

Fed by `pipelinegateway` from the event loop, which never waits here::

    event loop ── put ──▶ queue ── one thread: gather, encode ──▶ librdkafka's queue ──▶ broker
                 (bounded in entries and bytes)   ▲   (bounded in records and bytes)      │
                                                  └────────── acknowledgements ───────────┘

The thread takes its turn a few times a second, with all records that have come until then: after each
request it would take the processor, and Python's lock, from the next one. Records for which a caller waits
are written at once. A record that finds no room, or that the broker refuses, is dropped and counted. A record
is written at least once: after a lost acknowledgement it is twice in its topic.
"""

from __future__ import annotations

import queue
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException

from bailie.kafka.client import producer, words_of
from bailie.kafka.headers import CUT
from bailie.kafka.journal_counts import JournalCounts
from bailie.lifecycle.words import GATEWAY_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message, Producer

    from bailie.kafka.headers import RecordHeaders
    from bailie.kafka.settings import KafkaSettings

log = structlog.get_logger(__name__)

_GATHER_SECONDS = 0.1
"""How long records wait for others, before they are given to the library."""
_HEAR_SECONDS = 0.2
_FLUSH_SECONDS, _SLICE_SECONDS = 1.0, 0.05
"""How long acknowledgements are waited for that callers await, and how often is seen whether further records
hurry: those of a topic that gets none hold up no caller whose records are for another one."""
_LARGE = 16 << 10
"""Bytes of data after which the event loop has its turn at once."""
_NO_ROOM = "no room for it until the broker acknowledges others"
_OVERHEAD = 500
"""About the bytes of memory of a record beside its data."""


class UnwrittenRecord(NamedTuple):
    """A record whose value is made later, in the writer's thread; `size`: about the bytes of the value.

    `encode` raises ValueError where the data has no such form.
    """

    topic: str
    partition: int
    key: bytes
    headers: RecordHeaders
    encode: Callable[[], bytes]
    size: int

    @property
    def head(self) -> int:
        """The bytes of key and headers, of which callers choose some."""
        return len(self.key) + sum(len(name) + len(value) for name, value in self.headers)

    @property
    def weight(self) -> int:
        """About the bytes of memory."""
        return _OVERHEAD + self.size + self.head


class JournalLimits(NamedTuple):
    """Records and bytes that wait for the writer at most; more are dropped.

    Keys and headers that wait for the broker have as many bytes at most: the library counts values alone.
    """

    records: int = 10_000
    size: int = 64 << 20


class _Together:
    """Records that were given together; `done` hears why one was not written, or an empty text."""

    __slots__ = ("_done", "_left", "_problem", "records")

    def __init__(self, records: tuple[UnwrittenRecord, ...], done: Callable[[str], None] | None) -> None:
        self.records, self._done, self._left, self._problem = records, done, len(records), ""

    @property
    def is_awaited(self) -> bool:
        """Whether a caller waits for the records."""
        return self._done is not None

    def settle(self, problem: str) -> bool:
        """Counts a record that is written, or lost; returns whether it was the last one."""
        self._left -= 1
        self._problem = self._problem or problem
        return not self._left

    def tell(self) -> None:
        """Tells the ending of all records."""
        if self._done is not None:
            self._done(self._problem)


class Journal:
    """The queue and its thread, until `close`. `largest` returns the bytes that a topic takes."""

    def __init__(
        self, settings: KafkaSettings, name: str, limits: JournalLimits, largest: Callable[[str], int]
    ) -> None:
        """Raises KafkaTrouble for a property that the library does not know."""
        self._producer: Producer = producer(settings, name)
        self._limits, self._largest = limits, largest
        self._queue: queue.SimpleQueue[_Together | None] = queue.SimpleQueue()
        self._hurry = threading.Event()
        """Set where records are not to wait for others."""
        # Each is counted by one thread alone: those given by the event loop's, the others by the own one.
        self._given = self._given_bytes = self._taken = self._taken_bytes = self._ended = 0
        self._heads = 0
        """Bytes of keys and headers that wait for the broker."""
        self.counts = JournalCounts()
        self._thread = threading.Thread(target=self._write, name="kafka-journal", daemon=True)
        self._thread.start()

    def put(self, records: tuple[UnwrittenRecord, ...], done: Callable[[str], None] | None = None) -> None:
        """Takes records in, or drops them all for want of room; `done` is called from another thread."""
        entry = _Together(records, done)
        size = sum(each.weight for each in records)
        waiting, held = self._given - self._taken, self._given_bytes - self._taken_bytes
        if waiting + len(records) > self._limits.records or held + size > self._limits.size:
            for _ in records:
                self._drop(entry, "no room for it before it was written")
            return
        self._given += len(records)
        self._given_bytes += size
        self._queue.put(entry)
        if done is not None or 2 * waiting > self._limits.records or 2 * held > self._limits.size:
            self._hurry.set()

    @property
    def waiting(self) -> int:
        """How many records are neither written nor dropped; the length of the library counts its errors."""
        return self._given - self._ended

    def close(self, seconds: float) -> None:
        """Writes what is there, for so many seconds at most, and ends the thread."""
        end = time.monotonic() + seconds
        self._queue.put(None)
        self._hurry.set()
        self._thread.join(seconds)
        if not self._thread.is_alive():
            self._polled(self._producer.flush, max(0.0, end - time.monotonic()))
        if self.waiting:
            log.warning("records given up", records=self.waiting)

    def _write(self) -> None:
        ended = False
        while not ended:
            found = self._gathered()
            ended, awaited = None in found, False
            for entry in filter(None, found):
                self._write_together(entry)
                awaited = awaited or entry.is_awaited
                time.sleep(0)  # lets the event loop go on, which answers requests
            if awaited:
                self._flush()
            self._polled(self._producer.poll, 0)

    def _flush(self) -> None:
        """Sends at once, whatever `linger.ms` says, and waits a while, or until further records hurry."""
        end = time.monotonic() + _FLUSH_SECONDS
        while len(self._producer) and not self._hurry.is_set() and time.monotonic() < end:
            self._polled(self._producer.flush, _SLICE_SECONDS)

    def _gathered(self) -> list[_Together | None]:
        """Waits for records, or a while; returns all that have come, None among them at the end."""
        try:
            found = [self._queue.get(timeout=_HEAR_SECONDS)]
        except queue.Empty:
            return []
        self._hurry.wait(_GATHER_SECONDS)
        self._hurry.clear()
        while not self._queue.empty():
            found.append(self._queue.get())
        return found

    def _write_together(self, entry: _Together) -> None:
        for record in entry.records:
            self._attempt(entry, record)
            self._taken += 1
            self._taken_bytes += record.weight
            if record.size > _LARGE:
                time.sleep(0)

    def _attempt(self, entry: _Together, record: UnwrittenRecord) -> None:
        try:
            self._produce(entry, record)
        except Exception:
            # The edge of the thread: without this no record would be written until the process ends.
            log.exception("record failed", topic=record.topic)
            self._lose(entry, GATEWAY_FAILED)

    def _produce(self, entry: _Together, record: UnwrittenRecord) -> None:
        try:
            value = record.encode()
        except ValueError as error:
            log.debug("data has no protobuf form", topic=record.topic, cause=str(error))
            value = b""
        if (record.size and not value) or len(value) > self._largest(record.topic):
            record, value = _cut(record, len(value) or record.size), b""
        self._send(entry, record._replace(encode=_nothing), value)

    def _send(self, entry: _Together, record: UnwrittenRecord, value: bytes) -> None:
        if self._heads + record.head > self._limits.size:
            self._lose(entry, _NO_ROOM)
            return
        self._heads += record.head
        try:
            self._producer.produce(
                record.topic,
                value,
                record.key,
                record.partition,
                on_delivery=partial(self._heard, entry, record, len(value)),
                headers=list(record.headers),
            )
        except BufferError:
            self._heads -= record.head
            self._lose(entry, _NO_ROOM)
        except KafkaException as error:
            self._heads -= record.head
            self._lose(entry, words_of(error))

    @staticmethod
    def _polled(call: Callable[[float], object], seconds: float) -> None:
        """Hears acknowledgements, and waits for them so many seconds."""
        try:
            call(seconds)
        except Exception:
            # The edge of a thread, as above: without this no acknowledgement would be heard any more.
            log.exception("acknowledgement failed")

    def _heard(
        self, entry: _Together, record: UnwrittenRecord, size: int, error: KafkaError | None, _: Message
    ) -> None:
        """Takes the broker's answer. A record that is too large for it is written again without its value."""
        self._heads -= record.head
        if error is None:
            self.counts.written += 1
            self._ended += 1
            self._settle(entry, "")
        elif size and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self._send(entry, _cut(record, size), b"")
        else:
            self._lose(entry, words_of(error))

    def _lose(self, entry: _Together, words: str) -> None:
        self._ended += 1
        self._drop(entry, words)

    def _drop(self, entry: _Together, words: str) -> None:
        self.counts.lose(words)
        self._settle(entry, words)

    def _settle(self, entry: _Together, problem: str) -> None:
        if entry.settle(problem):
            entry.tell()


def _cut(record: UnwrittenRecord, size: int) -> UnwrittenRecord:
    return record._replace(headers=(*record.headers, (CUT, b"%d" % size)))


def _nothing() -> bytes:
    return b""
