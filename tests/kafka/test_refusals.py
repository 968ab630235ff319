"""Topics that the broker refuses: a sentence says so, and records of other topics wait a moment at most."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import KafkaError
from tests.kafka.workers import Worker, only
from tests.support.refusing_broker import refusing_broker
from tests.support.waiting import until_blocking

UNKNOWN, FORBIDDEN = KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED


@pytest.fixture(scope="module")
def refusing():
    with refusing_broker() as found:
        yield found


@pytest.fixture
def worker(refusing, space):
    """A gateway's thread that reads two topics, before the test refuses something."""
    topics = [f"{space}.{name}.{side}" for name in ("good", "bad") for side in ("inputs", "outputs")]
    refusing.make(*topics, f"{space}.errors")
    found = Worker(refusing, space)
    found.consumer.follow(only(topics[0], topics[2]))
    yield found
    found.consumer.stop()
    found.thread.join(30)
    assert not found.thread.is_alive()


def answered(refusing, space, number):
    """Asks in the good topic, and waits for the answer, which is the topic's so-many-th."""
    refusing.write(f"{space}.good.inputs", b"asked")
    refusing.read(f"{space}.good.outputs", count=number, isolation="read_uncommitted")


@pytest.mark.parametrize("code", [UNKNOWN, FORBIDDEN])
def test_answers_that_are_refused_hold_no_others_up(refusing, space, worker, code):
    refusing.refuse(f"{space}.bad.outputs", code)
    worker.thread.start()
    answered(refusing, space, 1)
    refusing.write(f"{space}.bad.inputs", b"refused")
    until_blocking(lambda: f"{space}.bad.outputs" in worker.consumer.trouble)
    begun = time.monotonic()
    for number in range(2, 5):
        answered(refusing, space, number)
    assert time.monotonic() - begun < 20, "the library would try such a topic for 30 s each time"
    assert worker.consumer.trouble
    refusing.refuse(f"{space}.bad.outputs", 0)
    refusing.read(f"{space}.bad.outputs", count=1, isolation="read_uncommitted")
    until_blocking(lambda: not worker.consumer.trouble)


def test_a_topic_that_may_not_be_read_is_told_and_others_are_read(refusing, space, worker):
    refusing.refuse(f"{space}.bad.inputs", FORBIDDEN)
    worker.thread.start()
    answered(refusing, space, 1)
    until_blocking(lambda: f"{space}.bad.inputs" in worker.consumer.trouble)
    assert "authorization failed" in worker.consumer.trouble
    answered(refusing, space, 2)


def test_a_topic_that_is_read_again_is_no_trouble_any_more(refusing, space, worker):
    worker.consumer.follow(only(f"{space}.good.inputs"))
    worker.thread.start()
    answered(refusing, space, 1)
    refusing.refuse_next_fetch(FORBIDDEN)
    until_blocking(lambda: "authorization failed" in worker.consumer.trouble)
    answered(refusing, space, 2)
    until_blocking(lambda: not worker.consumer.trouble)


def test_a_topic_that_is_not_there_is_no_trouble(refusing, space, worker):
    refusing.refuse(f"{space}.bad.inputs", UNKNOWN)
    worker.thread.start()
    answered(refusing, space, 1)
    assert worker.consumer.trouble == ""
