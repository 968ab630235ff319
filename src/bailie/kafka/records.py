"""Records as values, on their way in and out. Pure.

Made by `consuming` and by `pipelinegateway`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bailie.kafka.headers import RecordHeaders

_OVERHEAD = 500
"""About the bytes of memory that a record takes beside its value and headers."""


class IncomingRecord(NamedTuple):
    """A record of an `.inputs` topic; `headers` are those that HTTP can carry."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: RecordHeaders = ()

    @property
    def size(self) -> int:
        """About the bytes of memory: the writer of a record chooses the sizes of all parts."""
        return _size(self)


class OutgoingRecord(NamedTuple):
    """A record to be written, into the partition of its request.

    `essential`: the answer or the failure of a request. The others are data of steps, which may be left out
    where the broker refuses them.
    """

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: RecordHeaders = ()
    essential: bool = False

    @property
    def size(self) -> int:
        """About the bytes of memory."""
        return _size(self)


def _size(record: IncomingRecord | OutgoingRecord) -> int:
    told = sum(len(name) + len(value) for name, value in record.headers)
    return _OVERHEAD + len(record.value or b"") + len(record.key or b"") + told
