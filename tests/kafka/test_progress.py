from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailie.kafka.progress import RecordProgress
from bailie.kafka.records import IncomingRecord, OutgoingRecord

OUT = OutgoingRecord("out", 0, None, b"value")


def incoming(offset, partition=0, value=b""):
    return IncomingRecord("in", partition, offset, None, value)


def reading(*offsets, partition=0):
    """Returns a progress that has read records of one partition, and these records."""
    progress = RecordProgress()
    progress.assign([("in", partition)])
    return progress, [progress.take(incoming(offset, partition)) for offset in offsets]


def test_records_go_in_their_order_whatever_ends_first():
    progress, (first, second, third) = reading(4, 5, 9)
    third.outputs = (OUT,)
    second.outputs = (OUT, OUT)
    assert progress.batch(64) == ((), {})
    first.outputs = (OUT,)
    batch = progress.batch(64)
    assert batch.ended == (first, second, third)
    assert batch.offsets == {("in", 0): 10}
    assert batch.outputs == [OUT] * 4
    progress.settle(batch)
    assert len(progress) == 0


def test_a_batch_that_was_not_committed_comes_again():
    progress, (read,) = reading(0)
    read.outputs = (OUT,)
    assert progress.batch(64) == progress.batch(64)
    assert len(progress) == 1


def test_a_batch_has_so_many_records_with_outputs_and_any_number_of_others():
    progress, reads = reading(*range(10))
    for read in reads:
        read.outputs = (OUT,) if read.record.offset % 2 else ()
    batch = progress.batch(2)
    assert batch.run == 2
    assert batch.offsets == {("in", 0): 5}


def test_partitions_do_not_wait_for_each_other_and_take_turns():
    progress, (slow,) = reading(0)
    progress.assign([("in", 1), ("in", 2)])
    others = [progress.take(incoming(0, number)) for number in (1, 2)]
    for each in others:
        each.outputs = (OUT,)
    assert slow.outputs is None
    batch = progress.batch(1)
    assert batch.offsets == {("in", 1): 1}
    progress.settle(batch)
    progress.take(incoming(1, 1)).outputs = (OUT,)
    assert progress.batch(1).offsets == {("in", 2): 1}


def test_partitions_may_be_left_out_and_come_later():
    progress, (refused,) = reading(0)
    progress.assign([("in", 1)])
    other = progress.take(incoming(0, 1))
    refused.outputs = other.outputs = (OUT,)
    batch = progress.batch(64, {("in", 0)})
    assert batch.ended == (other,)
    progress.settle(batch)
    assert progress.batch(64, {("in", 0)}) == ((), {})
    assert progress.batch(64).ended == (refused,)


def test_a_partition_that_goes_is_forgotten():
    progress, (read,) = reading(0)
    read.outputs = (OUT,)
    progress.revoke([("in", 0), ("in", 7)])
    assert not read.live
    assert progress.batch(64) == ((), {})
    assert progress.take(incoming(1)) is None
    progress.assign([("in", 0)])
    again = progress.take(incoming(0))
    assert again.live
    progress.revoke_all()
    assert not again.live
    assert len(progress) == 0


def test_an_assignment_that_is_told_again_forgets_nothing():
    progress, (read,) = reading(0)
    progress.assign([("in", 0), ("in", 1)])
    assert len(progress) == 1
    assert read.live


def test_the_memory_counts_what_came_and_what_follows():
    progress = RecordProgress()
    progress.assign([("in", 0)])
    read = progress.take(incoming(0, value=b"12345"))
    assert read.size == incoming(0, value=b"12345").size
    read.outputs = (OUT,)
    assert read.size == incoming(0, value=b"12345").size + OUT.size
    read.outputs = ()
    assert read.size == incoming(0, value=b"12345").size


def of_topic(progress, topic, number, value=b""):
    """Reads so many records of a topic."""
    progress.assign([(topic, 0)])
    return [progress.take(IncomingRecord(topic, 0, at, None, value)) for at in range(number)]


LARGE = 1 << 30


def test_a_topic_whose_records_do_not_end_has_a_few_of_them_open():
    progress = RecordProgress()
    of_topic(progress, "slow", 31)
    progress.assign([("other", 0)])
    assert progress.crowded(LARGE, ()) == set()
    progress.take(IncomingRecord("slow", 0, 31, None, b""))
    assert progress.crowded(LARGE, ()) == {"slow"}


def test_a_topic_whose_records_end_has_more_of_them_open():
    progress = RecordProgress()
    reads = of_topic(progress, "quick", 499)
    reads[7].outputs = (OUT,)
    assert progress.crowded(LARGE, ()) == set()
    progress.look()
    assert progress.crowded(LARGE, ()) == set()
    progress.take(IncomingRecord("quick", 0, 499, None, b""))
    assert progress.crowded(LARGE, ()) == {"quick"}
    progress.look()  # none has ended since
    progress.settle(progress.batch(64))
    assert progress.crowded(LARGE, ()) == {"quick"}


def test_a_topic_that_is_paused_goes_on_with_half_as_much():
    progress = RecordProgress()
    of_topic(progress, "slow", 16)
    assert progress.crowded(LARGE, ()) == set()
    assert progress.crowded(LARGE, {"slow"}) == {"slow"}


def test_a_topic_has_a_part_of_all_bytes_at_most():
    progress = RecordProgress()
    (read,) = of_topic(progress, "in", 1, b"x" * 1_000)
    assert progress.crowded(64 * read.size + 64, ()) == set()
    assert progress.crowded(64 * read.size, ()) == {"in"}
    read.outputs = (OUT,)
    assert progress.crowded(8 * read.size + 8, ()) == set()
    assert progress.crowded(8 * read.size, ()) == {"in"}


def test_hundreds_of_topics_that_stand_still_leave_room_to_the_next():
    progress = RecordProgress()
    for number in range(1_000):
        of_topic(progress, f"slow{number}", 32)
    assert "quick" not in progress.crowded(64 << 20, ())
    assert len(progress.crowded(64 << 20, ())) == 1_000


def test_no_topic_is_read_where_all_have_as_much_as_may_be():
    progress = RecordProgress()
    reads = of_topic(progress, "slow", 10)
    progress.assign([("other", 0)])
    assert progress.crowded(sum(read.size for read in reads), ()) == {"slow", "other"}


def test_records_that_go_give_their_room_back():
    progress = RecordProgress()
    first, second = of_topic(progress, "in", 2, b"x" * 1_000)
    first.outputs = (OUT,) * 3
    assert len(progress) == 2
    progress.settle(progress.batch(64))
    assert len(progress) == 1
    assert progress.crowded(9 * second.size, ()) == set()
    progress.revoke_all()
    assert len(progress) == 0
    second.outputs = (OUT,) * 1_000  # a record of another gateway now
    (read,) = of_topic(progress, "in", 1)
    assert progress.crowded(65 * read.size, ()) == set()


def test_a_record_that_ends_behind_its_partition_takes_no_room():
    progress = RecordProgress()
    progress.assign([("in", 0), ("in", 1)])
    gone, here = progress.take(incoming(0)), progress.take(incoming(0, 1))
    progress.revoke([("in", 0)])
    gone.outputs = (OUT,) * 1_000
    assert gone.outputs
    assert progress.crowded(65 * here.size, ()) == set()


@given(st.data())
def test_every_record_is_committed_once_and_none_before_those_in_front(data):
    """Records of three partitions end, are committed and are read in any order."""
    progress, following, open_reads, committed = RecordProgress(), dict.fromkeys(range(3), 0), [], []
    progress.assign([("in", number) for number in following])
    for _ in range(data.draw(st.integers(1, 60))):
        match data.draw(st.sampled_from(["read", "end", "commit", "fail"])):
            case "read":
                number = data.draw(st.sampled_from(range(3)))
                open_reads.append(progress.take(incoming(following[number], number)))
                following[number] += 1
            case "end" if open_reads:
                read = open_reads.pop(data.draw(st.integers(0, len(open_reads) - 1)))
                read.outputs = data.draw(st.sampled_from([(), (OUT,)]))
            case "commit":
                batch = progress.batch(data.draw(st.integers(1, 4)))
                committed += [(read.record.partition, read.record.offset) for read in batch.ended]
                for (_, number), offset in batch.offsets.items():
                    assert offset == 1 + max(at for where, at in committed if where == number)
                progress.settle(batch)
            case "fail":
                progress.batch(2)
    for number in following:
        own = [at for where, at in committed if where == number]
        assert own == list(range(len(own)))
    assert len(progress) + len(committed) == sum(following.values())
