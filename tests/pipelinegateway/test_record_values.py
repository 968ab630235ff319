from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.pipelinegateway.client import message_of
from tests.pipelinegateway.models import tensor, to_wire

from bailie._gen import inference_pb2 as pb
from bailie.pipelinegateway.json_bodies import MalformedBody
from bailie.pipelinegateway.record_values import (
    JSON_REQUEST,
    JSON_RESPONSE,
    PROTO_REQUEST,
    PROTO_RESPONSE,
    model_request,
    pipeline_request,
)

GIVEN = tensor("x", ["in"])
PROTO = message_of([GIVEN]).SerializeToString()
JSON = json.dumps({"inputs": [GIVEN]}).encode()
PROTO_ANSWER = pb.ModelInferResponse(
    model_name="m", outputs=[to_wire(pb.ModelInferResponse.InferOutputTensor, GIVEN)]
).SerializeToString()
JSON_ANSWER = json.dumps({"model_name": "m", "outputs": [GIVEN]}).encode()


def tensors_of(request):
    if request.is_json:
        return json.loads(request.content)["inputs"]
    message = pb.ModelInferRequest.FromString(request.content)
    return [
        tensor(each.name, [text.decode() for text in each.contents.bytes_contents]) for each in message.inputs
    ]


@pytest.mark.parametrize(
    ("value", "infer_type", "is_json"),
    [
        (PROTO, b"", False),
        (PROTO, PROTO_REQUEST, False),
        (PROTO_ANSWER, PROTO_RESPONSE, False),
        (JSON, b"", True),
        (JSON, JSON_REQUEST, True),
        (JSON_ANSWER, JSON_RESPONSE, True),
    ],
)
def test_a_model_takes_requests_and_responses_in_both_forms(value, infer_type, is_json):
    request = model_request(value, infer_type)
    assert request.is_json is is_json
    assert tensors_of(request) == [GIVEN]
    assert request.answer_type == (JSON_RESPONSE if is_json else PROTO_RESPONSE)


def test_a_request_is_sent_as_it_came():
    spaced = b'  {"inputs" : [' + json.dumps(GIVEN).encode() + b"] }"
    assert model_request(spaced, JSON_REQUEST).content is spaced
    assert model_request(PROTO, b"").content is PROTO


@pytest.mark.parametrize(
    ("value", "infer_type", "words"),
    [
        (None, b"", "the record has no value"),
        (b"\x07nonsense", b"", "it is no protobuf"),
        (b'{"inputs": 3}', b"", "and no JSON"),
        (b"{", JSON_REQUEST, "truncated"),
        (JSON, PROTO_REQUEST, "kind that no message here has"),
        (JSON, JSON_RESPONSE, "outputs"),
        (JSON, PROTO_RESPONSE, "kind that no message here has"),
        (JSON, b"json/InferModelRequest", "which is none of json/inferModelRequest"),
        (JSON, b"\xff\n" * 400, "which is none of"),
    ],
)
def test_a_value_that_is_none_says_why(value, infer_type, words):
    with pytest.raises(MalformedBody, match=words):
        model_request(value, infer_type)


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", JSON_REQUEST, JSON_RESPONSE, PROTO_REQUEST, PROTO_RESPONSE]),
)
def test_any_bytes_are_a_request_or_malformed(value, infer_type):
    with suppress(MalformedBody):
        model_request(value, infer_type)


def test_a_pipeline_takes_protobuf():
    (found,) = pipeline_request(PROTO).tensors
    assert (found.name, found.datatype) == ("x", "BYTES")
    for value in (None, JSON, b"\x07nonsense"):
        with pytest.raises(MalformedBody):
            pipeline_request(value)
