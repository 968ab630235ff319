"""Calls and answers in the gRPC form of the protocol. Pure.

Used by `links`. Contents go raw: exact, without a copy of each element, and the server
answers in the same form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from bailie._gen import inference_pb2
from bailie.client.answers import Answer, InferenceError
from bailie.client.tensors import array_of, packed
from bailie.inference.codec import CONTENTS, set_parameters
from bailie.wellknown.headers import MODEL, ROUTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.client.answers import Array
    from bailie.client.tensors import Inputs

_UNKNOWN_MODEL = "NOT_FOUND"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcCall:
    """A call: the method's name, its message and metadata."""

    method: str
    message: Any
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcReply:
    """An answer: the code's name, and the message or the details of the error."""

    code: str
    message: Any = None
    details: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


def infer_call(model: str, inputs: Inputs, headers: Mapping[str, str]) -> GrpcCall:
    """Returns the inference request. Raises codec.BadRequest for parameters that have no form."""
    message = inference_pb2.ModelInferRequest(model_name=model)
    set_parameters(message.parameters, dict(inputs.parameters), "parameters")
    for tensor in inputs.tensors:
        added = message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
        # Bytes travel as they are here; only JSON needs them as base64.
        if tensor.content_type == "str":
            set_parameters(added.parameters, {"content_type": "str"}, tensor.name)
        message.raw_input_contents.append(packed(tensor))
    return _call("ModelInfer", message, model, headers)


def ready_call(model: str, headers: Mapping[str, str]) -> GrpcCall:
    """Returns the question whether a model is ready."""
    return _call("ModelReady", inference_pb2.ModelReadyRequest(name=model), model, headers)


def metadata_call(model: str, headers: Mapping[str, str]) -> GrpcCall:
    """Returns the question which tensors a model takes and gives."""
    return _call("ModelMetadata", inference_pb2.ModelMetadataRequest(name=model), model, headers)


def _call(method: str, message: Any, model: str, headers: Mapping[str, str]) -> GrpcCall:
    return GrpcCall(method=method, message=message, metadata={MODEL: model, **headers})


def answer_of(reply: GrpcReply) -> Answer:
    """Returns the answer. Raises InferenceError: the server said no, or its answer is none."""
    message = _message(reply)
    try:
        outputs = {output.name: _array(message, index) for index, output in enumerate(message.outputs)}
    except (KeyError, ValueError, OverflowError) as error:
        raise InferenceError(reply.code, f"the answer is none of the protocol: {error!r}") from error
    return Answer(
        outputs=outputs,
        model=message.model_name,
        route=reply.metadata.get(ROUTE, ""),
        id=message.id,
        parameters=json_format.MessageToDict(message).get("parameters", {}),
    )


def _array(message: Any, index: int) -> Array:
    output = message.outputs[index]
    if index < len(message.raw_output_contents):
        return array_of(output.datatype, output.shape, message.raw_output_contents[index])
    field_name = CONTENTS[output.datatype]
    return array_of(output.datatype, output.shape, list(getattr(output.contents, field_name)))


def readiness_of(reply: GrpcReply) -> bool:
    """Tells whether the model is ready. Raises InferenceError for a model that is not known."""
    if reply.code == _UNKNOWN_MODEL:
        _message(reply)
    return reply.message is not None and bool(reply.message.ready)


def metadata_of(reply: GrpcReply) -> dict[str, Any]:
    """Returns the metadata: `name`, `inputs`, `outputs`, …. Raises InferenceError."""
    found: dict[str, Any] = json_format.MessageToDict(_message(reply), preserving_proto_field_name=True)
    for tensor in [*found.get("inputs", ()), *found.get("outputs", ())]:
        tensor["shape"] = [int(size) for size in tensor.get("shape", ())]  # JSON has 64 bits as texts
    return found


def _message(reply: GrpcReply) -> Any:
    if reply.message is None:
        raise InferenceError(reply.code, reply.details)
    return reply.message
