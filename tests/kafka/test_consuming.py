"""The thread that reads and commits, before a real broker: each record's outputs once, whatever happens."""

from __future__ import annotations

import threading

import pytest
from confluent_kafka import Consumer, Producer
from structlog.testing import capture_logs
from tests.kafka.workers import Worker, only, working
from tests.support.waiting import until_blocking

from bailie.kafka import headers
from bailie.kafka.consuming import (
    FollowedTopics,
    RecordClients,
    RecordConsumer,
    consumer_properties,
    producer_properties,
)


def values(messages):
    return [each.value().decode() for each in messages]


@pytest.fixture
def topics(kafka, space):
    kafka.make(f"{space}.inputs", f"{space}.outputs", f"{space}.errors", partitions=2)
    return space


def test_outputs_and_offsets_are_committed_together(kafka, topics):
    inputs, outputs = f"{topics}.inputs", f"{topics}.outputs"
    kafka.write(inputs, *[(b"k%d" % number, b"v%d" % number, number % 2) for number in range(200)])
    with working(kafka, topics):
        found = kafka.read(outputs, count=200)
    assert sorted(values(found)) == sorted(f"v{number}" for number in range(200))
    assert all(each.key() == each.value().replace(b"v", b"k") for each in found)
    assert all(int(each.value()[1:]) % 2 == each.partition() for each in found)
    assert {tuple(each.headers()) for each in found} == {(("x-of", b"1"),)}
    with working(kafka, topics) as worker:  # begins behind them
        kafka.write(inputs, b"more")
        assert len(kafka.read(outputs, count=201)) == 201
    assert values_of(worker) == ["more"]


def values_of(worker):
    return [read.record.value.decode() for read in worker.given]


def test_nothing_is_committed_before_the_records_in_front(kafka, topics):
    kafka.write(f"{topics}.inputs", b"first", b"second")
    with working(kafka, topics) as worker:
        worker.held = True
        until_blocking(lambda: len(worker.given) == 2)
        worker.end(worker.given[1])
        kafka.write(f"{topics}.inputs", (b"k", b"elsewhere", 1))
        until_blocking(lambda: len(worker.given) == 3)
        worker.end(worker.given[2])
        assert values(kafka.read(f"{topics}.outputs", count=1)) == ["elsewhere"]
        worker.end(worker.given[0])
        assert sorted(values(kafka.read(f"{topics}.outputs", count=3))) == ["elsewhere", "first", "second"]


def test_records_that_did_not_end_run_again_in_the_next_process(kafka, topics):
    kafka.write(f"{topics}.inputs", *[b"v%d" % number for number in range(10)])
    ended = Worker(kafka, topics)
    ended.held = True
    ended.consumer.follow(only(f"{topics}.inputs"))
    ended.thread.start()
    until_blocking(lambda: len(ended.given) == 10)
    for read in ended.given[:4]:
        ended.end(read)
    assert len(kafka.read(f"{topics}.outputs", count=4)) == 4
    # As after a kill: the next process has the same names, and the first one is fenced off.
    with working(kafka, topics) as worker:
        assert sorted(values(kafka.read(f"{topics}.outputs", count=10))) == [f"v{n}" for n in range(10)]
        assert values_of(worker) == [f"v{number}" for number in range(4, 10)]
        for read in ended.given:
            ended.end(read)
        ended.consumer.stop()
        ended.thread.join(30)
    assert len(kafka.read(f"{topics}.outputs")) == 10


def test_records_of_requests_that_have_run_are_not_given(kafka, topics):
    kafka.write(f"{topics}.inputs", b"ran", headers=[(headers.RAN, b"gateway-1")])
    kafka.write(f"{topics}.inputs", b"runs")
    with working(kafka, topics) as worker:
        assert values(kafka.read(f"{topics}.outputs", count=1)) == ["runs"]
    assert values_of(worker) == ["runs"]
    with working(kafka, topics) as worker:
        kafka.write(f"{topics}.inputs", b"next")
        assert values(kafka.read(f"{topics}.outputs", count=2)) == ["runs", "next"]
    assert values_of(worker) == ["next"]


def test_data_that_is_too_large_holds_up_no_record(kafka, topics):
    large = 9 << 20

    def run(record):
        return b"x" * large if record.value == b"large" else record.value

    kafka.write(f"{topics}.inputs", b"small", b"large", b"more")
    with working(kafka, topics, run=run):
        found = {each.value(): dict(each.headers()) for each in kafka.read(f"{topics}.outputs", count=3)}
    (words,) = found.keys() - {b"small", b"more"}
    assert b"the answer has 9437184 bytes" in words
    assert found[words][headers.CUT] == b"9437184"
    assert headers.FAILED in found[words]
    assert values(kafka.read(f"{topics}.errors")) == [words.decode()]


def test_a_topic_without_the_partition_has_the_records_all_the_same(kafka, space):
    kafka.make(f"{space}.inputs", partitions=3)
    kafka.make(f"{space}.outputs", f"{space}.errors", partitions=1)
    kafka.write(f"{space}.inputs", (b"k", b"v", 2))
    with working(kafka, space):
        assert values(kafka.read(f"{space}.outputs", count=1)) == ["v"]


def test_data_for_a_topic_that_is_refused_is_left_out_and_answers_wait(kafka, topics):
    class Refused(Worker):
        def outputs(self, record):
            (answer,) = super().outputs(record)
            step = answer._replace(topic="no topic", essential=False)
            return [step, answer._replace(topic="no topic") if record.value == b"waits" else answer]

    kafka.write(f"{topics}.inputs", b"first", b"waits", b"behind")
    worker = Refused(kafka, topics)
    worker.consumer.follow(only(f"{topics}.inputs"))
    worker.thread.start()
    try:
        until_blocking(lambda: len(worker.given) == 3)
        until_blocking(lambda: worker.consumer.trouble)
        assert "no topic" in worker.consumer.trouble
        assert kafka.read(f"{topics}.outputs") == []
        kafka.write(f"{topics}.inputs", (b"k", b"elsewhere", 1))
        assert values(kafka.read(f"{topics}.outputs", count=1)) == ["elsewhere"]
        assert "no topic" in worker.consumer.trouble
        (waiting,) = [read for read in worker.given if read.record.value == b"waits"]
        waiting.outputs = (waiting.outputs[0], waiting.outputs[1]._replace(topic=f"{topics}.outputs"))
        found = values(kafka.read(f"{topics}.outputs", count=4))
        assert [each for each in found if each != "elsewhere"] == ["first", "waits", "behind"]
        assert len(worker.given) == 4, "nothing runs again"
        until_blocking(lambda: not worker.consumer.trouble)
    finally:
        worker.consumer.stop()
        worker.thread.join(20)


def test_reading_pauses_while_many_records_are_open(kafka, topics):
    kafka.write(f"{topics}.inputs", *[b"%d" % number for number in range(1_500)])
    with working(kafka, topics) as worker:
        worker.held = True
        until_blocking(lambda: len(worker.given) >= 32)
        assert len(worker.given) < 200
        worker.held = False
        for read in tuple(worker.given):
            worker.end(read)
        assert len(kafka.read(f"{topics}.outputs", count=1_500)) == 1_500
    assert values_of(worker) == [f"{number}" for number in range(1_500)]


def test_a_topic_that_stands_still_leaves_room_to_others(kafka, topics):
    kafka.make(f"{topics}.slow.inputs", f"{topics}.slow.outputs")
    kafka.write(f"{topics}.slow.inputs", *[b"%d" % number for number in range(1_500)])
    with working(kafka, topics) as worker:
        worker.held = True
        worker.consumer.follow(only(f"{topics}.inputs", f"{topics}.slow.inputs"))
        until_blocking(lambda: len(worker.given) >= 32)
        slow = tuple(worker.given)
        worker.held = False
        kafka.write(f"{topics}.inputs", *[b"other%d" % number for number in range(1_500)])
        assert len(kafka.read(f"{topics}.outputs", count=1_500)) == 1_500
        for read in slow:
            worker.end(read)
        assert len(kafka.read(f"{topics}.slow.outputs", count=1_500)) == 1_500


def test_a_topic_that_is_followed_no_more_keeps_its_records(kafka, topics):
    """As those of a Model that is gone: they are read when there is a Model of the name again."""
    gone, here = f"{topics}.gone.inputs", f"{topics}.here.inputs"
    kafka.make(gone, here, gone.replace("inputs", "outputs"), here.replace("inputs", "outputs"))
    subscription = (rf"^{topics}\..+\.inputs$",)
    kafka.write(gone, *[b"old%d" % number for number in range(5)])
    worker = Worker(kafka, topics)
    worker.consumer.follow(FollowedTopics(subscription, frozenset({here})))
    worker.thread.start()
    try:
        kafka.write(here, b"first")
        kafka.read(here.replace("inputs", "outputs"), count=1)
        assert values_of(worker) == ["first"]
        worker.consumer.follow(FollowedTopics(subscription, frozenset({here, gone})))
        kafka.read(gone.replace("inputs", "outputs"), count=5)
        worker.consumer.follow(FollowedTopics(subscription, frozenset({here})))
        kafka.write(here, b"second")
        kafka.read(here.replace("inputs", "outputs"), count=2)
        kafka.write(gone, b"later")
        kafka.write(here, b"third")
        kafka.read(here.replace("inputs", "outputs"), count=3)
        assert "later" not in values_of(worker)
        worker.consumer.follow(FollowedTopics(subscription, frozenset({gone})))
        kafka.read(gone.replace("inputs", "outputs"), count=6)
    finally:
        worker.consumer.stop()
        worker.thread.join(20)


def test_a_topic_that_was_paused_and_goes_and_comes_back_is_read(kafka, topics):
    """The client library keeps a partition paused that is taken and given again."""
    here, back = f"{topics}.inputs", f"{topics}.back.inputs"
    kafka.make(back, back.replace("inputs", "outputs"))
    kafka.write(back, b"waits")
    worker = Worker(kafka, topics)
    worker.consumer.follow(FollowedTopics((here, back), frozenset({here})))
    worker.thread.start()
    try:
        kafka.write(here, b"first")
        kafka.read(here.replace("inputs", "outputs"), count=1, isolation="read_uncommitted")
        with capture_logs() as lines:
            worker.consumer.follow(only(here))
            until_blocking(lambda: "partitions given" in {line["event"] for line in lines})
        worker.consumer.follow(only(here, back))
        until_blocking(lambda: "waits" in values_of(worker))
    finally:
        worker.consumer.stop()
        worker.thread.join(20)


def test_a_topic_that_is_deleted_under_way_holds_no_other_up(kafka, topics):
    kafka.make(f"{topics}.gone.inputs", f"{topics}.gone.outputs")
    kafka.write(f"{topics}.gone.inputs", *[b"%d" % number for number in range(20)])
    with working(kafka, topics) as worker:
        worker.held = True
        worker.consumer.follow(only(f"{topics}.inputs", f"{topics}.gone.inputs"))
        until_blocking(lambda: len(worker.given) == 20)
        kafka.delete(f"{topics}.gone.inputs", f"{topics}.gone.outputs")
        worker.held = False
        for read in tuple(worker.given):
            worker.end(read)
        kafka.write(f"{topics}.inputs", b"here")
        assert values(kafka.read(f"{topics}.outputs", count=1)) == ["here"]


class MovingConsumer(Consumer):
    """A consumer whose partitions go, and come back, in the call behind the one with its first record."""

    def subscribe(self, topics, on_assign, on_revoke, on_lost):
        self._assigned, self._lost, self._is_due = on_assign, on_lost, None
        super().subscribe(topics, on_assign=on_assign, on_revoke=on_revoke, on_lost=on_lost)

    def poll(self, timeout):
        self._move()
        message = super().poll(timeout)
        if message is not None and message.error() is None and self._is_due is None:
            self._is_due = True
        return message

    def consume(self, number, timeout):
        self._move()
        return super().consume(number, timeout)

    def _move(self):
        if self._is_due:
            self._is_due = False
            partitions = self.assignment()
            self._lost(self, partitions)
            self.incremental_unassign(partitions)
            self._assigned(self, self.committed(partitions, 10))


def test_a_record_is_answered_once_whose_partition_goes_and_comes_back_just_then(kafka, topics):
    """As after a restart of the broker, which has forgotten the members of the group."""
    kafka.write(f"{topics}.inputs", b"first")
    with working(kafka, topics, consumer=MovingConsumer) as worker:
        until_blocking(lambda: len(worker.given) == 2)
        kafka.write(f"{topics}.inputs", b"last")
        found = kafka.read(f"{topics}.outputs", count=2)
        until_blocking(lambda: len(worker.given) == 3)
    assert values_of(worker) == ["first", "first", "last"]
    assert values(found) == values(kafka.read(f"{topics}.outputs")) == ["first", "last"]


def test_a_broker_that_comes_back_has_lost_nothing(kafka, topics):
    kafka.write(f"{topics}.inputs", *[b"a%d" % number for number in range(50)])
    with working(kafka, topics):
        kafka.read(f"{topics}.outputs", count=50)
        kafka.stop()
        kafka.start()
        kafka.write(f"{topics}.inputs", *[b"b%d" % number for number in range(50)])
        found = values(kafka.read(f"{topics}.outputs", count=100, seconds=40))
    assert sorted(found) == sorted(f"{side}{number}" for side in "ab" for number in range(50))


def test_settings_of_users_for_the_journal_do_not_forbid_transactions():
    given = {"acks": "1", "retries": "0", "message.timeout.ms": "300000", "max.in.flight": "50"}
    Producer(
        {"bootstrap.servers": "127.0.0.1:1", "log_level": 0, **given, **producer_properties("g", "pod-0")}
    )


def test_the_thread_ends_soon_where_no_broker_answers(space):
    common, made = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, threading.Event()

    def producer():
        made.set()
        return Producer({**common, **producer_properties(space, "pod-0")})

    clients = RecordClients(lambda: Consumer({**common, **consumer_properties(space, "pod-0")}), producer)
    consumer = RecordConsumer(clients, "errors", lambda reads: None)
    consumer.follow(only("topic"))
    thread = threading.Thread(target=consumer.run, daemon=True)
    thread.start()
    assert made.wait(5)
    consumer.stop()
    thread.join(5)
    assert not thread.is_alive()
