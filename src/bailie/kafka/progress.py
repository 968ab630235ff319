"""The records that were read and are not committed, by partition and in order. Pure.

Kept by `consuming`. Outputs and offsets go into one transaction, so a record's outputs must not be committed
before those of all records in front of it: after a crash the committed offset alone tells which records run
again. So each partition lets its records go in their order, whatever the order in which they end::

    partition 0:   17 ended    18 runs    19 ended    20 runs
                   └── goes    └── holds back 19, until its time is over

A partition that goes to another consumer is forgotten with all its records, which the other one runs.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from bailie.kafka.records import IncomingRecord, OutgoingRecord

Partition = tuple[str, int]
"""Topic and number."""


@dataclass(slots=True, eq=False)
class ReadRecord:
    """A record until it is committed; `outputs` is None while it runs.

    `live`: its partition is still this consumer's.
    """

    record: IncomingRecord
    live: bool = True
    outputs: tuple[OutgoingRecord, ...] | None = None

    @property
    def size(self) -> int:
        """About the bytes of memory."""
        return self.record.size + sum(each.size for each in self.outputs or ())


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


@dataclass(slots=True)
class RecordProgress:
    """All records of this consumer that are not committed."""

    _open: dict[Partition, deque[ReadRecord]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Counts the records."""
        return sum(map(len, self._open.values()))

    @property
    def partitions(self) -> frozenset[Partition]:
        """The partitions of this consumer."""
        return frozenset(self._open)

    def crowded(self, most: int, most_bytes: int, paused: Container[str]) -> frozenset[str]:
        """Returns the topics of which no more may be read: each has as much as is left for all of them.

        So one topic has half of all records or bytes at most, and a slow one leaves room to others. A topic
        that is `paused` stays so until it has half as much.
        """
        records, sizes = defaultdict[str, int](int), defaultdict[str, int](int)
        for (topic, _), reads in self._open.items():
            records[topic] += len(reads)
            sizes[topic] += sum(each.size for each in reads)
        left, left_bytes = most - sum(records.values()), most_bytes - sum(sizes.values())
        return frozenset(
            topic
            for topic in records
            for share in (2 if topic in paused else 1,)
            if records[topic] * share >= left or sizes[topic] * share >= left_bytes
        )

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Takes partitions of this consumer in; known ones go on."""
        for each in partitions:
            self._open.setdefault(each, deque())

    def revoke(self, partitions: Iterable[Partition]) -> None:
        """Forgets partitions that are not this consumer's any more."""
        for each in partitions:
            for read in self._open.pop(each, ()):
                read.live = False

    def revoke_all(self) -> None:
        """Forgets everything."""
        self.revoke(list(self._open))

    def take(self, record: IncomingRecord) -> ReadRecord | None:
        """Takes a record in that was read; None where its partition is not this consumer's."""
        records = self._open.get((record.topic, record.partition))
        if records is None:
            return None
        read = ReadRecord(record)
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
        for partition in batch.offsets:
            self._open[partition] = self._open.pop(
                partition
            )  # behind the others, so that all have their turn
