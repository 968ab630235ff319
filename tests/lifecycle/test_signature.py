"""What a model says of its tensors: read, bounded, and compared one by one."""

from __future__ import annotations

import json

import pytest

from bailie.lifecycle.signature import (
    LONGEST_NAME,
    MOST_BYTES,
    MOST_TENSORS,
    Signature,
    TensorMetadata,
    bounded,
    read_signature,
    tensor_name,
)


def tensor(name="x", datatype="FP32", shape=(-1, 4)):
    return TensorMetadata(name, datatype, shape)


def test_the_metadata_of_a_server():
    told = {
        "name": "iris_1",
        "platform": "",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4], "parameters": {"content_type": "np"}}],
        "outputs": [],
    }
    assert read_signature(json.dumps(told).encode()) == Signature((tensor(),))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"inputs": null}',
        b'{"inputs": [1]}',
        b'{"inputs": [{"name": "x"}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1.5]}]}',
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": 4}]}',
        b"\xff",
        b'{"inputs":' + b"[" * 100_000,
        b'{"a": "' + b"x" * MOST_BYTES + b'"}',
    ],
)
def test_metadata_that_cannot_be_read_are_none(body):
    assert read_signature(body) is None


@pytest.mark.parametrize(
    "side",
    [
        (tensor(),) * (MOST_TENSORS + 1),
        (tensor(name="x" * (LONGEST_NAME + 1)),),
        (tensor(datatype="x" * 1000),),
        (tensor(shape=(1,) * 1000),),
        (tensor(shape=(2**63,)),),
        (tensor(shape=(-(2**70),)),),
    ],
)
def test_a_signature_beyond_the_bounds_is_not_kept(side):
    assert bounded(Signature(inputs=side)) is None
    assert bounded(Signature((tensor(),), side)) is None


def test_a_signature_without_tensors_is_not_kept():
    assert bounded(None) is bounded(Signature()) is None
    kept = Signature((tensor(),) * MOST_TENSORS)
    assert bounded(kept) is kept


@pytest.mark.parametrize(
    ("one", "other", "fit"),
    [
        (tensor(), tensor(name="y"), True),
        (tensor(datatype="fp32"), tensor(), True),
        (tensor(datatype="FP64"), tensor(), False),
        (tensor(shape=(-1, 4)), tensor(shape=(8, -1)), True),
        (tensor(shape=(2, 4)), tensor(shape=(8, 4)), False),
        (tensor(shape=(4,)), tensor(shape=(1, 4)), False),
        (tensor(shape=()), tensor(shape=(1, 4)), True),
        (tensor(shape=()), tensor(datatype="BYTES"), False),
    ],
)
def test_data_of_one_tensor_as_data_of_another(one, other, fit):
    assert one.fits(other) is other.fits(one) is fit


def test_texts_of_strangers_are_made_fit_for_people():
    assert tensor(datatype="\x1b[1mFP32").form == "\\u001b[1mFP32[-1, 4]"
    assert tensor_name("a\nb") == '"a\\u000ab"'
    assert len(tensor_name("x" * 1000)) < 70
