"""Tensors that came as JSON in the form of those of gRPC, so that one writer serves both. Pure.

Called by `journalled_request` in the journal's thread: records are protobuf whatever the caller speaks. Here
alone the numbers of a body are decoded.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import msgspec

from bailie._gen import inference_pb2 as pb
from bailie.api.texts import shown
from bailie.inference.codec import CONTENTS, STRUCT_CODES, BadRequest, flatten, set_parameters
from bailie.pipelinegateway.json_bodies import BinaryData, MalformedBody, MessageMeta
from bailie.pipelinegateway.protobuf_bodies import WireData, WireMeta

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from bailie.dataflow.tensors import Parcel, TensorHandle
    from bailie.pipelinegateway.json_bodies import Given, TensorData

    Known = MutableMapping[int, WireData]

_ANY = msgspec.json.Decoder()
_OF_BINARY = frozenset({"binary_data", "binary_data_size"})
"""Parameters of the binary extension, which say how JSON is followed by bytes."""


def as_protobuf(parcel: Parcel, known: Known) -> Parcel:
    """Returns the same tensors with payloads of `protobuf_bodies`. Raises MalformedBody.

    `known` keeps what was made of each payload: the data of one request passes several topics.
    """
    tensors = tuple(msgspec.structs.replace(each, payload=_payload(each, known)) for each in parcel.tensors)
    return msgspec.structs.replace(parcel, tensors=tensors, meta=WireMeta(_head(parcel.meta)))


def _payload(tensor: TensorHandle, known: Known) -> WireData:
    key = id(tensor.payload)
    if key not in known:
        known[key] = _wire_data(tensor, tensor.payload)  # type: ignore[arg-type]  # as `json_bodies` makes it
    return known[key]


def _wire_data(tensor: TensorHandle, data: TensorData | BinaryData) -> WireData:
    message = pb.ModelInferRequest.InferInputTensor()
    _add_parameters(message.parameters, data.parameters)
    extras = message.SerializeToString()
    if isinstance(data, BinaryData):
        return WireData(extras, (), data.binary)
    values = list(flatten(_decoded(data.data)))
    try:
        if tensor.datatype == "BYTES":
            values = [each.encode() for each in values]
        if tensor.datatype in CONTENTS:
            contents = pb.InferTensorContents(**{CONTENTS[tensor.datatype]: values})
            return WireData(extras, (contents.SerializeToString(),))
        if tensor.datatype in STRUCT_CODES:
            raw = struct.pack(f"<{len(values)}{STRUCT_CODES[tensor.datatype]}", *values)
            return WireData(extras, (), raw)
    except (AttributeError, TypeError, ValueError, OverflowError, struct.error) as error:
        words = f'tensor "{shown(tensor.name)}" does not hold {shown(tensor.datatype)} data: {error}'
        raise MalformedBody(words) from None
    raise MalformedBody(
        f'tensor "{shown(tensor.name)}" of datatype {shown(tensor.datatype)} has no form here'
    )


def _head(meta: object) -> bytes:
    """Returns the fields for id and parameters, which requests and answers have alike."""
    message = pb.ModelInferRequest()
    if isinstance(meta, MessageMeta):
        message.id = "" if meta.id is msgspec.UNSET else _text(meta.id)
        _add_parameters(message.parameters, meta.parameters)
    return message.SerializeToString()


def _add_parameters(target: Any, given: Given) -> None:
    if given is msgspec.UNSET:
        return
    found = _decoded(given)
    kept = {name: value for name, value in found.items() if name not in _OF_BINARY and value is not None}
    try:
        set_parameters(target, kept, "parameters")
    except BadRequest as error:
        raise MalformedBody(shown(str(error))) from None


def _decoded(given: Given) -> Any:
    try:
        return _ANY.decode(bytes(given))  # type: ignore[arg-type]  # never unset here
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(shown(str(error))) from None


def _text(text: str) -> str:
    return text.encode(errors="replace").decode()
