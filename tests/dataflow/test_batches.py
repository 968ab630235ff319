from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailie.dataflow import Parcel, TensorHandle
from bailie.dataflow.batches import MOST_BATCHES, BatchStore
from bailie.dataflow.events import BatchCompleted, BatchTook, FailCode, StepFailed


def rows(count, name="x", datatype="FP32", row=(4,), payload="data"):
    return Parcel((TensorHandle(name, datatype, (count, *row), payload),), meta=f"request of {count}")


def test_a_full_batch_has_the_rows_of_all_and_the_id_of_the_last():
    store = BatchStore(5)
    assert store.add("a", 1, rows(2, payload="first")).event == BatchTook("a", 1)
    assert store.add("a", 1, rows(3, payload="second")).event == BatchCompleted(
        "a",
        1,
        Parcel((TensorHandle("x", "FP32", (5, 4), ("first", "second")),), meta="request of 3"),
        shared=True,
    )
    assert store.forms == []


def test_a_batch_of_one_request_is_not_shared():
    event = BatchStore(2).add("a", 1, rows(2)).event
    assert isinstance(event, BatchCompleted)
    assert not event.shared


def test_a_batch_of_requests_without_rows_becomes_full_all_the_same():
    store = BatchStore(3)
    found = [store.add("a", 1, rows(0)).event for _ in range(3)]
    assert [type(each) for each in found] == [BatchTook, BatchTook, BatchCompleted]


def test_tensors_come_in_the_order_of_the_first_request():
    x, y, z = (rows(1, name).tensors[0] for name in "xyz")
    store = BatchStore(2)
    store.add("a", 1, Parcel((z, x, y)))
    found = store.add("a", 1, Parcel((y, z, x))).event
    assert [each.name for each in found.parcel.tensors] == ["z", "x", "y"]


OTHERS = {
    "another name": (rows(1, "y"), ()),
    "one more": (Parcel((*rows(1).tensors, *rows(1, "y").tensors)), ()),
    "another datatype": (rows(1, datatype="INT8"), ()),
    "another row": (rows(1, row=(4, 2)), ()),
    "another encoding": (rows(1), ("binary",)),
}


@pytest.mark.parametrize(("parcel", "encodings"), OTHERS.values(), ids=OTHERS)
def test_a_request_of_another_form_opens_another_batch(parcel, encodings):
    store = BatchStore(2)
    assert store.add("a", 1, rows(1)).event == BatchTook("a", 1)
    assert store.add("a", 1, parcel, encodings).event == BatchTook("a", 1)
    assert isinstance(store.add("a", 1, rows(1)).event, BatchCompleted)
    assert isinstance(store.add("a", 1, parcel, encodings).event, BatchCompleted)
    assert store.forms == []


MISFITS = {
    "no dimension": (
        Parcel((TensorHandle("x", "FP32"),)),
        'tensor "x" has no batch dimension: its shape is empty',
    ),
    "one name twice": (
        Parcel(rows(1).tensors * 2),
        "two tensors have one name, and a batch joins tensors by their names",
    ),
    "other rows": (
        Parcel((*rows(1).tensors, *rows(2, "y").tensors)),
        'tensor "y" has 2 rows and tensor "x" 1, and a batch has as many of each tensor',
    ),
}


@pytest.mark.parametrize(("parcel", "words"), MISFITS.values(), ids=MISFITS)
def test_tensors_that_no_batch_can_hold_fail_their_request_alone(parcel, words):
    store = BatchStore(3)
    store.add("a", 1, rows(2))
    assert store.add("a", 1, parcel).event == StepFailed("a", 1, FailCode.STEP_ERROR, words)
    assert isinstance(store.add("a", 1, rows(1)).event, BatchCompleted)


def test_a_caller_who_changes_the_form_with_each_request_ends_no_batch_that_others_share():
    store = BatchStore(100)
    for _ in range(2):
        shared = store.add("a", 1, rows(1)).form
    odd = (rows(1, row=(number, number)) for number in range(10 * MOST_BATCHES))
    given_up = [store.add("a", 1, each).given_up for each in odd]
    assert shared not in given_up
    assert shared in store.forms
    assert given_up[:MOST_BATCHES] == [None] * MOST_BATCHES
    assert given_up[MOST_BATCHES][0][2] == (0, 0)  # the oldest first
    assert len(store.forms) == MOST_BATCHES + 1


def test_the_batch_that_nobody_has_come_to_for_the_longest_time_is_given_up():
    store = BatchStore(100)
    for number in (*range(MOST_BATCHES), *range(MOST_BATCHES), 0):
        store.add("a", 1, rows(1, row=(number,)))
    store.add("a", 1, rows(1, row=(99,)))
    assert store.add("a", 1, rows(1, row=(99,))).given_up[0][2] == (1,)


def test_a_batch_that_is_dropped_is_forgotten():
    store = BatchStore(2)
    form = store.add("a", 1, rows(1)).form
    store.drop(form)
    store.drop(form)
    assert store.forms == []
    assert store.add("a", 1, rows(1)).event == BatchTook("a", 1)


REQUESTS = st.tuples(st.integers(0, 40), st.integers(0, 4))
"""The number of a form, and rows."""


@settings(max_examples=100)
@given(st.integers(1, 12), st.lists(REQUESTS, max_size=120))
def test_every_request_is_in_one_batch_of_its_form_and_there_are_few_batches(size, asked):
    """Nothing is lost but with a batch that is given up, and nothing comes twice."""
    store, waiting = BatchStore(size), {}
    for number, (width, count) in enumerate(asked):
        event, form, given_up = store.add("a", 1, rows(count, row=(width,), payload=number))
        requests = [*waiting.pop(form, []), (number, max(1, count))]
        if given_up is not None:
            del waiting[given_up]
        full = sum(rows for _, rows in requests) >= size
        assert isinstance(event, BatchCompleted) == full
        if full:
            (tensor,) = event.parcel.tensors
            assert tensor.payload == tuple(each for each, _ in requests)
            assert event.shared == (len(requests) > 1)
        else:
            waiting[form] = requests
        assert set(store.forms) == waiting.keys()
        joined = Counter(len(each) > 1 for each in waiting.values())
        assert max(joined.values(), default=0) <= MOST_BATCHES
    for form, requests in waiting.items():
        (tensor,) = store.flush("a", form).parcel.tensors
        assert tensor.payload == tuple(each for each, _ in requests)
    assert store.forms == []
