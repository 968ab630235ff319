"""Arrays to tensors and back, without a server: whatever cannot be is a sentence."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some

from bailie.client.tensors import INPUT, array_of, inputs_of, packed
from bailie.inference.codec import unpacked


def test_an_array_has_a_name_and_its_shape():
    [tensor] = inputs_of(np.zeros((2, 3), "float16")).tensors
    assert (tensor.name, tensor.datatype, tensor.array.shape) == (INPUT, "FP16", (2, 3))


def test_a_data_frame_is_a_request_of_columns():
    found = inputs_of(pd.DataFrame({"a": [1, 2], 7: ["x", "y"]}))
    assert found.parameters == {"content_type": "pd"}
    assert [(each.name, each.datatype, each.array.shape) for each in found.tensors] == [
        ("a", "INT64", (2, 1)),
        ("7", "BYTES", (2, 1)),
    ]


def test_given_parameters_go_before_those_of_a_data_frame():
    assert inputs_of(pd.DataFrame({"a": [1]}), {"content_type": "np"}).parameters == {"content_type": "np"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.array(["2026-01-01"], dtype="datetime64[D]"), "no datatype for datetime64"),
        (np.array([1 + 2j]), "no datatype for complex128"),
        ({"name": [None]}, "name: None is neither a number nor a text"),
        ({"name": np.array([b"a", "b"], dtype=object)}, "str and bytes in one array"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns of the data frame have the name a"),
        (pd.DataFrame({"name": ["Ada", None]}), "is neither a number nor a text"),
    ],
)
def test_what_has_no_form_is_said(data, message):
    with pytest.raises(TypeError, match=message):
        inputs_of(data)


@given(some.lists(some.text()) | some.lists(some.binary()))
def test_texts_survive_raw_contents(texts):
    [tensor] = inputs_of(np.array(texts, dtype=object)).tensors
    raw = packed(tensor)
    assert unpacked("BYTES", raw) == [each if isinstance(each, bytes) else each.encode() for each in texts]
    back = array_of("BYTES", [len(texts)], raw).tolist()
    assert [each.encode(errors="surrogateescape") for each in back] == unpacked("BYTES", raw)


@given(some.lists(some.floats(width=32)))
def test_numbers_survive_raw_contents(numbers):
    array = np.array(numbers, dtype="float32")
    raw = packed(inputs_of(array).tensors[0])
    np.testing.assert_array_equal(array_of("FP32", [len(numbers)], raw), array)


@pytest.mark.parametrize(
    ("datatype", "shape", "data"),
    [
        ("FP32", [3], [1.0]),
        ("FP32", [1], b"\0\0"),
        ("FP32", [1], ["x"]),
        ("BF16", [1], b"\0\0"),
        ("BYTES", [1], b"\x05\0\0\0ab"),
        ("BYTES", [2], ["x"]),
    ],
)
def test_an_output_that_is_none_is_refused(datatype, shape, data):
    with pytest.raises(ValueError, match=r"."):
        array_of(datatype, shape, data)


def test_an_output_can_be_written_to():
    array = array_of("FP32", [1], b"\0\0\0\0")
    array[0] = 5
    assert array.tolist() == [5.0]
