"""Two processes that read as gateways do, one of which is killed: `takeover` of its partitions by the other.

Run as a process, `python -m tests.kafka.takeover PORT SPACE MEMBER`, it is such a member, until it is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer
from tests.kafka.workers import Worker, only
from tests.support.broker import Broker
from tests.support.waiting import until_blocking

PARTITIONS = 4
SESSION_SECONDS = 6
MOST_SECONDS = 60.0


def takeover(broker, space):
    """Returns the seconds from the kill of a member until the other has answered what came behind it.

    Also returns the values of all answers, and those of all records. An answer is a record's value behind
    the name of the member.
    """
    broker.make(f"{space}.inputs", f"{space}.outputs", f"{space}.errors", partitions=PARTITIONS)
    written = []

    def write():
        records = [(b"k", b"%d" % (len(written) + number), number) for number in range(PARTITIONS)]
        broker.write(f"{space}.inputs", *records)
        written.extend(value.decode() for _, value, _ in records)

    def answers():
        return [each.value().decode().split(" ") for each in broker.read(f"{space}.outputs")]

    def both_work():
        write()
        latest = {each.partition(): each.value().split()[0] for each in broker.read(f"{space}.outputs")}
        return len(latest) == PARTITIONS and len(set(latest.values())) == 2

    def all_answered():
        return len(answers()) >= len(written)

    with _member(broker, space, "gateway-0") as killed, _member(broker, space, "gateway-1"):
        until_blocking(both_work, seconds=MOST_SECONDS, pause=0.3)
        os.kill(killed.pid, signal.SIGKILL)
        begun = time.monotonic()
        write()
        until_blocking(all_answered, seconds=MOST_SECONDS, pause=0.3)
        return time.monotonic() - begun, [value for _, value in answers()], written


@contextmanager
def _member(broker, space, name):
    command = [sys.executable, "-m", __spec__.name, str(broker.port), space, name]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _leaving(properties):
    """Returns a consumer that is no static member: its partitions go to others when its session is over."""
    session = {"session.timeout.ms": str(1000 * SESSION_SECONDS), "heartbeat.interval.ms": "1000"}
    kept = {name: value for name, value in properties.items() if name != "group.instance.id"}
    return Consumer(kept | session)


def main(port, space, name):
    """Runs records until the process is killed."""
    broker = Broker(Path(), int(port))
    worker = Worker(
        broker,
        space,
        member=name,
        run=lambda record: f"{name} {record.value.decode()}".encode(),
        consumer=_leaving,
    )
    worker.consumer.follow(only(f"{space}.inputs"))
    worker.consumer.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
