import pytest
from google.protobuf import json_format
from hypothesis import given
from tests.support.anyjson import changed

from bailie._gen import inference_pb2
from bailie.inference.codec import CONTENTS, BadRequest, from_protobuf, message_as_json, to_protobuf

TENSOR = {"name": "x", "shape": [1], "datatype": "INT64", "data": [1]}
GOOD = {
    "id": "7",
    "parameters": {"a": True, "b": 3, "c": 0.5, "d": "text"},
    "inputs": [TENSOR, TENSOR | {"datatype": "BYTES", "data": ["a"], "parameters": {"content_type": "str"}}],
    "outputs": [{"name": "y", "parameters": {"content_type": "np"}}],
}
VALUES = {"BOOL": [True, False], "FP32": [1.5, 2.5], "FP64": [1.5, 2.5], "BYTES": ["a", "b"]}


@pytest.mark.parametrize("datatype", CONTENTS)
def test_every_datatype_survives_the_round_trip(datatype):
    data = VALUES.get(datatype, [1, 2])
    body = {"inputs": [{"name": "x", "shape": [2], "datatype": datatype, "data": data}]}
    request = to_protobuf("iris", body)
    tensor = request.inputs[0]
    output = inference_pb2.ModelInferResponse.InferOutputTensor(
        name=tensor.name, datatype=tensor.datatype, shape=tensor.shape, contents=tensor.contents
    )
    answer = from_protobuf(inference_pb2.ModelInferResponse(model_name="iris_1", outputs=[output]))
    assert answer["outputs"] == [{"name": "x", "shape": [2], "datatype": datatype, "data": data}]


def test_nested_data_are_sent_row_major():
    body = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "INT64", "data": [[1, 2], [3, 4]]}]}
    assert list(to_protobuf("m", body).inputs[0].contents.int64_contents) == [1, 2, 3, 4]


def test_parameters_keep_their_types():
    given = {"a": True, "b": 3, "c": 0.5, "d": "text"}
    tensor = {
        "name": "x",
        "shape": [1],
        "datatype": "INT64",
        "data": [1],
        "parameters": {"content_type": "np"},
    }
    request = to_protobuf(
        "m", {"id": "7", "parameters": given, "inputs": [tensor], "outputs": [{"name": "y"}]}
    )
    assert request.id == "7"
    assert request.parameters["a"].bool_param is True
    assert request.parameters["b"].int64_param == 3
    assert request.parameters["c"].double_param == 0.5
    assert request.parameters["d"].string_param == "text"
    assert request.inputs[0].parameters["content_type"].string_param == "np"
    assert [output.name for output in request.outputs] == ["y"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, '"inputs" must be a list of tensors'),
        ({"inputs": [3]}, "inputs[0] must be an object"),
        ({"inputs": [{"name": "x"}]}, 'inputs[0] lacks "shape"'),
        (
            {"inputs": [{"name": "x", "shape": [1], "datatype": "FP16", "data": [1]}]},
            "inputs[0].datatype 'FP16'",
        ),
        (
            {"inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "data": ["a"]}]},
            "does not hold INT64 data",
        ),
        ({"inputs": [TENSOR | {"datatype": ["INT64"]}]}, "inputs[0].datatype ['INT64']"),
        ({"inputs": [TENSOR | {"name": 5}]}, "inputs[0].name must be a string"),
        ({"inputs": [TENSOR | {"name": "\ud800"}]}, "inputs[0].name is not Unicode"),
        ({"inputs": [TENSOR | {"data": [2**64]}]}, "inputs[0] does not hold INT64 data"),
        ({"inputs": [TENSOR | {"datatype": "BYTES", "data": [5]}]}, "5 is not a string"),
        ({"inputs": [TENSOR | {"parameters": "x"}]}, "inputs[0].parameters must be an object"),
        ({"inputs": [], "parameters": [1]}, "parameters must be an object"),
        ({"inputs": [], "parameters": {"a": 2**64}}, "parameters.a: Value out of range"),
        ({"inputs": [], "parameters": {"a": []}}, "parameters.a must be a boolean, a number or a string"),
        ({"inputs": [], "outputs": "ab"}, '"outputs" must be a list of tensors'),
        ({"inputs": [], "outputs": ["a"]}, "outputs[0] must be an object"),
        ({"inputs": [], "outputs": [{}]}, "outputs[0].name must be a string"),
        ({"inputs": [], "id": "\ud800"}, "id is not Unicode"),
    ],
)
def test_a_bad_request_says_what_is_wrong_and_where(body, message):
    with pytest.raises(BadRequest) as raised:
        to_protobuf("m", body)
    assert message in str(raised.value)


def raw_response(datatype, raw):
    response = inference_pb2.ModelInferResponse(model_name="m", raw_output_contents=[raw])
    response.outputs.add(name="y", datatype=datatype, shape=[1])
    return response


@pytest.mark.parametrize(
    ("datatype", "raw", "data"),
    [
        ("FP32", b"\0\0\x80\x3f", [1.0]),
        ("FP16", b"\0\x3c", [1.0]),
        ("INT64", b"\xff" * 8, [-1]),
        ("BOOL", b"\x01\0", [True, False]),
        ("BYTES", b"\x02\0\0\0ab\0\0\0\0", ["ab", ""]),
        ("BF16", b"\x01\x02", "AQI="),
        ("FP32", b"\x01\x02", "AQI="),
        ("BYTES", b"\x09\0\0\0ab", "CQAAAGFi"),
    ],
)
def test_raw_outputs_become_elements_or_base64_where_they_have_none(datatype, raw, data):
    assert from_protobuf(raw_response(datatype, raw))["outputs"][0]["data"] == data


MESSAGE = {
    "model_name": "other",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "contents": {"fp32_contents": [1, 2]}}],
}


def test_the_json_form_of_the_message_itself_is_taken_too():
    request = to_protobuf("m", MESSAGE)
    assert (request.model_name, request.inputs[0].contents.fp32_contents) == ("m", [1.0, 2.0])
    camel = json_format.MessageToDict(request)
    assert to_protobuf("m", camel) == request
    raw = {"inputs": [{"name": "x", "datatype": "FP16", "shape": [1]}], "raw_input_contents": ["ADw="]}
    assert to_protobuf("m", raw).raw_input_contents == [b"\0<"]


@given(changed(MESSAGE))
def test_any_json_like_a_message_is_a_request_or_a_sentence(body):
    request = converted(body if isinstance(body, dict) else {"inputs": body})
    assert request is None or type(request).FromString(request.SerializeToString()) == request


def test_the_json_form_of_an_answer_has_typed_contents():
    [output] = message_as_json(raw_response("INT64", b"\x02" + b"\0" * 7))["outputs"]
    assert output == {"name": "y", "datatype": "INT64", "shape": ["1"], "contents": {"int64Contents": ["2"]}}
    assert "rawOutputContents" in message_as_json(raw_response("BF16", b"\0\0"))
    assert "rawOutputContents" in message_as_json(raw_response("INT64", b"\0"))


def test_an_answer_in_half_floats_is_shown_in_single_ones():
    [output] = message_as_json(raw_response("FP16", b"\0\x3c"))["outputs"]
    assert output["contents"] == {"fp32Contents": [1.0]}


def converted(body):
    """Returns the request, None where the body is refused in words; anything else is raised."""
    try:
        return to_protobuf("m", body)
    except BadRequest as refused:
        return None if str(refused) else pytest.fail("refused without a word")


@given(changed(GOOD))
def test_any_json_is_a_request_or_a_sentence(body):
    request = converted(body if isinstance(body, dict) else {"inputs": body})
    assert request is None or type(request).FromString(request.SerializeToString()) == request


def test_data_may_be_nested_deeper_than_python_calls():
    data = 1
    for _ in range(10_000):
        data = [data]
    assert list(
        to_protobuf("m", {"inputs": [TENSOR | {"data": data}]}).inputs[0].contents.int64_contents
    ) == [1]


def test_a_parameter_without_a_value_is_null():
    response = inference_pb2.ModelInferResponse(model_name="m")
    response.parameters["empty"].SetInParent()
    assert from_protobuf(response)["parameters"] == {"empty": None}
