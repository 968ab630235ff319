"""The client library (librdkafka, confluent-kafka): clients with their settings, and errors as words.

Used by `journal` and `topic_keeper`. Imported only where a broker is configured. Lines that the library logs
are our own debug lines, unless `debug` is set: while a broker is away it would say so every second.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from bailie.api.texts import shown
from bailie.kafka.consuming import (
    CONSUMER_DEFAULTS,
    RecordClients,
    consumer_properties,
    producer_properties,
)
from bailie.kafka.topics import DEFAULT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bailie.kafka.settings import KafkaSettings

log = structlog.get_logger(__name__)

_LONGEST_WORDS = 300
_PRODUCER = {
    "linger.ms": "10",
    "message.timeout.ms": "120000",
    "queue.buffering.max.kbytes": str(64 << 10),
    "queue.buffering.max.messages": "20000",
}
"""Bounds of the memory for records that the broker has not acknowledged, and a short wait for those that the
journal gives at once, so that they are sent together. Users may set others."""


class KafkaTrouble(Exception):  # noqa: N818 - a state of the world, as in bailie.kube.errors
    """The broker or the library refuses; the text is theirs."""


class _LibraryLog(logging.Handler):
    """Takes the library's lines into our own log."""

    def __init__(self, *, loud: bool) -> None:
        super().__init__()
        self._loud = loud

    def emit(self, record: logging.LogRecord) -> None:
        """Logs one line, at debug unless the library's debug contexts were asked for."""
        (log.info if self._loud else log.debug)("kafka client", line=record.getMessage())


def producer(settings: KafkaSettings, name: str) -> Producer:
    """Returns a producer that calls itself `name`. Raises KafkaTrouble for a property that is unknown."""
    made: Producer = _made(Producer, {**settings.common, **_PRODUCER, **settings.producer}, settings, name)
    return made


def record_clients(settings: KafkaSettings, group: str, member: str) -> RecordClients:
    """Returns how the clients are made that run records, of one member of a group.

    Raises KafkaTrouble for a property that the library does not know.
    """
    identity = _identity(settings, member)
    own, written = consumer_properties(group, identity), producer_properties(group, identity)
    read = {**settings.common, **CONSUMER_DEFAULTS, **settings.consumer, **own}
    write = {**settings.common, **settings.producer, **written}
    _made(Consumer, read, settings, f"{member}-records").close()
    _made(Producer, write, settings, f"{member}-outputs")
    return RecordClients(
        partial(_new, Consumer, read, settings, f"{member}-records"),
        partial(_new, Producer, write, settings, f"{member}-outputs"),
    )


def _identity(settings: KafkaSettings, member: str) -> str:
    """Returns the name of a member that no gateway with other topics has.

    Two clusters that share a broker may have a namespace of the same name, each with a prefix of topics, and
    the broker lets go of a member whose name another one takes.
    """
    prefix = settings.topic_prefix
    return member if prefix == DEFAULT_PREFIX else f"{prefix}.{member}"


def reader(settings: KafkaSettings, name: str) -> Consumer:
    """Returns a consumer that is in no group with others. Raises KafkaTrouble."""
    own = {"group.id": name, "enable.auto.commit": "false"}
    made: Consumer = _made(Consumer, {**settings.common, **settings.consumer, **own}, settings, name)
    return made


def admin_client(settings: KafkaSettings, name: str, heard: Callable[[KafkaError], None]) -> AdminClient:
    """Returns a client for topics, with the producers' properties. Raises KafkaTrouble.

    `heard` gets errors of connections, when the client is polled.
    """
    properties = {**settings.common, **settings.producer, "error_cb": heard}
    made: AdminClient = _made(AdminClient, properties, settings, name)
    return made


def words_of(error: object) -> str:
    """Returns the words of a KafkaError or of an exception with one, on one line."""
    if isinstance(error, KafkaException):
        error = error.args[0]
    text = error.str() if isinstance(error, KafkaError) else str(error)
    return shown(text or str(error), _LONGEST_WORDS)


def code_of(error: object) -> int:
    """Returns the code of a KafkaError, or of an exception with one; 0 for other exceptions."""
    if isinstance(error, KafkaException):
        error = error.args[0]
    return int(error.code()) if isinstance(error, KafkaError) else 0


def _made(kind: Any, properties: Mapping[str, object], settings: KafkaSettings, name: str) -> Any:
    try:
        return _new(kind, properties, settings, name)
    except (KafkaException, TypeError, ValueError) as error:
        raise KafkaTrouble(words_of(error)) from None
    except AttributeError:  # of the one property that the library wants as a mapping
        raise KafkaTrouble('give the properties of "default.topic.config" by themselves') from None


def _new(kind: Any, properties: Mapping[str, object], settings: KafkaSettings, name: str) -> Any:
    """Returns a client. Raises KafkaException."""
    logger = logging.Logger(f"kafka.{name}")  # noqa: LOG001 - of this client alone, and no child of the root
    logger.addHandler(_LibraryLog(loud=settings.debug))
    return kind({"client.id": name, **properties}, logger=logger)
