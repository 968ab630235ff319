"""What is sent and what is taken for an answer, in both forms of the protocol."""

import json

import numpy as np
import pytest

from bailie._gen import inference_pb2
from bailie.client import InferenceError, grpc_wire, rest_wire
from bailie.client.grpc_wire import GrpcReply
from bailie.client.rest_wire import RestReply
from bailie.client.tensors import inputs_of

HEADERS = {"x-trace": "7"}


def test_a_request_names_the_model_in_path_and_header():
    call = rest_wire.infer_call("a b/c", inputs_of(np.array([[1, 2]])), HEADERS)
    assert (call.method, call.path) == ("POST", "/v2/models/a%20b%2Fc/infer")
    assert call.headers == {"seldon-model": "a b/c", "content-type": "application/json", "x-trace": "7"}
    [tensor] = json.loads(call.content)["inputs"]
    assert tensor == {"name": "input-0", "datatype": "INT64", "shape": [1, 2], "data": [1, 2]}


def test_bytes_go_as_base64_over_rest_only():
    inputs = inputs_of({"image": np.array([b"\xff\0"], dtype=object)})
    [tensor] = json.loads(rest_wire.infer_call("m", inputs, {}).content)["inputs"]
    assert (tensor["parameters"], tensor["data"]) == ({"content_type": "base64"}, ["/wA="])
    message = grpc_wire.infer_call("m", inputs, {}).message
    assert message.raw_input_contents[0] == b"\x02\0\0\0\xff\0"
    assert not message.inputs[0].parameters


@pytest.mark.parametrize(
    ("status", "content", "text"),
    [
        (503, b'{"error": "the model is being loaded"}', "503 the model is being loaded"),
        (422, b'{"detail": [{"loc": ["body"], "msg": "wrong"}]}', "422 body: wrong"),
        (500, b"Internal Server Error", "500 Internal Server Error"),
        (200, b"[]", "200 the answer is no JSON object"),
        (200, b"{}", "200 the answer is none of the protocol"),
        (200, b'{"outputs": 5}', "200 the answer is none of the protocol"),
        (200, b'{"outputs": [{"name": "y", "shape": [2], "datatype": "FP32", "data": [1]}]}', "none of the"),
        (200, b'{"outputs": [{"name": "y", "shape": "x", "datatype": "FP32", "data": [1]}]}', "none of the"),
        (200, b"\xff", "200 the answer is no JSON object"),
        (200, b"[" * 100_000, "200 the answer is no JSON object"),
    ],
)
def test_an_answer_that_says_no_or_is_none_is_an_error(status, content, text):
    with pytest.raises(InferenceError, match=r".") as raised:
        rest_wire.answer_of(RestReply(status=status, content=content))
    assert text in str(raised.value)


@pytest.mark.parametrize(
    "response",
    [
        inference_pb2.ModelInferResponse(outputs=[{"name": "y", "datatype": "FP32", "shape": [2]}]),
        inference_pb2.ModelInferResponse(outputs=[{"name": "y", "datatype": "WHAT", "shape": [2]}]),
        inference_pb2.ModelInferResponse(
            outputs=[{"name": "y", "datatype": "BYTES", "shape": [1]}], raw_output_contents=[b"\x09\0\0\0"]
        ),
    ],
)
def test_a_message_that_is_no_answer_is_an_error(response):
    with pytest.raises(InferenceError, match="none of the protocol"):
        grpc_wire.answer_of(GrpcReply(code="OK", message=response))


def test_the_answer_has_version_route_and_parameters():
    content = {"model_name": "iris_1", "id": "7", "outputs": [], "parameters": {"a": 1}}
    reply = RestReply(
        status=200, headers={"x-seldon-route": ":iris_1:"}, content=json.dumps(content).encode()
    )
    answer = rest_wire.answer_of(reply)
    assert (answer.model, answer.route, answer.id, answer.parameters) == ("iris_1", ":iris_1:", "7", {"a": 1})


@pytest.mark.parametrize(("status", "ready"), [(200, True), (400, False), (503, False), (424, False)])
def test_readiness_over_rest(status, ready):
    assert rest_wire.readiness_of(RestReply(status=status)) is ready


def test_a_model_that_is_not_there_is_an_error_and_not_unready():
    with pytest.raises(InferenceError, match="404"):
        rest_wire.readiness_of(RestReply(status=404, content=b'{"error": "no such model"}'))
    with pytest.raises(InferenceError, match="NOT_FOUND"):
        grpc_wire.readiness_of(GrpcReply(code="NOT_FOUND"))
    assert grpc_wire.readiness_of(GrpcReply(code="UNAVAILABLE")) is False
