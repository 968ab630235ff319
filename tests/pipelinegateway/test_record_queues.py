from __future__ import annotations

from bailie.kafka.progress import RecordProgress
from bailie.kafka.records import IncomingRecord
from bailie.pipelinegateway.record_queues import MOST, RecordQueue, WaitingRecord


def waiting(number=1, since=0.0):
    """Returns a queue with records that wait."""
    queue, progress = RecordQueue(), RecordProgress()
    progress.assign([("in", 0)])
    for at in range(number):
        queue.waiting.append(WaitingRecord(progress.take(IncomingRecord("in", 0, at, None, b"")), since))
    return queue


def test_records_run_one_at_a_time_until_there_was_an_answer():
    queue = waiting(2)
    assert queue.may_begin(0)
    queue.running = 1
    assert not queue.may_begin(0)
    queue.ended(answered=None)  # bytes that are no request say nothing of a model
    assert not queue.may_begin(0)
    queue.ended(answered=True)
    assert queue.may_begin(0)
    queue.running = MOST
    assert not queue.may_begin(0)
    queue.ended(answered=False)
    queue.running = 1
    assert not queue.may_begin(0)
    queue.ended(answered=True)
    assert queue.may_begin(0)
    queue.is_slow()
    assert not queue.may_begin(0)


def test_without_records_none_begins():
    assert not RecordQueue().may_begin(0)


def test_a_record_that_reached_nothing_is_the_next_one_after_a_moment():
    queue = waiting(2)
    first = queue.waiting.popleft()
    assert queue.may_repeat(first, 10, 60)
    queue.put_back(first, 10)
    assert queue.waiting[0] is first
    assert not queue.may_begin(10.4)
    assert queue.may_begin(10.5)


def test_all_records_that_wait_for_a_model_end_together():
    queue = waiting(100, since=5)
    assert queue.may_repeat(queue.waiting[0], 100, 60)
    assert queue.may_repeat(queue.waiting[0], 159, 60)
    assert not any(queue.may_repeat(each, 160, 60) for each in queue.waiting)
    later = queue.waiting[0]._replace(since=159)
    assert queue.may_repeat(later, 160, 60)


def test_an_answer_to_another_record_begins_the_time_anew():
    queue = waiting(1, since=0)
    assert queue.may_repeat(queue.waiting[0], 0, 60)
    queue.ended(answered=True)
    assert queue.may_repeat(queue.waiting[0], 70, 60)


def test_records_of_another_gateway_are_forgotten():
    queue = waiting(3)
    queue.waiting[1].read.live = False
    queue.drop_dead()
    assert [each.read.record.offset for each in queue.waiting] == [0, 2]
