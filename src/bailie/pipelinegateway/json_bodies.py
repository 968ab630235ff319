"""Bodies of the Open Inference Protocol as tensors, and tensors as bodies; the data itself is never decoded.

Called by `rest_dialect` for requests and by `step_calls` for the steps. A payload is a `TensorData`, the
tensor's JSON as it came, or its `BinaryData` of the binary extension, whose JSON INFERENCE_LENGTH measures.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from bailie.api.texts import shown
from bailie.dataflow.tensors import Parcel, TensorHandle

INFERENCE_LENGTH = b"inference-header-content-length"
"""The header that says how many bytes of a body are JSON; the binary data of tensors is behind them."""
BINARY_SIZE = "binary_data_size"
_LONGEST_WORDS = 500
MOST_TENSORS = 10_000
"""Of one message, and the outputs that a request may ask for: each takes ten times the memory of its text."""
MOST_DIMENSIONS = 64

Given = msgspec.Raw | msgspec.UnsetType
_Dimension = Annotated[int, msgspec.Meta(ge=0)]
_Shape = Annotated[tuple[_Dimension, ...], msgspec.Meta(max_length=MOST_DIMENSIONS)]
_Few = Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MOST_TENSORS)]


class MalformedBody(ValueError):  # noqa: N818 - the name of what the sender made
    """A body is no message of the protocol; the text says which part is wrong."""


class TensorData(msgspec.Struct, frozen=True, omit_defaults=True):
    """The payload of a tensor with data in JSON: the tensor itself, parameters and data as they came."""

    name: str
    datatype: str
    shape: _Shape
    parameters: Given = msgspec.UNSET
    data: Given = msgspec.UNSET


class BinaryData(msgspec.Struct, frozen=True):
    """The payload of a tensor whose data follows the JSON: `parameters` as they came, and the data."""

    parameters: Given
    binary: bytes


class MessageMeta(msgspec.Struct, frozen=True):
    """The `meta` of a parcel: the message's id and parameters, and the outputs that a request asks for."""

    id: str | msgspec.UnsetType = msgspec.UNSET
    parameters: Given = msgspec.UNSET
    wanted: tuple[str, ...] = ()


class EncodedBody(msgspec.Struct, frozen=True):
    """A body, and how many bytes of it are JSON where binary data follows; 0 where all of it is."""

    content: bytes
    json_bytes: int = 0


class _Wanted(msgspec.Struct):
    name: str


class _Request(msgspec.Struct, omit_defaults=True):
    inputs: list[TensorData]
    id: str | msgspec.UnsetType = msgspec.UNSET
    parameters: Given = msgspec.UNSET
    outputs: list[_Wanted] = []


class _Answer(msgspec.Struct, omit_defaults=True):
    outputs: list[TensorData]
    model_name: str | msgspec.UnsetType | None = msgspec.UNSET
    id: str | msgspec.UnsetType | None = msgspec.UNSET
    parameters: Given = msgspec.UNSET


class _Counted(msgspec.Struct):
    inputs: _Few = []
    outputs: _Few = []


_COUNTED = msgspec.json.Decoder(_Counted)
_REQUESTS, _ANSWERS = msgspec.json.Decoder(_Request), msgspec.json.Decoder(_Answer)
_PARAMETERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER = msgspec.json.Encoder()


def decode_request(body: bytes, json_bytes: int = 0) -> Parcel:
    """Returns the tensors of a request. `json_bytes`: as in `EncodedBody`. Raises MalformedBody."""
    found: _Request = _decoded(_REQUESTS, _json_part(body, json_bytes))
    meta = MessageMeta(found.id, found.parameters, tuple([each.name for each in found.outputs]))
    return Parcel(_handles(found.inputs, body[json_bytes:] if json_bytes else b""), meta)


def decode_answer(body: bytes, json_bytes: int = 0) -> Parcel:
    """Returns the tensors of a model's answer. Raises MalformedBody."""
    found: _Answer = _decoded(_ANSWERS, _json_part(body, json_bytes))
    meta = MessageMeta(msgspec.UNSET if found.id is None else found.id, found.parameters)
    return Parcel(_handles(found.outputs, body[json_bytes:] if json_bytes else b""), meta)


def encode_request(parcel: Parcel) -> EncodedBody:
    """Returns the body of a call of a step."""
    meta = _meta(parcel)
    tensors, tail = _tensors(parcel.tensors)
    return _with_tail(_Request(tensors, meta.id, meta.parameters), tail)


def encode_answer(parcel: Parcel) -> EncodedBody:
    """Returns the body of a pipeline's answer. As in Seldon Core, `model_name` is empty."""
    meta = _meta(parcel)
    tensors, tail = _tensors(parcel.tensors)
    return _with_tail(_Answer(tensors, "", meta.id, meta.parameters), tail)


def chosen(answer: Parcel, wanted: tuple[str, ...]) -> Parcel:
    """Returns the outputs that a request asks for, each once, and all without a wish.

    A short request may ask for an output very often, whose copies would fill the memory of all requests.
    Raises MalformedBody for outputs that are not there.
    """
    if not wanted:
        return answer
    by_name = {tensor.name: tensor for tensor in answer.tensors}
    missing = next((name for name in wanted if name not in by_name), None)
    if missing is not None:
        there = ", ".join(by_name) or "none"
        raise MalformedBody(shown(f'the answer has no output "{missing}" (outputs: {there})', _LONGEST_WORDS))
    return msgspec.structs.replace(answer, tensors=tuple(by_name[name] for name in dict.fromkeys(wanted)))


def stacked(tensor: TensorHandle) -> TensorHandle:
    """Returns a tensor of a batch with its parts, of one encoding, put together along the first dimension."""
    parts: tuple[Any, ...] = tensor.payload  # type: ignore[assignment]  # as `BatchStore` makes it
    if len(parts) == 1:
        return _with_payload(tensor, parts[0])
    if isinstance(parts[0], BinaryData):
        joined = b"".join(part.binary for part in parts)
        return _with_payload(tensor, msgspec.structs.replace(parts[0], binary=joined))
    rows = (bytes(part.data).strip()[1:-1].strip() for part in parts)
    data = msgspec.Raw(b"[" + b",".join(row for row in rows if row) + b"]")
    return _with_payload(tensor, msgspec.structs.replace(parts[0], data=data))


def _with_payload(tensor: TensorHandle, payload: TensorData | BinaryData) -> TensorHandle:
    return msgspec.structs.replace(tensor, payload=payload)


def data_size(tensor: TensorHandle) -> int:
    """Returns the bytes of a tensor's data."""
    data: TensorData | BinaryData = tensor.payload  # type: ignore[assignment]  # as `_handles` made it
    return len(data.binary if isinstance(data, BinaryData) else bytes(data.data))  # type: ignore[arg-type]


def _decoded(decoder: Any, body: bytes | memoryview) -> Any:
    try:
        return decoder.decode(body)
    except RecursionError:
        raise MalformedBody("the JSON is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedBody(shown(str(error), _LONGEST_WORDS)) from None


def _json_part(body: bytes, json_bytes: int) -> bytes:
    if json_bytes > len(body):
        raise MalformedBody(f"the JSON has {json_bytes} bytes by its header, and the body {len(body)}")
    text = body[:json_bytes] if json_bytes else body
    if len(text) > MOST_TENSORS and text.count(b"{") > MOST_TENSORS:  # each is an object
        _decoded(_COUNTED, text)
    return text


def _handles(tensors: list[TensorData], tail: bytes) -> tuple[TensorHandle, ...]:
    found, at = [], 0
    for each in tensors:
        payload: TensorData | BinaryData = each
        if each.data is msgspec.UNSET:
            size = _binary_size(each)
            payload = BinaryData(each.parameters, tail[at : at + size])
            if len(payload.binary) < size:
                raise MalformedBody(f'tensor "{shown(each.name)}" has less binary data than it says')
            at += size
        found.append(TensorHandle(each.name, each.datatype, each.shape, payload))
    if at != len(tail):
        raise MalformedBody(f"the tensors have {at} bytes of binary data, and the body {len(tail)}")
    return tuple(found)


def _binary_size(tensor: TensorData) -> int:
    given = parameters_of(tensor.parameters).get(BINARY_SIZE)
    text = bytes(given) if given is not None else b""
    if not text.isdigit() or len(text) > 15:
        raise MalformedBody(f'tensor "{shown(tensor.name)}" has no data')
    return int(text)


def parameters_of(given: Given) -> dict[str, msgspec.Raw]:
    """Returns the parameters of a tensor by name. Raises MalformedBody."""
    if given is msgspec.UNSET:
        return {}
    found: dict[str, msgspec.Raw] = _decoded(_PARAMETERS, bytes(given))
    return found


def _meta(parcel: Parcel) -> MessageMeta:
    return parcel.meta if isinstance(parcel.meta, MessageMeta) else MessageMeta()


def _tensors(handles: tuple[TensorHandle, ...]) -> tuple[list[TensorData], bytes]:
    found, tail = [], []
    for each in handles:
        payload: TensorData | BinaryData = each.payload  # type: ignore[assignment]  # as `_handles` made it
        if isinstance(payload, BinaryData):
            tail.append(payload.binary)
            parameters = _sized(payload.parameters, len(payload.binary))
            payload = TensorData(each.name, each.datatype, each.shape, parameters)
        elif payload.name != each.name or payload.shape != each.shape:
            payload = TensorData(each.name, each.datatype, each.shape, payload.parameters, payload.data)
        found.append(payload)
    return found, b"".join(tail)


def _sized(parameters: Given, size: int) -> msgspec.Raw:
    """Returns the parameters with the size of the binary data, which a batch has changed."""
    raw = parameters_of(parameters) | {BINARY_SIZE: msgspec.Raw(str(size).encode())}
    return msgspec.Raw(_ENCODER.encode(raw))


def _with_tail(message: msgspec.Struct, tail: bytes) -> EncodedBody:
    content = _ENCODER.encode(message)
    return EncodedBody(content + tail, len(content)) if tail else EncodedBody(content)
