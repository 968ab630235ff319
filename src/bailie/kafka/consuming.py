"""The thread that reads records, hands them on, and commits what follows from them.

Run by `pipelinegateway`, beside its event loop, as the client library waits by blocking. The records of up to
MOST requests go into one transaction, or those of BEAT seconds; readers of committed records see each of them
once. After a failure of the broker all begins anew from the last committed offsets.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from bailie.kafka import headers
from bailie.kafka.lag import LAG
from bailie.kafka.progress import Partition, RecordProgress
from bailie.kafka.records import IncomingRecord
from bailie.kafka.writing import TransactionWriter
from bailie.lifecycle.words import GATEWAY_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confluent_kafka import Consumer, Message, Producer

    from bailie.kafka.progress import ReadRecord, RecordBatch

    GiveRecords = Callable[[list[ReadRecord]], None]
    """Takes records that are to run, in this thread; each gets its `outputs` when it has run."""

log = structlog.get_logger(__name__)

MOST = 64
BEAT = 0.02
_IDLE_SECONDS = 0.2
_SKIPPED_SECONDS = 1.0
"""How often offsets are committed where no record of a batch was to be run."""
_AGAIN_SECONDS = 1.0
_CALM_SECONDS = 5.0
"""After so long without trouble the trouble of the consumer before counts no more."""
_HELD_SECONDS = 2.0
"""How often a partition is tried again whose answers the broker refuses; others go on meanwhile."""
_END_SECONDS = 10.0
_SHOWN = 5
_MOST_BYTES = 64 << 20
"""Of records that were read and are not committed: beyond these no more are read."""
_LOOK_SECONDS = 5.0
"""How often is seen which topics get answers."""


class FollowedTopics(NamedTuple):
    """The topics whose records are read.

    `subscription` has names, and expressions that begin with `^`. The consumer has all topics that match, and
    reads those of `topics`. A topic that comes into `topics` is read at once, and a missing one is no error.
    """

    subscription: tuple[str, ...] = ()
    topics: frozenset[str] = frozenset()


class RecordClients(NamedTuple):
    """How clients are made, of one group and one transactional id. Both raise KafkaException."""

    consumer: Callable[[], Consumer]
    producer: Callable[[], Producer]


def consumer_properties(group: str, member: str) -> dict[str, str]:
    """Returns the properties of a consumer of records that are not for users to set."""
    return {
        "group.id": group,
        "group.instance.id": member,
        "partition.assignment.strategy": "cooperative-sticky",
        "isolation.level": "read_committed",
        "enable.auto.commit": "false",
        "enable.auto.offset.store": "false",
    }


CONSUMER_DEFAULTS = {
    "auto.offset.reset": "earliest",
    "session.timeout.ms": "10000",
    "topic.metadata.refresh.interval.ms": "10000",
    "fetch.wait.max.ms": "100",
    "receive.message.max.bytes": str(512 << 20),
    "queued.max.messages.kbytes": str(16 << 10),
}
"""Properties that users may set otherwise: no record is lost that came before the gateway, those of a gateway
that does not come back go to others soon, a new topic is seen soon, a topic that was paused is read soon, and
records that wait to run take little memory. A record above `receive.message.max.bytes` would stop all topics
of its broker; smaller ones get a sentence."""


def producer_properties(group: str, member: str) -> dict[str, str]:
    """Returns the properties of a producer of transactions that are not for users to set.

    With settings that people make for the journal, as `acks: 1`, the library would refuse transactions. A
    pod that starts again ends the transactions of its predecessor, which has the same id. Metadata is not
    recovered from the first brokers: after that, librdkafka 2.16 waits in a transaction for ever. A topic
    that does not exist holds a transaction up for a second, and not for 30.
    """
    return {
        "transactional.id": f"{group}.{member}",
        "enable.idempotence": "true",
        "acks": "all",
        "retries": "2147483647",
        "max.in.flight.requests.per.connection": "5",
        "message.timeout.ms": "30000",
        "transaction.timeout.ms": "60000",
        "topic.metadata.propagation.max.ms": "1000",
        "metadata.recovery.strategy": "none",
    }


class RecordConsumer:
    """Reads from topics until it is told to stop. `run` is the thread's; any thread may call the others."""

    def __init__(self, clients: RecordClients, errors_topic: str, give: GiveRecords) -> None:
        """Begins without topics."""
        self._clients, self._errors, self._give = clients, errors_topic, give
        self._stopped = threading.Event()
        self._followed = FollowedTopics()
        self.trouble = ""
        """Why no record is read or committed now; empty while all is well."""

    def follow(self, followed: FollowedTopics) -> None:
        """Reads from these topics from now on."""
        self._followed = followed

    def stop(self) -> None:
        """Reads no more, and ends when the records that were read are committed, or soon after."""
        self._stopped.set()

    def run(self) -> None:
        """Reads until `stop`."""
        while not self._stopped.is_set():
            if not self._followed.subscription:
                self._stopped.wait(_IDLE_SECONDS)
                continue
            try:
                self._serve()
            except KafkaException as error:
                self.trouble = error.args[0].str()
                log.warning("records wait for the broker", cause=self.trouble, again_in=_AGAIN_SECONDS)
                self._stopped.wait(_AGAIN_SECONDS)
            except Exception:
                # The edge of the thread: without this no record would be read until the process ends.
                self.trouble = GATEWAY_FAILED
                log.exception("records failed", again_in=_AGAIN_SECONDS)
                self._stopped.wait(_AGAIN_SECONDS)

    def _serve(self) -> None:
        writer = TransactionWriter(self._clients.producer(), self._errors)
        writer.begin(self._stopped)
        consumer = self._clients.consumer()
        session, calm = _Session(consumer, writer, self._give), time.monotonic() + _CALM_SECONDS
        try:
            while not self._stopped.is_set():
                session.turn(self._followed)
                if session.trouble or time.monotonic() > calm:
                    self.trouble = session.trouble
            session.finish(time.monotonic() + _END_SECONDS)
        finally:
            session.forget()
            consumer.close()


class _Session:
    """One consumer with its transactions, until one of both fails."""

    def __init__(self, consumer: Consumer, writer: TransactionWriter, give: GiveRecords) -> None:
        self._consumer, self._writer, self._give = consumer, writer, give
        self._progress = RecordProgress()
        self._followed = FollowedTopics()
        self._paused = frozenset[Partition]()
        self._committed = self._looked = 0.0
        self._held: dict[Partition, float] = {}
        """Until when partitions wait whose answers the broker refuses."""
        self._complaints: dict[str | None, str] = {}
        """The library's words, by topic; None for all topics."""
        self._left: set[str] = set()
        """The topics whose records nobody reads."""
        self._refusal = ""
        """Why outputs are not committed now; empty while they are."""

    @property
    def trouble(self) -> str:
        """Says why records are not read, or outputs not committed; empty while all is well."""
        return self._refusal or next(iter(self._complaints.values()), "")

    def turn(self, followed: FollowedTopics) -> None:
        """Reads, hands on, commits."""
        before, self._followed = self._followed, followed
        if followed.subscription != before.subscription:
            self._consumer.subscribe(
                list(followed.subscription),
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked = time.monotonic()
            self._progress.look()
        self._pause(self._idle())
        self._read(BEAT if len(self._progress) else _IDLE_SECONDS)
        self._commit(time.monotonic())
        LAG.look(self._consumer, followed.topics, len(self._progress), time.monotonic())

    def _idle(self) -> set[Partition]:
        """Returns the partitions that are not read now: of topics with enough records, or not followed."""
        crowded = self._progress.crowded(_MOST_BYTES, {topic for topic, _ in self._paused})
        partitions, followed = self._progress.partitions, self._followed.topics
        left = {each for each in partitions if each[0] not in followed}
        self._tell_of({topic for topic, _ in left})
        return left.union(each for each in partitions if each[0] in crowded)

    def _tell_of(self, left: set[str]) -> None:
        """Logs which topics are left unread, when that changes: a record for no Model gets no answer."""
        if left != self._left:
            self._left = left
            if left:
                log.info("topics of no model left unread", number=len(left), topics=sorted(left)[:_SHOWN])

    def finish(self, end: float) -> None:
        """Commits what has been read, as far as it ends before a moment of `monotonic`."""
        while len(self._progress) and time.monotonic() < end:
            self._pause(self._progress.partitions)
            self._read(BEAT)
            self._commit(time.monotonic(), at_once=True)

    def forget(self) -> None:
        """Lets go of all records: their outputs count no more."""
        self._progress.revoke_all()

    def _read(self, seconds: float) -> None:
        """Reads records that have come, or waits for the first, and hands them on.

        Partitions are taken away and given back within a call of the client, and are then read again from the
        last committed offset. So each record is taken in before the next call: a record that was kept aside
        would count as read after that, and run and be answered twice.
        """
        given: list[ReadRecord] = []
        for _ in range(MOST):
            message = self._consumer.poll(seconds)
            if message is None:
                break
            seconds = 0.0
            error = message.error()
            if error is not None:
                self._note(error, message.topic())
                continue
            self._complaints.pop(message.topic(), None)  # the topic is read again
            if (read := self._taken(message)) is not None:
                given.append(read)
        if given:
            self._give(given)

    def _taken(self, message: Message) -> ReadRecord | None:
        """Returns a record that is to be run; None for others."""
        told = _headers_of(message)
        record = IncomingRecord(
            message.topic() or "",
            message.partition() or 0,
            message.offset() or 0,
            message.key(),
            message.value(),
            headers.fit(told),
        )
        read = self._progress.take(record)
        if read is not None and headers.has_run(told):
            read.outputs = ()
            return None
        return read

    def _note(self, error: KafkaError, topic: str | None) -> None:
        """Keeps an error of a topic, and raises KafkaException for one that ends the consumer.

        A topic that is not there is no trouble: there is no request in it.
        """
        if error.fatal():
            raise KafkaException(error)
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            log.debug("topic not there", topic=topic, cause=error.str())
        elif self._complaints.get(topic) != error.str():
            self._complaints[topic] = error.str()
            log.warning("records cannot be read", topic=topic, cause=error.str())

    def _pause(self, partitions: Iterable[Partition]) -> None:
        """Pauses these partitions, and no others."""
        wanted = frozenset(partitions)
        if begun := wanted - self._paused:
            self._consumer.pause(_places(begun))
        if ended := (self._paused - wanted) & self._progress.partitions:
            self._consumer.resume(_places(ended))
        self._paused = wanted

    def _commit(self, now: float, *, at_once: bool = False) -> None:
        """Commits the first records that have ended, if they are many or the last commit is some time ago."""
        held = {partition for partition, until in self._held.items() if until > now}
        batch = self._progress.batch(MOST, held)
        outputs = batch.outputs
        wait = 0.0 if at_once or batch.run >= MOST else BEAT if batch.run else _SKIPPED_SECONDS
        if not batch.ended or now - self._committed < wait:
            return
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in batch.offsets.items()]
        written = self._writer.write(outputs, offsets, self._consumer.consumer_group_metadata())
        if written:
            self._progress.settle(batch)
            self._let_go(batch.offsets)
        else:
            self._hold(batch)
            if self._refusal != self._writer.trouble:
                self._refusal = self._writer.trouble
                log.warning("outputs wait for the broker", cause=self._refusal)
        goes_on = written or bool(self._writer.waiting)
        self._committed = time.monotonic() + (0.0 if goes_on else _AGAIN_SECONDS)

    def _hold(self, batch: RecordBatch) -> None:
        """Holds the partitions back for which the broker refuses an answer, so that all others go on."""
        until, waiting = time.monotonic() + _HELD_SECONDS, self._writer.waiting
        for read in batch.ended:
            if any(each.essential and each.topic in waiting for each in read.outputs or ()):
                self._held[read.record.topic, read.record.partition] = until

    def _let_go(self, partitions: Iterable[Partition]) -> None:
        """Holds partitions back no more, whose records are committed or another consumer's."""
        for each in partitions:
            self._held.pop(each, None)
        if not self._held:
            self._refusal = ""

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        log.info("partitions taken", partitions=_names(partitions))
        for topic in (None, *(each.topic for each in partitions)):
            self._complaints.pop(topic, None)
        self._progress.assign(_named(partitions))
        self._consumer.incremental_assign(partitions)
        # At once: the look that brings partitions may bring their first records, too.
        unread = [each for each in partitions if each.topic not in self._followed.topics]
        self._consumer.pause(unread)
        # The library keeps a partition paused that was paused here when it was taken away.
        self._consumer.resume([each for each in partitions if each.topic in self._followed.topics])
        self._paused = self._paused.difference(_named(partitions)).union(_named(unread))

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        log.info("partitions given", partitions=_names(partitions))
        try:
            self._commit(time.monotonic(), at_once=True)
        except KafkaException as error:
            log.info("records run elsewhere", cause=error.args[0].str())
        self._lost(_, partitions)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        lost = _named(partitions)
        self._progress.revoke(lost)
        self._let_go(lost)


def _headers_of(message: Message) -> list[tuple[str, bytes | None]]:
    """Returns the headers of a record; none where one has a name that is no text."""
    try:
        found: Any = message.headers()  # typed for what producers take
    except UnicodeDecodeError:
        return []
    return list(found or ())


def _places(partitions: Iterable[Partition]) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for topic, number in partitions]


def _named(places: list[TopicPartition]) -> list[Partition]:
    return [(each.topic, each.partition) for each in places]


def _names(partitions: list[TopicPartition]) -> list[str]:
    return [f"{each.topic}/{each.partition}" for each in partitions]
