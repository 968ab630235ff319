from __future__ import annotations

import json
import struct
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from bailie._gen import inference_pb2 as pb
from bailie.kube.protobuf_fields import FieldCount
from bailie.pipelinegateway import batch_rows, json_bodies, protobuf_bodies
from bailie.pipelinegateway.batch_rows import (
    MOST_WALKED,
    json_parameters,
    kept_json,
    kept_protobuf,
    protobuf_parameters,
)
from bailie.pipelinegateway.json_bodies import MalformedBody

Input = pb.ModelInferRequest.InferInputTensor


def json_encoding(tensor):
    return batch_rows.json_encoding(tensor, FieldCount(MOST_WALKED))


def protobuf_encoding(tensor):
    return batch_rows.protobuf_encoding(tensor, FieldCount(MOST_WALKED))


def json_tensor(data, shape, datatype="FP32", **more):
    body = {"inputs": [{"name": "x", "datatype": datatype, "shape": shape, "data": data, **more}]}
    return json_bodies.decode_request(json.dumps(body).encode()).tensors[0]


def binary_tensor(data, shape, datatype="FP32", **parameters):
    found = {"name": "x", "datatype": datatype, "shape": shape}
    text = json.dumps({"inputs": [{**found, "parameters": {"binary_data_size": len(data), **parameters}}]})
    return json_bodies.decode_request(text.encode() + data, len(text)).tensors[0]


def wire_tensor(shape, datatype="FP32", raw=None, **contents):
    found = Input(name="x", datatype=datatype, shape=shape)
    if contents:
        found.contents.CopyFrom(pb.InferTensorContents(**contents))
    message = pb.ModelInferRequest(inputs=[found], raw_input_contents=[] if raw is None else [raw])
    return protobuf_bodies.decode_request(message.SerializeToString()).tensors[0]


def test_the_encoding_of_json_is_its_depth_and_its_parameters():
    flat, nested = json_tensor([1, 2], [1, 2]), json_tensor([[1, 2]], [1, 2])
    assert json_encoding(flat) != json_encoding(nested)
    assert json_encoding(flat) == json_encoding(json_tensor([1, 2, 3, 4], [2, 2]))
    assert json_encoding(nested) != json_encoding(json_tensor([[[1, 2]]], [1, 2]))
    told = {"content_type": "np"}
    assert json_encoding(flat) != json_encoding(json_tensor([1, 2], [1, 2], parameters=told))
    assert json_encoding(flat) != json_encoding(json_tensor([1, None], [1, 2])), "a model may refuse it"


def test_the_encoding_of_binary_data_does_not_have_its_size():
    one, two = binary_tensor(bytes(4), [1]), binary_tensor(bytes(8), [2])
    assert json_encoding(one) == json_encoding(two)
    assert json_encoding(one) != json_encoding(binary_tensor(bytes(4), [1], content_type="np"))
    assert json_encoding(one) != json_encoding(json_tensor([1], [1]))


def test_raw_and_typed_contents_are_two_encodings():
    raw, typed = wire_tensor([1], raw=bytes(4)), wire_tensor([1], fp32_contents=[1])
    assert protobuf_encoding(raw) != protobuf_encoding(typed)
    assert protobuf_encoding(typed) == protobuf_encoding(wire_tensor([2], fp32_contents=[1, 2]))


def test_the_parameters_of_a_message_have_no_order_and_no_id():
    one, two, other = (
        json_bodies.decode_request(json.dumps({"inputs": [], **each}).encode()).meta
        for each in (
            {"id": "1", "parameters": {"a": 1, "b": "x"}},
            {"id": "2", "parameters": {"b": "x", "a": 1}},
            {"parameters": {"a": 2, "b": "x"}},
        )
    )
    assert json_parameters(one) == json_parameters(two) != json_parameters(other)
    assert json_parameters(json_bodies.MessageMeta(parameters=Raw(b"{}"))) == json_parameters(None) == b""
    with pytest.raises(MalformedBody):
        json_parameters(json_bodies.MessageMeta(parameters=Raw(b"1")))


def test_the_parameters_of_a_message_of_protobuf_have_no_order_and_no_id():
    def said(ident, *names):
        parts = [
            pb.ModelInferRequest(parameters={name: pb.InferParameter(bool_param=True)}) for name in names
        ]
        head = b"".join(each.SerializeToString() for each in (pb.ModelInferRequest(id=ident), *parts))
        return protobuf_parameters(protobuf_bodies.decode_request(head).meta)

    assert said("1", "a", "b") == said("2", "b", "a") != said("1", "a")
    assert said("1") == protobuf_parameters(None) == b""


RIGHT = {
    "strings with commas, quotes and backslashes": json_tensor(['a,"],[', "\\", '\\"', ","], [4], "BYTES"),
    "strings of which one is missing": json_tensor(["a", None], [2], "BYTES"),
    "numbers of which one is missing": json_tensor([1.5e-3, None], [2]),
    "no rows": json_tensor([], [0, 4]),
    "rows of nothing": json_tensor([[], []], [2, 0]),
    "truths": json_tensor([True, False], [2], "BOOL"),
    "a datatype of nobody": json_tensor(["a"], [1], "FP8"),
    "binary": binary_tensor(bytes(16), [2, 2]),
    "binary strings": binary_tensor(b"\x01\0\0\0a", [1], "BYTES"),
    "binary of a datatype of nobody": binary_tensor(b"ab", [2], "FP8"),
}


@pytest.mark.parametrize("tensor", RIGHT.values(), ids=RIGHT)
def test_data_of_its_shape_has_an_encoding(tensor):
    json_encoding(tensor)


WRONG = {
    "a thousand million rows": json_tensor([1, 2], [10**9, 4]),
    "rows in 64 dimensions": json_tensor([1], [2**62] * 64),
    "too few values": json_tensor([[1, 2]], [2, 2]),
    "too many values": json_tensor([1, 2, 3], [1, 2]),
    "too few strings": json_tensor(["a"], [2], "BYTES"),
    "too many strings": json_tensor(["a", "b,c"], [1], "BYTES"),
    "no row that the shape has": json_tensor([], [1]),
    "no list": json_tensor(5, [1]),
    "a text": json_tensor("[1]", [1]),
    "a string among numbers": json_tensor([1, "a"], [2]),
    "rows of other lengths": json_tensor([[1, 2, 3], [4]], [2, 2]),
    "rows that begin well": json_tensor([[1, 2], 3, 4], [2, 2]),
    "a list among numbers": json_tensor([1, [2], 3, 4], [2, 2]),
    "rows within rows of other lengths": json_tensor([[[1], [2, 3]], [[4, 5, 6]]], [2, 1, 3]),
    "a row that says to be many lists": json_tensor([[[[1, 2, 3, 4]]]], [4, 1, 1, 1]),
    "rows of columns": json_tensor([[1, 2, 3], [4, 5, 6]], [3, 2]),
    "too little that is binary": binary_tensor(bytes(4), [10**9]),
    "a part of a number": binary_tensor(bytes(7), [2]),
    "binary strings without their lengths": binary_tensor(bytes(4), [2], "BYTES"),
    "binary strings of which one would take those of others": binary_tensor(b"\x09\0\0\0a", [1], "BYTES"),
    "more binary strings": binary_tensor(bytes(12), [2], "BYTES"),
    "binary of a datatype of nobody": binary_tensor(b"ab", [10**9], "FP8"),
}


@pytest.mark.parametrize("tensor", WRONG.values(), ids=WRONG)
def test_data_that_is_not_of_its_shape_is_refused_with_its_name(tensor):
    with pytest.raises(MalformedBody, match='tensor "x"'):
        json_encoding(tensor)


FIELDS = {
    "INT8": ("int_contents", [-1, 1]),
    "INT64": ("int64_contents", [-(2**62), 1]),
    "UINT32": ("uint_contents", [2**31, 1]),
    "UINT64": ("uint64_contents", [2**63, 1]),
    "BOOL": ("bool_contents", [True, False]),
    "FP32": ("fp32_contents", [0.5, 1]),
    "FP64": ("fp64_contents", [0.5, 1]),
    "BYTES": ("bytes_contents", [b"a", b""]),
}


@pytest.mark.parametrize("datatype", FIELDS)
def test_typed_contents_have_as_many_values_as_the_shape_says(datatype):
    field, values = FIELDS[datatype]
    protobuf_encoding(wire_tensor([2], datatype, **{field: values}))
    with pytest.raises(MalformedBody, match=r'tensor "x".*1000000000'):
        protobuf_encoding(wire_tensor([10**9], datatype, **{field: values}))


def unpacked(shape, contents, datatype="FP32"):
    data = Input(name="x", datatype=datatype, shape=shape).SerializeToString()
    whole = data + bytes((0x2A, len(contents))) + contents
    return protobuf_bodies.decode_request(bytes((0x2A, len(whole))) + whole).tensors[0]


def test_values_that_are_not_packed_are_counted_one_by_one():
    protobuf_encoding(unpacked([2], (b"\x35" + struct.pack("<f", 1)) * 2))


def test_malformed_contents_are_refused_alone():
    with pytest.raises(MalformedBody, match=r'contents of tensor "x" are malformed: .*ends behind'):
        protobuf_encoding(unpacked([1], b"\x32\x40\x00"))


NO_NUMBERS = {
    "numbers of another type": wire_tensor([1], int_contents=[5]),
    "numbers of another type among them": wire_tensor([2], fp32_contents=[1], int_contents=[5]),
    "text": wire_tensor([1], bytes_contents=[b"a"]),
    "a number among texts": wire_tensor([1], "BYTES", bytes_contents=[b"a"], int_contents=[1]),
    "a text that would take those of others": unpacked([1], bytes((8 << 3 | 2, 9, 97)), "BYTES"),
    "a field of nobody": unpacked([1], bytes((9 << 3, 1))),
    "a number in another form": unpacked([1], bytes((6 << 3, 1))),
    "half a number": unpacked([1], bytes((6 << 3 | 2, 6, *bytes(6)))),
    "half a varint": unpacked([2], bytes((2 << 3 | 2, 3, 1, 1, 0x80)), "INT8"),
    "a varint without end": unpacked([1], bytes((2 << 3 | 2, 11, *[0x80] * 10, 1)), "INT8"),
}


@pytest.mark.parametrize("raw", [True, False])
def test_the_strings_of_a_request_that_are_walked_are_bounded(raw):
    count = FieldCount(10)
    four = wire_tensor([4], "BYTES", **({"raw": bytes(16)} if raw else {"bytes_contents": [b""] * 4}))
    for _ in range(2):
        batch_rows.protobuf_encoding(four, count)
    with pytest.raises(MalformedBody, match="more than 10"):
        batch_rows.protobuf_encoding(four, count)


@pytest.mark.parametrize("tensor", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_contents_that_would_spoil_those_of_others_are_refused_alone(tensor):
    with pytest.raises(MalformedBody, match='contents of tensor "x" are malformed'):
        protobuf_encoding(tensor)


@given(st.sampled_from(sorted(FIELDS)), st.lists(st.tuples(st.integers(0, 127), st.booleans()), max_size=5))
def test_whatever_protobuf_reads_as_numbers_of_the_type_is_counted(datatype, written):
    """In any mixture of packed fields and single ones."""
    if datatype == "BYTES":
        return
    field = pb.InferTensorContents.DESCRIPTOR.fields_by_name[FIELDS[datatype][0]].number
    contents, single = b"", {"FP32": (5, "<f"), "FP64": (1, "<d")}.get(datatype, (0, "B"))
    for value, packed in written:
        number = struct.pack(single[1], value % 2 if datatype == "BOOL" else value)
        contents += bytes((field << 3 | 2, len(number))) if packed else bytes((field << 3 | single[0],))
        contents += number
    assert len(getattr(pb.InferTensorContents.FromString(contents), FIELDS[datatype][0])) == len(written)
    protobuf_encoding(unpacked([len(written)], contents, datatype))


@pytest.mark.parametrize("raw", [bytes(7), b""])
def test_raw_data_has_as_many_bytes_as_its_shape_says(raw):
    protobuf_encoding(wire_tensor([2, 1], raw=bytes(8)))
    with pytest.raises(MalformedBody, match=f"{len(raw)} bytes"):
        protobuf_encoding(wire_tensor([2, 1], raw=raw))


TEXTS = st.text('ab,[]"\\{}é\x00', max_size=4)
VALUES = {"FP32": st.floats(width=32, allow_nan=False, allow_infinity=False), "BYTES": TEXTS}


@given(
    st.sampled_from([*VALUES]), st.lists(st.integers(0, 3), min_size=1, max_size=3), st.booleans(), st.data()
)
def test_whatever_numbers_and_strings_there_are_none_is_refused_or_missed(datatype, shape, flat, data):
    number = prod(shape)
    values = data.draw(st.lists(VALUES[datatype], min_size=number, max_size=number))
    json_encoding(json_tensor(values if flat else nested(values, shape), shape, datatype))
    if number and datatype == "FP32":
        with pytest.raises(MalformedBody):
            json_encoding(json_tensor(values[1:], shape, datatype))
    if datatype == "BYTES":
        with pytest.raises(MalformedBody):
            json_encoding(json_tensor(["ab", *values], [number], datatype))


def nested(values, shape):
    if len(shape) == 1:
        return values
    size = len(values) // shape[0] if shape[0] else 0
    return [nested(values[row * size :][:size], shape[1:]) for row in range(shape[0])]


def test_json_that_is_kept_holds_nothing_else_of_its_message():
    long, small = "l" * 10_000, {"name": "x", "datatype": "INT8", "shape": [1], "data": [1]}
    body = {"id": "1", "inputs": [{**small, "parameters": {"p": 1}}], "parameters": {"q": 2}, "long": long}
    parcel, size = kept_json(json_bodies.decode_request(json.dumps(body).encode()))
    payload = parcel.tensors[0].payload
    for raw in (payload.data, payload.parameters, parcel.meta.parameters):
        assert len(memoryview(raw).obj) < 100
    assert size == len('[1]{"p": 1}{"q": 2}1xINT8')
    assert json.loads(json_bodies.encode_request(parcel).content)["inputs"][0]["data"] == [1]


def test_protobuf_that_is_kept_holds_nothing_else_of_its_message():
    for tensor in (wire_tensor([1], raw=bytes(4)), wire_tensor([1], fp32_contents=[1])):
        parcel, _ = kept_protobuf(protobuf_bodies.Parcel((tensor,)))
        payload = parcel.tensors[0].payload
        assert all(isinstance(each, bytes) for each in (payload.raw or b"", *payload.contents))
