"""Messages of the Open Inference Protocol over gRPC as tensors, and tensors as messages.

The counterpart of `json_bodies`; called by `grpc_dialect`. The payload of a tensor is a `WireData`: its
contents or raw contents, as they came. Only where both forms meet in one message contents become raw.
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from msgspec import Struct, structs

from bailie._gen import inference_pb2 as pb
from bailie.api.texts import shown
from bailie.dataflow.tensors import Parcel, TensorHandle
from bailie.kube.protobuf_fields import (
    DELIMITED,
    VARINT,
    FieldCount,
    MalformedMessage,
    delimited,
    fields,
    varint,
    varint_bytes,
)
from bailie.pipelinegateway.json_bodies import MOST_DIMENSIONS, MalformedBody

if TYPE_CHECKING:
    from collections.abc import Iterable

    Part = bytes | memoryview

_ID, PARAMETERS = 3, 4
_INPUTS, _WANTED, _RAW_INPUTS = 5, 6, 7
_OUTPUTS, _RAW_OUTPUTS = 5, 6
_NAME, _DATATYPE, _SHAPE, _CONTENTS = 1, 2, 3, 5
_MOST_FIELDS = 1 << 16
"""Fields of one message together with those of its tensors; ten thousand tensors have fewer."""
_LARGEST_DIMENSION = (1 << 63) - 1
_ARRAYS = {
    "INT8": ("b", "int_contents"),
    "INT16": ("h", "int_contents"),
    "INT32": ("i", "int_contents"),
    "INT64": ("q", "int64_contents"),
    "UINT8": ("B", "uint_contents"),
    "UINT16": ("H", "uint_contents"),
    "UINT32": ("I", "uint_contents"),
    "UINT64": ("Q", "uint64_contents"),
    "BOOL": ("b", "bool_contents"),
    "FP32": ("f", "fp32_contents"),
    "FP64": ("d", "fp64_contents"),
}
"""The form of raw contents in memory, which is that of the protocol on all our machines, and their field."""


class WireData(Struct, frozen=True):
    """The payload of a tensor.

    `extras`: parameters and unknown fields as they came. `contents`: the values of its field, which are one
    message together. `raw` is None for data in `contents`.
    """

    extras: bytes
    contents: tuple[Part, ...] = ()
    raw: Part | None = None


class WireMeta(Struct, frozen=True):
    """The `meta` of a parcel: the fields for id and parameters, and the outputs that a request asks for."""

    head: bytes = b""
    wanted: tuple[str, ...] = ()


def decode_request(message: bytes) -> Parcel:
    """Returns the tensors of a ModelInferRequest. Raises MalformedBody."""
    return _decoded(message, _RAW_INPUTS, _WANTED)


def decode_answer(message: bytes) -> Parcel:
    """Returns the tensors of a ModelInferResponse. Raises MalformedBody."""
    return _decoded(message, _RAW_OUTPUTS, 0)


def encode_request(parcel: Parcel) -> bytes:
    """Returns a ModelInferRequest without the model's name, which Envoy writes. Raises MalformedBody."""
    return _encode(parcel, _RAW_INPUTS)


def encode_answer(parcel: Parcel) -> bytes:
    """Returns a ModelInferResponse. As in Seldon Core, `model_name` is empty. Raises MalformedBody."""
    return _encode(parcel, _RAW_OUTPUTS)


def ready_answer(*, ready: bool) -> bytes:
    """Returns a ModelReadyResponse."""
    return b"\x08\x01" if ready else b""


def stacked(tensor: TensorHandle) -> TensorHandle:
    """Returns a tensor of a batch with its parts, of one encoding, put together along the first dimension.

    Contents of several parts are one message by the rules of protobuf.
    """
    parts: tuple[WireData, ...] = tensor.payload  # type: ignore[assignment]  # as `BatchStore` makes it
    if parts[0].raw is not None:
        raw = b"".join(part.raw or b"" for part in parts)
        return structs.replace(tensor, payload=WireData(parts[0].extras, (), raw))
    contents = tuple(value for part in parts for value in part.contents)
    return structs.replace(tensor, payload=WireData(parts[0].extras, contents))


def data_size(tensor: TensorHandle) -> int:
    """Returns the bytes of a tensor's data."""
    data: WireData = tensor.payload  # type: ignore[assignment]  # as `_Reading` makes it
    return len(data.raw or b"") + sum(map(len, data.contents))


def _decoded(message: bytes, raw_field: int, wanted_field: int) -> Parcel:
    try:
        return _Reading(message, raw_field, wanted_field).parcel()
    except MalformedMessage as error:
        raise MalformedBody(str(error)) from error


class _Reading:
    """One message as it is read."""

    def __init__(self, message: bytes, raw_field: int, wanted_field: int) -> None:
        self._data, self._view, self._count = message, memoryview(message), FieldCount(_MOST_FIELDS)
        self._raw_field, self._wanted_field = raw_field, wanted_field

    def parcel(self) -> Parcel:
        tensors: list[TensorHandle] = []
        raw: list[memoryview] = []
        head: list[memoryview] = []
        wanted: list[str] = []
        for number, wire, start, at, end in fields(self._data, 0, len(self._data), self._count):
            if wire != DELIMITED:
                continue  # an unknown field: all of these messages are texts and messages
            if number == self._raw_field:
                raw.append(self._view[at:end])
            elif number == _INPUTS:
                tensors.append(self._tensor(at, end))
            elif number in (_ID, PARAMETERS):
                head.append(self._view[start:end])
            elif number == self._wanted_field:
                wanted.append(self._name_in(at, end))
        meta = WireMeta(b"".join(head), tuple(wanted))
        return Parcel(_with_raw(tensors, raw), meta)

    def _tensor(self, at: int, end: int) -> TensorHandle:
        name = datatype = ""
        shape: list[int] = []
        extras: list[memoryview] = []
        contents: list[memoryview] = []
        for number, wire, start, value, after in fields(self._data, at, end, self._count):
            if number == _SHAPE and wire in (DELIMITED, VARINT):
                self._dimensions(value, after, shape)
            elif wire != DELIMITED or number > _CONTENTS or number == PARAMETERS:
                extras.append(self._view[start:after])
            elif number == _NAME:
                name = self._text(value, after)
            elif number == _DATATYPE:
                datatype = self._text(value, after)
            else:
                contents.append(self._view[value:after])
        if any(size > _LARGEST_DIMENSION for size in shape):
            raise MalformedBody(f'tensor "{shown(name)}" has a dimension below zero')
        return TensorHandle(name, datatype, tuple(shape), WireData(b"".join(extras), tuple(contents)))

    def _name_in(self, at: int, end: int) -> str:
        name = ""
        for number, wire, _, value, after in fields(self._data, at, end, self._count):
            if wire == DELIMITED and number == _NAME:
                name = self._text(value, after)
        return name

    def _dimensions(self, at: int, end: int, shape: list[int]) -> None:
        while at < end:
            size, at = varint(self._data, at, end)
            shape.append(size)
            if len(shape) > MOST_DIMENSIONS:
                raise MalformedBody(f"a tensor has more than {MOST_DIMENSIONS} dimensions")

    def _text(self, at: int, end: int) -> str:
        try:
            return self._data[at:end].decode()
        except UnicodeDecodeError:
            raise MalformedBody(f"the text at byte {at} is no UTF-8") from None


def _with_raw(tensors: list[TensorHandle], raw: list[memoryview]) -> tuple[TensorHandle, ...]:
    """Returns tensors with their raw contents: of all of them or, where there are none, of no one."""
    if not raw:
        for each in tensors:
            _check_data(each)
        return tuple(tensors)
    if len(raw) != len(tensors):
        raise MalformedBody(f"the message has {len(tensors)} tensors and {len(raw)} raw contents")
    found = []
    for tensor, content in zip(tensors, raw, strict=True):
        data: WireData = tensor.payload  # type: ignore[assignment]  # as `_Reading` makes it
        if any(data.contents):
            raise MalformedBody(f'tensor "{shown(tensor.name)}" has contents and raw contents')
        found.append(structs.replace(tensor, payload=WireData(data.extras, (), content)))
    return tuple(found)


def _check_data(tensor: TensorHandle) -> None:
    data: WireData = tensor.payload  # type: ignore[assignment]  # as `_Reading` makes it
    if not (any(data.contents) or data.extras or 0 in tensor.shape):
        raise MalformedBody(f'tensor "{shown(tensor.name)}" has no data')


def _encode(parcel: Parcel, raw_field: int) -> bytes:
    payloads: list[WireData] = [each.payload for each in parcel.tensors]  # type: ignore[misc]  # as read
    if any(each.raw is not None for each in payloads):
        raw = [_raw(*each) for each in zip(parcel.tensors, payloads, strict=True)]
        payloads = [structs.replace(each, contents=()) for each in payloads]
    else:
        raw = []
    parts: list[Part] = [parcel.meta.head] if isinstance(parcel.meta, WireMeta) else []
    for tensor, data in zip(parcel.tensors, payloads, strict=True):
        parts += _tensor_parts(tensor, data)
    for content in raw:
        parts += (delimited(raw_field, len(content)), content)
    return b"".join(parts)


def _tensor_parts(tensor: TensorHandle, data: WireData) -> list[Part]:
    name, datatype = tensor.name.encode(), tensor.datatype.encode()
    shape = _shape_bytes(tensor.shape)
    parts: list[Part] = [delimited(_NAME, len(name)), name, delimited(_DATATYPE, len(datatype)), datatype]
    if shape:
        parts += (delimited(_SHAPE, len(shape)), shape)
    parts.append(data.extras)
    if data.contents:
        parts += (delimited(_CONTENTS, _length(data.contents)), *data.contents)
    return [delimited(_INPUTS, _length(parts)), *parts]


@lru_cache(maxsize=256)
def _shape_bytes(shape: tuple[int, ...]) -> bytes:
    return b"".join(map(varint_bytes, shape))


def _length(parts: Iterable[Part]) -> int:
    return sum(map(len, parts))


def _raw(tensor: TensorHandle, data: WireData) -> Part:
    """Returns a tensor's data in its raw form. Raises MalformedBody."""
    if data.raw is not None:
        return data.raw
    try:
        contents: Any = pb.InferTensorContents.FromString(b"".join(data.contents))
    except DecodeError:
        raise MalformedBody(f'the contents of tensor "{shown(tensor.name)}" are malformed') from None
    if tensor.datatype == "BYTES":
        return b"".join(len(each).to_bytes(4, "little") + each for each in contents.bytes_contents)
    if tensor.datatype not in _ARRAYS:
        words = f'tensor "{shown(tensor.name)}" of datatype {shown(tensor.datatype)}'
        raise MalformedBody(f"{words} has no raw form, which another tensor of its message has")
    kind, field = _ARRAYS[tensor.datatype]
    try:
        return array(kind, getattr(contents, field)).tobytes()
    except OverflowError:
        name = shown(tensor.name)
        raise MalformedBody(f'tensor "{name}" has a number that {tensor.datatype} has not') from None
