"""The values of records: messages of the Open Inference Protocol, as protobuf or as JSON. Pure.

Called by `record_runs` and `model_records`. Values of pipelines are protobuf. Those of models may be JSON, if
the header INFER_TYPE says so, or if it is missing and the value is no protobuf; a response may be a model's
request, so that topics can be chained by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bailie.api.texts import shown
from bailie.pipelinegateway import json_bodies, protobuf_bodies
from bailie.pipelinegateway.json_bodies import MalformedBody

if TYPE_CHECKING:
    from bailie.dataflow import Parcel

JSON_REQUEST, JSON_RESPONSE = b"json/inferModelRequest", b"json/inferModelResponse"
PROTO_REQUEST, PROTO_RESPONSE = b"proto/InferModelRequest", b"proto/InferModelResponse"
JSON_LENGTH = json_bodies.INFERENCE_LENGTH.decode()
"""The header of JSON with binary data behind it, as over HTTP: how many bytes are JSON."""
_TYPES = (JSON_REQUEST, JSON_RESPONSE, PROTO_REQUEST, PROTO_RESPONSE)


class ModelRequest(NamedTuple):
    """A request to a model as it is sent: JSON, or a ModelInferRequest.

    `json_bytes`: those of the content that are JSON where binary data follows, else 0.
    """

    content: bytes
    is_json: bool
    json_bytes: int = 0

    @property
    def answer_type(self) -> bytes:
        """The value of INFER_TYPE for the answer."""
        return JSON_RESPONSE if self.is_json else PROTO_RESPONSE


def pipeline_request(value: bytes | None) -> Parcel:
    """Returns the tensors of a request to a pipeline. Raises MalformedBody."""
    return protobuf_bodies.decode_request(_there(value))


def model_request(value: bytes | None, infer_type: bytes, json_length: bytes = b"") -> ModelRequest:
    """Returns the request to a model that a record has. Raises MalformedBody.

    `infer_type`, `json_length`: the headers INFER_TYPE and JSON_LENGTH of the record, empty for none.
    """
    content, json_bytes = _there(value), _number(json_length)
    match infer_type:
        case b"":
            return _recognised(content, json_bytes)
        case b"json/inferModelRequest":
            json_bodies.decode_request(content, json_bytes)
            return ModelRequest(content, True, json_bytes)
        case b"json/inferModelResponse":
            request = json_bodies.encode_request(json_bodies.decode_answer(content, json_bytes))
            return ModelRequest(request.content, True, request.json_bytes)
        case b"proto/InferModelRequest":
            protobuf_bodies.decode_request(content)
            return ModelRequest(content, is_json=False)
        case b"proto/InferModelResponse":
            answer = protobuf_bodies.decode_answer(content)
            return ModelRequest(protobuf_bodies.encode_request(answer), is_json=False)
    told, types = shown(infer_type.decode("latin-1")), ", ".join(each.decode() for each in _TYPES)
    raise MalformedBody(f"its type is {told}, which is none of {types}")


def _there(value: bytes | None) -> bytes:
    if value is None:
        raise MalformedBody("the record has no value")
    return value


def _number(json_length: bytes) -> int:
    if json_length and not (json_length.isdigit() and len(json_length) < 15):
        raise MalformedBody(f"the header {JSON_LENGTH} is no number of bytes")
    return int(json_length or b"0")


def _recognised(content: bytes, json_bytes: int) -> ModelRequest:
    """Returns a request without a type: protobuf, or else JSON."""
    try:
        protobuf_bodies.decode_request(content)
    except MalformedBody as no_protobuf:
        try:
            json_bodies.decode_request(content, json_bytes)
        except MalformedBody as no_json:
            words = f"it is no protobuf ({no_protobuf}) and no JSON ({no_json})"
            raise MalformedBody(words) from None
        return ModelRequest(content, True, json_bytes)
    return ModelRequest(content, is_json=False)
