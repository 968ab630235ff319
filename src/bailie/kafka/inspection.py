"""The last records of topics, for people. Called by `cli`; blocks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaException, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confluent_kafka import Consumer, Message

_FIRST_LOOK, _LONG_LOOK = 100, 20_000
"""How many records of a partition are looked at: the marks of transactions are among them, and records of
other requests. The second number is for those that find too little at first."""


class FoundRecord(NamedTuple):
    """A record as it is in its topic. `at`: seconds since 1970, 0 where the broker does not say."""

    topic: str
    partition: int
    offset: int
    at: float
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def last_records(
    consumer: Consumer,
    topics: Iterable[str],
    *,
    most: int,
    wanted: Callable[[FoundRecord], bool],
    seconds: float,
) -> list[FoundRecord]:
    """Returns the last records of topics, `most` of each, the oldest first; a missing topic has none.

    `seconds`: how long the broker may take for all. Raises KafkaException, and TimeoutError.
    """
    end = time.monotonic() + seconds
    partitions = _partitions(consumer, list(topics), end)
    found = _read(consumer, partitions, most + _FIRST_LOOK, end)
    kept = [each for each in found if wanted(each)]
    if any(sum(each.topic == topic for each in kept) < most for topic, _ in partitions):
        found = _read(consumer, partitions, _LONG_LOOK, end)
        kept = [each for each in found if wanted(each)]
    kept.sort(key=lambda each: (each.at, each.offset))
    by_topic = {topic: [each for each in kept if each.topic == topic][-most:] for topic, _ in partitions}
    return [each for records in by_topic.values() for each in records]


def _partitions(consumer: Consumer, topics: list[str], end: float) -> dict[tuple[str, int], tuple[int, int]]:
    """Returns the first and the next offset of each partition."""
    known = consumer.list_topics(timeout=_left(end)).topics
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for topic in topics:
        for number in known[topic].partitions if topic in known else ():
            marks = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_left(end))
            if marks is None:
                raise TimeoutError
            found[topic, number] = marks
    return found


def _read(
    consumer: Consumer, partitions: dict[tuple[str, int], tuple[int, int]], look: int, end: float
) -> list[FoundRecord]:
    """Returns the records of the last `look` offsets of each partition."""
    open_partitions = {place: high for place, (low, high) in partitions.items() if high > low}
    starts = [
        TopicPartition(topic, number, max(low, high - look))
        for (topic, number), (low, high) in partitions.items()
        if high > low
    ]
    consumer.assign(starts)
    found = list[FoundRecord]()
    while open_partitions:
        for message in consumer.consume(500, min(0.1, _left(end))):
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            found.append(_found(message))
        for place in consumer.position([TopicPartition(*each) for each in open_partitions]):
            if place.offset >= open_partitions[place.topic, place.partition]:
                del open_partitions[place.topic, place.partition]
    return found


def _found(message: Message) -> FoundRecord:
    kind, moment = message.timestamp()
    told: Any = message.headers()  # typed for what producers take
    return FoundRecord(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        0.0 if kind == TIMESTAMP_NOT_AVAILABLE else moment / 1000,
        message.key(),
        message.value(),
        tuple(told or ()),
    )


def _left(end: float) -> float:
    """Returns the seconds until a moment of `monotonic`. Raises TimeoutError behind it."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
