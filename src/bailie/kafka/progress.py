"""The records that were read and are not committed, by partition and in order. Pure.

Kept by `consuming`. Outputs and offsets go into one transaction, so a record's outputs must not be committed
before those of all records in front of it: after a crash the committed offset alone tells which records run
again. So each partition lets its records go in their order, whatever the order in which they end::

    partition 0:   17 ended    18 runs    19 ended    20 runs
                   └── goes    └── holds back 19, until its time is over

A partition that goes to another consumer is forgotten with all its records, which the other one runs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from bailie.kafka.records import IncomingRecord, OutgoingRecord

Partition = tuple[str, int]
"""Topic and number."""


@dataclass(slots=True, eq=False)
class _TopicRoom:
    """The room that the records of one topic take. Each figure is written by one thread alone."""

    records: int = 0
    came: int = 0
    """Bytes of the records."""
    ended: int = 0
    """Bytes of outputs since the first record; the thread that runs records counts these."""
    gone: int = 0
    """Those of them that are forgotten."""
    answers: int = 0
    """Records that have ended; the thread that runs records counts these."""
    seen_answers: int = 0
    is_quick: bool = False
    """Whether records have ended between the last two looks."""

    @property
    def size(self) -> int:
        """About the bytes of memory."""
        return self.came + self.ended - self.gone


class ReadRecord:
    """A record until it is committed; `outputs` is None while it runs, and is set by the thread that runs it.

    `live`: its partition is still this consumer's.
    """

    __slots__ = ("_outputs", "_room", "live", "outputs_size", "record")

    def __init__(self, record: IncomingRecord, room: _TopicRoom) -> None:
        self.record, self._room = record, room
        self.live, self.outputs_size = True, 0
        self._outputs: tuple[OutgoingRecord, ...] | None = None

    @property
    def size(self) -> int:
        """About the bytes of memory."""
        return self.record.size + self.outputs_size

    @property
    def outputs(self) -> tuple[OutgoingRecord, ...] | None:
        """The records that follow from it."""
        return self._outputs

    @outputs.setter
    def outputs(self, outputs: tuple[OutgoingRecord, ...]) -> None:
        # The room of a record that is another consumer's counts it no more, nor would forget these bytes.
        if self.live and (outputs or self.outputs_size):
            self._room.answers += 1
            size = sum(each.size for each in outputs)
            self._room.ended += size - self.outputs_size
            self.outputs_size = size
        self._outputs = outputs


class RecordBatch(NamedTuple):
    """The content of a transaction: records that have ended, and the offset to go on from, by partition."""

    ended: tuple[ReadRecord, ...]
    offsets: dict[Partition, int]

    @property
    def outputs(self) -> list[OutgoingRecord]:
        """The records to be written."""
        return [output for each in self.ended for output in each.outputs or ()]

    @property
    def run(self) -> int:
        """The number of records that have outputs: the others have run before."""
        return sum(1 for each in self.ended if each.outputs)


_QUICK, _SLOW = (500, 8), (32, 64)
"""The most records of one topic, and the part of all bytes, that may be open: of a topic whose records end,
and of one whose records did not lately, or not yet."""


@dataclass(slots=True)
class RecordProgress:
    """All records of this consumer that are not committed."""

    _open: dict[Partition, deque[ReadRecord]] = field(default_factory=dict)
    _rooms: dict[str, _TopicRoom] = field(default_factory=dict)
    """Of the topics that have records here."""

    def __len__(self) -> int:
        """Counts the records."""
        return sum(each.records for each in self._rooms.values())

    @property
    def partitions(self) -> frozenset[Partition]:
        """The partitions of this consumer."""
        return frozenset(self._open)

    def look(self) -> None:
        """Notes the topics whose records have ended since the last call; to be called every few seconds."""
        for room in self._rooms.values():
            room.is_quick, room.seen_answers = room.answers > room.seen_answers, room.answers

    def crowded(self, most_bytes: int, paused: Container[str]) -> frozenset[str]:
        """Returns the topics of which no more may be read, where all together may have so many bytes.

        A topic has a part of all at most, and no more than is left for the others; one whose records do not
        end has a small part, so that many of these leave room. A topic that is `paused` stays so until it has
        half as much.
        """
        left = most_bytes - sum(each.size for each in self._rooms.values())
        if left <= 0:
            return frozenset(topic for topic, _ in self._open)
        found = set()
        for topic, room in self._rooms.items():
            most, part = _QUICK if room.is_quick or room.answers > room.seen_answers else _SLOW
            share = 2 if topic in paused else 1
            if room.records * share >= most or room.size * share >= min(left, most_bytes // part):
                found.add(topic)
        return frozenset(found)

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Takes partitions of this consumer in; known ones go on."""
        for each in partitions:
            self._open.setdefault(each, deque())

    def revoke(self, partitions: Iterable[Partition]) -> None:
        """Forgets partitions that are not this consumer's any more."""
        for each in partitions:
            for read in self._open.pop(each, ()):
                read.live = False
                self._forget(read)

    def revoke_all(self) -> None:
        """Forgets everything."""
        self.revoke(list(self._open))

    def take(self, record: IncomingRecord) -> ReadRecord | None:
        """Takes a record in that was read; None where its partition is not this consumer's."""
        records = self._open.get((record.topic, record.partition))
        if records is None:
            return None
        room = self._rooms.setdefault(record.topic, _TopicRoom())
        room.records += 1
        room.came += record.size
        read = ReadRecord(record, room)
        records.append(read)
        return read

    def batch(self, most: int, without: Container[Partition] = ()) -> RecordBatch:
        """Returns the first records that have ended, up to `most` with outputs; they stay until `settle`.

        `without`: partitions that are left out.
        """
        ended, offsets, run = list[ReadRecord](), dict[Partition, int](), 0
        for partition, records in self._open.items():
            for read in records if partition not in without else ():
                if read.outputs is None or (read.outputs and run == most):
                    break
                run += bool(read.outputs)
                ended.append(read)
                offsets[partition] = read.record.offset + 1
        return RecordBatch(tuple(ended), offsets)

    def settle(self, batch: RecordBatch) -> None:
        """Forgets records that were committed."""
        for read in batch.ended:
            records = self._open[read.record.topic, read.record.partition]
            assert records.popleft() is read  # noqa: S101 - a batch has the first ones
            self._forget(read)
        for partition in batch.offsets:
            # Behind the others, so that all have their turn.
            self._open[partition] = self._open.pop(partition)

    def _forget(self, read: ReadRecord) -> None:
        """Counts a record out. Of a topic without records nothing is left, also of what ends behind this."""
        topic = read.record.topic
        room = self._rooms[topic]
        room.records -= 1
        room.came -= read.record.size
        room.gone += read.outputs_size
        if not room.records:
            del self._rooms[topic]
