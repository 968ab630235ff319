"""The lag of a gateway: records of its partitions that are not committed yet, unread or in progress.

Told by `consuming`, in its thread; read by `metrics`. A partition belongs to one gateway of a namespace, so
the sum over all gateways is the namespace's lag. The ends of partitions are as of the consumer's last fetch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

    from confluent_kafka import Consumer

_LOOK_SECONDS = 1.0


@dataclass(slots=True)
class RecordLag:
    """The lag as of the last look."""

    records: int = 0
    _looked: float = 0.0

    def look(self, consumer: Consumer, topics: Container[str], running: int, now: float) -> None:
        """Counts anew, at most once a second, of `topics` alone.

        `running`: records read and not committed; `now`: monotonic.
        """
        if now - self._looked >= _LOOK_SECONDS:
            self._looked, self.records = now, running + unread(consumer, topics)


def unread(consumer: Consumer, topics: Container[str]) -> int:
    """Returns how many records of topics a consumer has not read, as far as it knows their ends."""
    found = 0
    for place in consumer.position([each for each in consumer.assignment() if each.topic in topics]):
        known = consumer.get_watermark_offsets(place, cached=True)
        if known is not None and place.offset >= 0 and known[1] > place.offset:
            found += known[1] - place.offset
    return found


LAG = RecordLag()
"""Of this process, whose gateway has one consumer."""
