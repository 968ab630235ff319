from __future__ import annotations

import pytest
from confluent_kafka import Consumer, KafkaException, Producer

from bailie.kafka.inspection import last_records


@pytest.fixture
def consumer(kafka):
    found = Consumer(kafka.client(group_id="people", enable_auto_commit=False))
    yield found
    found.close()


def anything(_):
    return True


def values(found):
    return [each.value.decode() for each in found]


def test_the_last_records_of_each_topic_are_read(kafka, space, consumer):
    one, two = f"{space}.one", f"{space}.two"
    kafka.make(one, two, partitions=2)
    kafka.write(one, *[(b"k", b"a%d" % number, 1) for number in range(10)], headers=[("h", b"1")])
    kafka.write(two, b"b")
    found = last_records(consumer, [one, two, f"{space}.missing"], most=3, wanted=anything, seconds=10)
    assert sorted(values(found)) == ["a7", "a8", "a9", "b"]
    assert found[0].headers == (("h", b"1"),)
    assert found[0].key == b"k"
    assert found[0].at > 1e9
    assert consumer.list_topics(timeout=5).topics.keys() >= {one, two}
    assert f"{space}.missing" not in consumer.list_topics(timeout=5).topics


def test_records_of_other_requests_are_passed_over(kafka, space, consumer):
    kafka.make(space)
    kafka.write(space, (b"mine", b"first"), *[(b"other", b"x")] * 300, (b"mine", b"second"), (b"other", b"x"))
    found = last_records(consumer, [space], most=2, wanted=lambda each: each.key == b"mine", seconds=10)
    assert values(found) == ["first", "second"]


def test_marks_of_transactions_are_no_records(kafka, space, consumer):
    kafka.make(space)
    producer = Producer(kafka.client(transactional_id=space))
    producer.init_transactions(10)
    for number in range(30):
        producer.begin_transaction()
        producer.produce(space, b"%d" % number)
        producer.commit_transaction(10)
    found = last_records(consumer, [space], most=2, wanted=anything, seconds=10)
    assert values(found) == ["28", "29"]


def test_an_empty_topic_has_none(kafka, space, consumer):
    kafka.make(space)
    assert last_records(consumer, [space], most=1, wanted=anything, seconds=10) == []


def test_a_broker_that_is_away_is_not_waited_for():
    away = Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": 0})
    with pytest.raises((KafkaException, TimeoutError)):
        last_records(away, ["t"], most=1, wanted=anything, seconds=0.3)
    away.close()
