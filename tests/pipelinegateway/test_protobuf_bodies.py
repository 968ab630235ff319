"""Messages to tensors and back: the data comes out as it went in, and what is wrong is named."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bailie._gen import inference_pb2 as pb
from bailie.dataflow.batches import BatchStore
from bailie.dataflow.tensors import join
from bailie.pipelinegateway.json_bodies import MalformedBody
from bailie.pipelinegateway.protobuf_bodies import (
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
    stacked,
)

Input, Output = pb.ModelInferRequest.InferInputTensor, pb.ModelInferResponse.InferOutputTensor
NAMES = st.text(max_size=5)
PARAMETERS = st.dictionaries(
    NAMES,
    st.builds(pb.InferParameter, int64_param=st.integers(-(2**63), 2**63 - 1))
    | st.builds(pb.InferParameter, string_param=NAMES),
    max_size=2,
)
CONTENTS = st.one_of(
    st.builds(pb.InferTensorContents, int64_contents=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1)),
    st.builds(
        pb.InferTensorContents, fp32_contents=st.lists(st.floats(width=32, allow_nan=False), min_size=1)
    ),
    st.builds(pb.InferTensorContents, bytes_contents=st.lists(st.binary(max_size=200), min_size=1)),
)
DESCRIPTION = {
    "name": NAMES,
    "datatype": NAMES,
    "shape": st.lists(st.integers(0, 2**63 - 1), max_size=4),
    "parameters": PARAMETERS,
}


@st.composite
def requests(draw):
    raw = draw(st.booleans())
    fields = DESCRIPTION if raw else {**DESCRIPTION, "contents": CONTENTS}
    inputs = draw(st.lists(st.builds(Input, **fields), max_size=3))
    contents = [draw(st.binary(max_size=300)) for _ in inputs] if raw else []
    return pb.ModelInferRequest(
        id=draw(NAMES), parameters=draw(PARAMETERS), inputs=inputs, raw_input_contents=contents
    )


@given(requests())
def test_a_message_comes_out_as_it_went_in(message):
    found = decode_request(message.SerializeToString())
    assert [each.name for each in found.tensors] == [each.name for each in message.inputs]
    assert pb.ModelInferRequest.FromString(encode_request(found)) == message
    outputs = [Output.FromString(each.SerializeToString()) for each in message.inputs]
    answer = pb.ModelInferResponse(
        id=message.id,
        parameters=message.parameters,
        outputs=outputs,
        raw_output_contents=message.raw_input_contents,
    )
    named = pb.ModelInferResponse(model_name="m_1", model_version="1")
    told = decode_answer(named.SerializeToString() + answer.SerializeToString())
    assert pb.ModelInferResponse.FromString(encode_answer(told)) == answer
    assert pb.ModelInferRequest.FromString(encode_request(told)) == message


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    try:
        found = decode_request(data)
    except MalformedBody:
        return
    again = decode_request(encode_request(found))
    assert [each[:3] for each in again.tensors] == [each[:3] for each in found.tensors]


def tensor(name="x", datatype="FP32", shape=(1,), **contents):
    return Input(name=name, datatype=datatype, shape=shape, contents=pb.InferTensorContents(**contents))


def message(*tensors, raw=(), wanted=()):
    outputs = [pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in wanted]
    return pb.ModelInferRequest(inputs=tensors, raw_input_contents=raw, outputs=outputs).SerializeToString()


def test_the_wished_outputs_are_known_and_go_to_no_step():
    found = decode_request(message(tensor(fp32_contents=[1]), wanted=("b", "a")))
    assert found.meta.wanted == ("b", "a")
    assert not pb.ModelInferRequest.FromString(encode_request(found)).outputs


@pytest.mark.parametrize(
    ("datatype", "contents", "raw"),
    [
        ("BOOL", {"bool_contents": [True, False]}, b"\1\0"),
        ("INT8", {"int_contents": [-1, 2]}, struct.pack("<2b", -1, 2)),
        ("INT16", {"int_contents": [-300, 2]}, struct.pack("<2h", -300, 2)),
        ("INT32", {"int_contents": [-70_000]}, struct.pack("<i", -70_000)),
        ("INT64", {"int64_contents": [-(2**40)]}, struct.pack("<q", -(2**40))),
        ("UINT8", {"uint_contents": [255]}, b"\xff"),
        ("UINT16", {"uint_contents": [65_535]}, b"\xff\xff"),
        ("UINT32", {"uint_contents": [2**32 - 1]}, b"\xff" * 4),
        ("UINT64", {"uint64_contents": [2**64 - 1]}, b"\xff" * 8),
        ("FP32", {"fp32_contents": [1.5, -2]}, struct.pack("<2f", 1.5, -2)),
        ("FP64", {"fp64_contents": [0.1]}, struct.pack("<d", 0.1)),
        ("BYTES", {"bytes_contents": [b"", b"ab"]}, b"\0\0\0\0\2\0\0\0ab"),
    ],
)
def test_contents_beside_raw_ones_become_raw(datatype, contents, raw):
    typed = decode_request(message(tensor("t", datatype, **contents)))
    other = decode_request(message(Input(name="r", datatype="INT8", shape=[2]), raw=[b"xy"]))
    found = pb.ModelInferRequest.FromString(encode_request(join([typed, other])))
    assert [each.name for each in found.inputs] == ["t", "r"]
    assert list(found.raw_input_contents) == [raw, b"xy"]
    assert not any(each.HasField("contents") for each in found.inputs)


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (tensor("t", "FP16", fp32_contents=[1]), 'tensor "t" of datatype FP16 has no raw form'),
        (tensor("t", "INT8", int_contents=[300]), 'tensor "t" has a number that INT8 has not'),
    ],
)
def test_contents_without_a_raw_form_are_refused_beside_raw_ones(given_, words):
    other = decode_request(message(Input(name="r", datatype="INT8", shape=[2]), raw=[b"xy"]))
    with pytest.raises(MalformedBody, match=words):
        encode_request(join([decode_request(message(given_)), other]))


def field(number, content):
    return bytes([number << 3 | 2, len(content)]) + content


NAMED = field(1, b"x")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff", "byte 0 has no end"),
        (b"\x80" * 11, "byte 0 has no end"),
        (b"\x00\x00", "no field at byte 0"),
        (b"\x0b", "of a kind that no message here has"),
        (b"\x2a\x05ab", "field 5 at byte 0 ends behind its message"),
        (b"\x29abc", "field 5 at byte 0 ends behind its message"),
        (field(5, b"\x0a\xff\x01a"), "field 1 at byte 2 ends behind its message"),
        (field(5, field(1, b"\xff")), "the text at byte 4 is no UTF-8"),
        (field(5, NAMED + b"\x18" + b"\xff" * 9 + b"\x01"), 'tensor "x" has a dimension below zero'),
        (field(5, NAMED + field(3, b"\1" * 65)), "more than 64 dimensions"),
        (field(5, NAMED + b"\x18\x01"), 'tensor "x" has no data'),
        (field(5, NAMED) + field(7, b"a") * 2, "1 tensors and 2 raw contents"),
        (field(5, NAMED + field(5, b"a")) + field(7, b"a"), "contents and raw contents"),
        (field(5, b"") * 66_000, "more than 65536 fields"),
    ],
)
def test_a_malformed_message_is_refused_with_its_place(data, words):
    with pytest.raises(MalformedBody) as error:
        decode_request(data)
    assert words in str(error.value)


def batch_of(*messages):
    store = BatchStore(len(messages))
    events = [store.add("s", 1, decode_request(each)).event for each in messages]
    parcel = events[-1].parcel
    whole = structs.replace(parcel, tensors=tuple(map(stacked, parcel.tensors)))
    return pb.ModelInferRequest.FromString(encode_request(whole))


def test_the_data_of_a_batch_is_put_together():
    rows = [message(tensor(fp32_contents=[number, 7], shape=[1, 2])) for number in range(3)]
    found = batch_of(*rows)
    assert list(found.inputs[0].shape) == [3, 2]
    assert list(found.inputs[0].contents.fp32_contents) == [0, 7, 1, 7, 2, 7]


def test_the_raw_data_of_a_batch_is_put_together():
    one = message(Input(name="x", datatype="FP32", shape=[1]), raw=[struct.pack("<f", 2)])
    found = batch_of(one, one)
    assert list(found.raw_input_contents) == [struct.pack("<2f", 2, 2)]
