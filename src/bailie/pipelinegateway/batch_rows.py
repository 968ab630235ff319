"""The data of tensors in batches: how it is written, whether it is that of its shape, and a copy to keep.

The part of the dialects that `batches` alone uses. A batch is one message to a model: data of another
encoding, or fewer values than a shape says, would have the model refuse the rows of all other callers. Values
are counted without being decoded, in a few passes over the bytes.
"""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from bailie.api.texts import shown
from bailie.kube.protobuf_fields import (
    DELIMITED,
    FIXED32,
    FIXED64,
    VARINT,
    FieldCount,
    MalformedMessage,
    fields,
)
from bailie.pipelinegateway.json_bodies import (
    BINARY_SIZE,
    BinaryData,
    MalformedBody,
    MessageMeta,
    TensorData,
    parameters_of,
)
from bailie.pipelinegateway.protobuf_bodies import PARAMETERS, WireMeta

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.dataflow.tensors import Parcel, TensorHandle
    from bailie.pipelinegateway.json_bodies import Given
    from bailie.pipelinegateway.protobuf_bodies import WireData

Encoding = tuple[str, bytes]
"""How data is written, and the parameters that say how it is to be read."""

_SIZES = {
    "BOOL": 1,
    "INT8": 1,
    "UINT8": 1,
    "INT16": 2,
    "UINT16": 2,
    "FP16": 2,
    "BF16": 2,
    "INT32": 4,
    "UINT32": 4,
    "FP32": 4,
    "INT64": 8,
    "UINT64": 8,
    "FP64": 8,
}
"""The bytes of a value in raw data; of other types they are not known."""
_FIELDS = {
    "BOOL": 1,
    "INT8": 2,
    "INT16": 2,
    "INT32": 2,
    "INT64": 3,
    "UINT8": 4,
    "UINT16": 4,
    "UINT32": 4,
    "UINT64": 5,
    "FP32": 6,
    "FP64": 7,
    "BYTES": 8,
}
"""The field of values of a type in typed contents."""
_WIRES = {6: FIXED32, 7: FIXED64, 8: DELIMITED}
"""How a value of a field is written that stands by itself, where that is no varint."""
_CONTINUED = bytes(range(128, 256))
"""The bytes of a varint that are not its last."""
_NO_VARINTS = re.compile(rb"[\x80-\xff]{10}|[\x80-\xff]\Z")
MOST_WALKED = 1 << 16
"""Values of a request that are counted one by one, as strings are: more would keep all others waiting."""
_OPENING = re.compile(rb"[\[\s]*")
_BETWEEN = b"[], \t\r\n"
_NO_LISTS = bytes(set(range(256)) - set(b"[],"))


def json_encoding(tensor: TensorHandle, walked: FieldCount) -> Encoding:
    """Returns how a tensor of JSON is written. Raises MalformedBody for data that is not of its shape.

    `walked` counts the values of the request that are looked at one by one.
    """
    payload: TensorData | BinaryData = tensor.payload  # type: ignore[assignment]  # as `json_bodies` made it
    if isinstance(payload, BinaryData):
        _check_raw(tensor, payload.binary, walked)
        others = {key: bytes(each) for key, each in parameters_of(payload.parameters).items()}
        others.pop(BINARY_SIZE, None)
        return "binary", _in_order(others)
    text = bytes(payload.data).strip()  # type: ignore[arg-type]  # there is one of the two
    if text[:1] != b"[":
        raise MalformedBody(f'the data of tensor "{shown(tensor.name)}" is no list, as that of a batch is')
    least, most = _values(text)
    number = prod(tensor.shape)
    if not least <= number <= most:
        raise _shortage(tensor, f"{most} values")
    if tensor.datatype in _SIZES and (b'"' in text or b"{" in text):
        name = shown(tensor.name)
        raise MalformedBody(f'the data of tensor "{name}" is not of numbers, and {tensor.datatype} is')
    written = _written(tensor, text)
    return written, b"" if payload.parameters is msgspec.UNSET else bytes(payload.parameters)


def protobuf_encoding(tensor: TensorHandle, walked: FieldCount) -> Encoding:
    """Returns how a tensor of protobuf is written. Raises MalformedBody for data that is not of its shape.

    `walked` is that of `json_encoding`.
    """
    payload: WireData = tensor.payload  # type: ignore[assignment]  # as `protobuf_bodies` makes it
    if payload.raw is not None:
        _check_raw(tensor, payload.raw, walked)
        return "raw", payload.extras
    if tensor.datatype not in _FIELDS:
        _check_least(tensor, sum(map(len, payload.contents)))
        return "typed", payload.extras
    try:
        found = sum(_typed_values(bytes(part), tensor.datatype, walked) for part in payload.contents)
    except MalformedMessage as error:
        name = shown(tensor.name)
        raise MalformedBody(f'the contents of tensor "{name}" are malformed: {error}') from None
    if found != prod(tensor.shape):
        raise _shortage(tensor, f"{found} values")
    return "typed", payload.extras


def json_parameters(meta: object) -> bytes:
    """Returns the parameters of a whole message of JSON, in one order. Raises MalformedBody."""
    given = meta.parameters if isinstance(meta, MessageMeta) else msgspec.UNSET
    return _in_order({key: bytes(each) for key, each in parameters_of(given).items()})


def protobuf_parameters(meta: object) -> bytes:
    """Returns the parameters of a whole message of protobuf, in one order."""
    head = meta.head if isinstance(meta, WireMeta) else b""
    found = fields(head, 0, len(head), FieldCount(MOST_WALKED))
    return b"".join(sorted(head[start:end] for number, _, start, _, end in found if number == PARAMETERS))


def kept_json(parcel: Parcel) -> tuple[Parcel, int]:
    """Returns tensors of JSON that hold no other byte of their message in memory, and their bytes."""
    meta, size, tensors = parcel.meta, 0, []
    if isinstance(meta, MessageMeta):
        meta = structs.replace(meta, parameters=_copied(meta.parameters), wanted=())
        size += _size(meta.id) + _size(meta.parameters)
    for tensor in parcel.tensors:
        payload: TensorData | BinaryData = tensor.payload  # type: ignore[assignment]  # as `json_bodies` made it
        own = structs.replace(payload, parameters=_copied(payload.parameters))
        if isinstance(own, TensorData):
            own = structs.replace(own, data=_copied(own.data))
        data = own.binary if isinstance(own, BinaryData) else own.data
        size += _size(own.parameters) + _size(data) + len(tensor.name) + len(tensor.datatype)
        tensors.append(structs.replace(tensor, payload=own))
    return structs.replace(parcel, tensors=tuple(tensors), meta=meta), size


def kept_protobuf(parcel: Parcel) -> tuple[Parcel, int]:
    """Returns tensors of protobuf that hold no other byte of their message in memory, and their bytes."""
    meta, size, tensors = parcel.meta, 0, []
    if isinstance(meta, WireMeta):
        meta = structs.replace(meta, wanted=())
        size += len(meta.head)
    for tensor in parcel.tensors:
        payload: WireData = tensor.payload  # type: ignore[assignment]  # as `protobuf_bodies` makes it
        raw = None if payload.raw is None else bytes(payload.raw)
        own = structs.replace(payload, contents=tuple(map(bytes, payload.contents)), raw=raw)
        size += len(own.extras) + sum(map(len, own.contents)) + len(own.raw or b"")
        size += len(tensor.name) + len(tensor.datatype)
        tensors.append(structs.replace(tensor, payload=own))
    return structs.replace(parcel, tensors=tuple(tensors), meta=meta), size


def _in_order(parameters: Mapping[str, bytes]) -> bytes:
    return repr(sorted(parameters.items())).encode() if parameters else b""


def _written(tensor: TensorHandle, text: bytes) -> str:
    """Returns how a list of JSON is written: how deep, and whether numbers are missing in it, which a model
    may refuse. Raises MalformedBody for numbers in other lists than those of its shape."""
    opening = _OPENING.match(text)
    depth = opening.group().count(b"[") if opening else 0
    if b'"' in text:
        return f"JSON {depth}"
    lists = text.translate(None, _NO_LISTS)
    flat = depth == 1 and lists.count(b"[") > 1
    if flat or (depth == len(tensor.shape) > 1 and not _fits(lists, tensor.shape)):
        name, shape = shown(tensor.name), shown(str(list(tensor.shape)))
        raise MalformedBody(f'the data of tensor "{name}" are in other lists than its shape {shape} says')
    return f"JSON {depth} with null" if b"null" in text else f"JSON {depth}"


def _fits(lists: bytes, shape: tuple[int, ...]) -> bool:
    """Says whether brackets and commas are those of values in nested lists of a shape."""
    wanted = [prod(shape[:depth]) for depth in range(len(shape))]
    if lists.count(b"[") != sum(wanted):
        return False  # first: those of the shape may be many times longer
    found = b""
    for size in reversed(shape):
        found = b"[" + b",".join([found] * size) + b"]"
    return lists == found


def _values(text: bytes) -> tuple[int, int]:
    """Returns how many values a list of JSON has, at least and at most; with strings they may differ.

    Each comma is between two values, but for those in strings.
    """
    if not text.translate(None, _BETWEEN):
        return 0, 0
    most = text.count(b",") + 1
    if b'"' not in text:
        return most, most
    plain = text.replace(b"\\\\", b"") if b"\\" in text else text
    return min(most, (plain.count(b'"') - plain.count(b'\\"')) // 2), most


def _check_raw(tensor: TensorHandle, data: bytes | memoryview, walked: FieldCount) -> None:
    each = _SIZES.get(tensor.datatype)
    if tensor.datatype == "BYTES":
        _check_strings(tensor, data, walked)
    elif each is None:
        _check_least(tensor, len(data))
    elif len(data) != prod(tensor.shape) * each:
        raise _shortage(tensor, f"{len(data)} bytes")


def _check_least(tensor: TensorHandle, size: int) -> None:
    """Refuses data that is too short for values of a type that is not known."""
    if size < prod(tensor.shape):
        raise _shortage(tensor, f"{size} bytes")


def _check_strings(tensor: TensorHandle, data: bytes | memoryview, walked: FieldCount) -> None:
    """Refuses other strings than as many as the shape says, each of which has its length before it."""
    number, at = prod(tensor.shape), 0
    if 4 * number > len(data):
        raise _shortage(tensor, f"{len(data)} bytes of strings")
    walked.left -= number
    if walked.left < 0:
        raise MalformedBody(
            f"the request has more than {walked.most} strings, and a batch takes no more of one"
        )
    for _ in range(number):
        at += 4 + int.from_bytes(data[at : at + 4], "little")
    if at != len(data):
        raise _shortage(tensor, f"{len(data)} bytes of strings")


def _typed_values(contents: bytes, datatype: str, walked: FieldCount) -> int:
    """Returns how many values typed contents have. Raises MalformedMessage for bytes that would be no values
    of the type between those of others."""
    own, found = _FIELDS[datatype], 0
    alone = _WIRES.get(own, VARINT)
    for number, wire, _, at, end in fields(contents, 0, len(contents), walked):
        if number != own or wire not in (alone, DELIMITED):
            raise MalformedMessage(f"field {number} has no values of {datatype}")
        if wire == alone:
            found += 1
        elif alone == VARINT:
            packed = contents[at:end]
            if _NO_VARINTS.search(packed):
                raise MalformedMessage(f"field {number} ends within a number, or has one that is too long")
            found += len(packed.translate(None, _CONTINUED))
        elif (end - at) % _SIZES[datatype]:
            raise MalformedMessage(f"field {number} ends within a number")
        else:
            found += (end - at) // _SIZES[datatype]
    return found


def _shortage(tensor: TensorHandle, found: str) -> MalformedBody:
    name, shape = shown(tensor.name), shown(str(list(tensor.shape)))
    return MalformedBody(f'the data of tensor "{name}" are {found}, which its shape {shape} does not say')


def _copied(given: Given) -> Given:
    return given if given is msgspec.UNSET else given.copy()


def _size(given: Given | str | bytes) -> int:
    if given is msgspec.UNSET:
        return 0
    return len(given if isinstance(given, str) else bytes(given))
