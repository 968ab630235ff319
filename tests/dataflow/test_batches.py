from __future__ import annotations

import pytest

from bailie.dataflow import Parcel, TensorHandle
from bailie.dataflow.batches import BatchStore
from bailie.dataflow.events import BatchCompleted, BatchTook, FailCode, StepFailed


def rows(count, name="x", datatype="FP32", row=(4,), payload="data"):
    return Parcel((TensorHandle(name, datatype, (count, *row), payload),), meta=f"request of {count}")


def test_a_full_batch_has_the_rows_of_all_and_the_id_of_the_last():
    store = BatchStore(5)
    assert store.add("a", 1, rows(2, payload="first")) == BatchTook("a", 1)
    assert store.add("a", 1, rows(3, payload="second")) == BatchCompleted(
        "a", 1, Parcel((TensorHandle("x", "FP32", (5, 4), ("first", "second")),), meta="request of 3")
    )
    assert store.flush("a") is None


def test_a_batch_of_requests_without_rows_becomes_full_all_the_same():
    store = BatchStore(3)
    found = [store.add("a", 1, rows(0)) for _ in range(3)]
    assert [type(each) for each in found] == [BatchTook, BatchTook, BatchCompleted]


MISFITS = {
    "no dimension": (
        Parcel((TensorHandle("x", "FP32"),)),
        'tensor "x" has no batch dimension: its shape is empty',
    ),
    "another name": (rows(1, "y"), "the tensors y are not those of the batch, x"),
    "one more": (
        Parcel((*rows(1).tensors, *rows(1, "y").tensors)),
        "the tensors x, y are not those of the batch, x",
    ),
    "one name twice": (
        Parcel(rows(1).tensors * 2),
        "two tensors have one name, and a batch joins tensors by their names",
    ),
    "another datatype": (
        rows(1, datatype="INT8"),
        'each row of tensor "x" is INT8[4], and in the batch FP32[4]',
    ),
    "another row": (
        rows(1, row=(4, 2)),
        'each row of tensor "x" is FP32[4, 2], and in the batch FP32[4]',
    ),
}


@pytest.mark.parametrize(("parcel", "words"), MISFITS.values(), ids=MISFITS)
def test_tensors_that_do_not_fit_fail_their_request_alone(parcel, words):
    store = BatchStore(3)
    store.add("a", 1, rows(2))
    assert store.add("a", 1, parcel) == StepFailed("a", 1, FailCode.STEP_ERROR, words)
    assert isinstance(store.add("a", 1, rows(1)), BatchCompleted)
