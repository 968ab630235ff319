"""Bodies of JSON as messages of protobuf: the same values, whatever the datatype."""

from __future__ import annotations

import json
import struct

import pytest
from msgspec import structs

from bailie._gen import inference_pb2 as pb
from bailie.inference.codec import CONTENTS
from bailie.pipelinegateway import json_bodies, protobuf_bodies
from bailie.pipelinegateway.json_bodies import MalformedBody
from bailie.pipelinegateway.protobuf_from_json import as_protobuf


def request_of(*tensors, **more):
    parcel = json_bodies.decode_request(json.dumps({"inputs": tensors, **more}).encode())
    return pb.ModelInferRequest.FromString(protobuf_bodies.encode_request(as_protobuf(parcel, {})))


def tensor(datatype, data, shape=None, **more):
    return {"name": "x", "datatype": datatype, "shape": shape or [len(data)], "data": data, **more}


VALUES = {
    "BOOL": [True, False],
    "INT8": [-128, 127],
    "INT16": [-300, 5],
    "INT32": [-70_000, 5],
    "INT64": [-(2**62), 5],
    "UINT8": [0, 255],
    "UINT16": [0, 65_535],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1],
    "FP32": [0.5, -2],
    "FP64": [0.1, 3],
    "BYTES": ["ä", ""],
}


@pytest.mark.parametrize("datatype", VALUES)
@pytest.mark.parametrize("nested", [False, True])
def test_values_of_every_datatype_are_the_same(datatype, nested):
    data, shape = VALUES[datatype], [2]
    if nested:
        data, shape = [[data[0]], [data[1]]], [2, 1]
    (found,) = request_of(tensor(datatype, data, shape)).inputs
    assert (found.name, found.datatype, list(found.shape)) == ("x", datatype, shape)
    values = list(getattr(found.contents, CONTENTS[datatype]))
    assert values == [each.encode() if isinstance(each, str) else each for each in VALUES[datatype]]


def test_small_floats_have_their_raw_form_as_protobuf_has_no_other():
    found = request_of(tensor("FP16", [0.5, 2.0]), tensor("FP32", [1.0]))
    assert found.raw_input_contents[0] == struct.pack("<2e", 0.5, 2.0)
    assert found.raw_input_contents[1] == struct.pack("<f", 1.0)


def test_id_parameters_and_binary_data_go_along():
    given = {"name": "b", "datatype": "INT32", "shape": [1], "parameters": {"binary_data_size": 4, "k": "v"}}
    content = json.dumps({"inputs": [given], "id": "7", "parameters": {"n": 1, "f": 0.5, "t": True}}).encode()
    parcel = json_bodies.decode_request(content + struct.pack("<i", 9), len(content))
    found = pb.ModelInferRequest.FromString(protobuf_bodies.encode_request(as_protobuf(parcel, {})))
    assert found.id == "7"
    assert found.parameters["n"].int64_param == 1
    assert found.parameters["t"].bool_param is True
    assert found.raw_input_contents[0] == struct.pack("<i", 9)
    assert set(found.inputs[0].parameters) == {"k"}


def test_an_answer_is_as_good_as_a_request():
    answer = {"model_name": "m", "outputs": [tensor("FP64", [[1, 2]], [1, 2])], "id": None}
    parcel = as_protobuf(json_bodies.decode_answer(json.dumps(answer).encode()), {})
    found = pb.ModelInferResponse.FromString(protobuf_bodies.encode_answer(parcel))
    assert list(found.outputs[0].contents.fp64_contents) == [1.0, 2.0]


def test_a_payload_is_decoded_once():
    parcel = json_bodies.decode_request(json.dumps({"inputs": [tensor("FP32", [1.0])]}).encode())
    known = {}
    first = as_protobuf(parcel, known).tensors[0].payload
    assert as_protobuf(structs.replace(parcel, meta=None), known).tensors[0].payload is first


@pytest.mark.parametrize(
    "given",
    [
        tensor("BF16", [1.0]),
        tensor("WHAT", [1]),
        tensor("INT32", ["a"]),
        tensor("INT32", [2**40]),
        tensor("BYTES", [1]),
        tensor("FP16", [1e9]),
        tensor("FP16", ["a"]),
        tensor("FP32", {"a": 1}),
        tensor("FP32", [None]),
        tensor("FP32", [1.0], parameters={"a": []}),
        tensor("FP32", [1.0], parameters={"a": 2**70}),
    ],
    ids=str,
)
def test_data_without_a_form_says_so(given):
    with pytest.raises(MalformedBody):
        request_of(given)
