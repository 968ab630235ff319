"""The data of tensors in batches: how it is written, whether it is that of its shape, and a copy to keep.

The part of the dialects that `batches` alone uses. A batch is one message to a model: data of another
encoding, or fewer values than a shape says, would have the model refuse the rows of all other callers. Values
are counted without being decoded, in a few passes over the bytes; `batch_values` looks at what they are.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
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
from bailie.pipelinegateway.batch_values import (
    UnfitValue,
    are_finite,
    check_truths,
    check_varints,
    is_text,
    number_words,
    string_words,
    text_words,
)
from bailie.pipelinegateway.json_bodies import (
    BINARY_SIZE,
    MOST_DIMENSIONS,
    BinaryData,
    MalformedBody,
    MessageMeta,
    TensorData,
    parameters_of,
)
from bailie.pipelinegateway.protobuf_bodies import PARAMETERS, WireMeta

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bailie.dataflow.tensors import Parcel, TensorHandle
    from bailie.pipelinegateway.json_bodies import Given
    from bailie.pipelinegateway.protobuf_bodies import WireData

Encoding = tuple[str, bytes]
"""How data is written, what is unusual in it, and the parameters that say how it is to be read."""

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
NO_TEXT, NOT_FINITE = "no text", "NaN"
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
        others = {key: bytes(each) for key, each in parameters_of(payload.parameters).items()}
        others.pop(BINARY_SIZE, None)
        return f"binary {_raw_words(tensor, payload.binary, walked)}", _in_order(others)
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
    written = _written(tensor, text, walked)
    return written, b"" if payload.parameters is msgspec.UNSET else bytes(payload.parameters)


def protobuf_encoding(tensor: TensorHandle, walked: FieldCount) -> Encoding:
    """Returns how a tensor of protobuf is written. Raises MalformedBody for data that is not of its shape.

    `walked` is that of `json_encoding`.
    """
    payload: WireData = tensor.payload  # type: ignore[assignment]  # as `protobuf_bodies` makes it
    if payload.raw is not None:
        return f"raw {_raw_words(tensor, payload.raw, walked)}", payload.extras
    if tensor.datatype not in _FIELDS:
        _check_least(tensor, sum(map(len, payload.contents)))
        return "typed", payload.extras
    found, words = 0, ""
    try:
        with _values_of(tensor):
            for part in payload.contents:
                number, odd = _typed_values(bytes(part), tensor.datatype, walked)
                found, words = found + number, words or odd
    except MalformedMessage as error:
        name = shown(tensor.name)
        raise MalformedBody(f'the contents of tensor "{name}" are malformed: {error}') from None
    if found != prod(tensor.shape):
        raise _shortage(tensor, f"{found} values")
    return f"typed {words}", payload.extras


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


def _written(tensor: TensorHandle, text: bytes, walked: FieldCount) -> str:
    """Returns how a list of JSON is written: how deep, and what a model may refuse in it.

    Raises MalformedBody for numbers in other lists than those of its shape, and for values that its type
    cannot hold.
    """
    opening = _OPENING.match(text)
    depth = opening.group().count(b"[") if opening else 0
    number = prod(tensor.shape)
    if tensor.datatype == "BYTES" and number:
        _walk(walked, number)
        with _values_of(tensor):
            return f"JSON {depth} {string_words(text, min(depth, MOST_DIMENSIONS), number)}"
    if b'"' in text:
        with _values_of(tensor):
            return f"JSON {depth} {text_words(text)}"
    lists = text.translate(None, _NO_LISTS)
    flat = depth == 1 and lists.count(b"[") > 1
    if flat or (depth == len(tensor.shape) > 1 and not _fits(lists, tensor.shape)):
        name, shape = shown(tensor.name), shown(str(list(tensor.shape)))
        raise MalformedBody(f'the data of tensor "{name}" are in other lists than its shape {shape} says')
    with _values_of(tensor):
        return f"JSON {depth} {number_words(tensor.datatype, text)}"


@contextmanager
def _values_of(tensor: TensorHandle) -> Iterator[None]:
    """Raises MalformedBody with the tensor's name for a value that its type cannot hold."""
    try:
        yield
    except UnfitValue as error:
        raise MalformedBody(f'the data of tensor "{shown(tensor.name)}" {error}') from None


def _walk(walked: FieldCount, number: int) -> None:
    """Counts strings that are looked at one by one. Raises MalformedBody for too many of a request."""
    walked.left -= number
    if walked.left < 0:
        raise MalformedBody(
            f"the request has more than {walked.most} strings, and a batch takes no more of one"
        )


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


def _raw_words(tensor: TensorHandle, data: bytes | memoryview, walked: FieldCount) -> str:
    """Returns what a model may refuse in raw data; empty for nothing. Raises MalformedBody."""
    each = _SIZES.get(tensor.datatype)
    if tensor.datatype == "BYTES":
        return "" if _are_texts(tensor, data, walked) else NO_TEXT
    if each is None:
        _check_least(tensor, len(data))
        return ""
    if len(data) != prod(tensor.shape) * each:
        raise _shortage(tensor, f"{len(data)} bytes")
    with _values_of(tensor):
        if tensor.datatype == "BOOL":
            check_truths(bytes(data))
    return "" if are_finite(tensor.datatype, bytes(data)) else NOT_FINITE


def _check_least(tensor: TensorHandle, size: int) -> None:
    """Refuses data that is too short for values of a type that is not known."""
    if size < prod(tensor.shape):
        raise _shortage(tensor, f"{size} bytes")


def _are_texts(tensor: TensorHandle, data: bytes | memoryview, walked: FieldCount) -> bool:
    """Says whether all strings are text. Raises MalformedBody for other strings than as many as the shape
    says, each of which has its length before it."""
    number, at, texts = prod(tensor.shape), 0, True
    if 4 * number > len(data):
        raise _shortage(tensor, f"{len(data)} bytes of strings")
    _walk(walked, number)
    for _ in range(number):
        begin = at + 4
        at = begin + int.from_bytes(data[at:begin], "little")
        texts = texts and is_text(bytes(data[begin:at]))
    if at != len(data):
        raise _shortage(tensor, f"{len(data)} bytes of strings")
    return texts


def _typed_values(contents: bytes, datatype: str, walked: FieldCount) -> tuple[int, str]:
    """Returns how many values typed contents have, and what a model may refuse in them.

    Raises MalformedMessage for bytes that would be no values of the type between those of others, UnfitValue
    for numbers that the type cannot hold.
    """
    own, found, words = _FIELDS[datatype], 0, ""
    alone = _WIRES.get(own, VARINT)
    for number, wire, _, at, end in fields(contents, 0, len(contents), walked):
        if number != own or wire not in (alone, DELIMITED):
            raise MalformedMessage(f"field {number} has no values of {datatype}")
        values = contents[at:end]
        if alone == DELIMITED:
            found, words = found + 1, words or ("" if is_text(values) else NO_TEXT)
        elif alone == VARINT:
            if _NO_VARINTS.search(values):
                raise MalformedMessage(f"field {number} ends within a number, or has one that is too long")
            check_varints(datatype, values)
            found += len(values.translate(None, _CONTINUED))
        elif len(values) % _SIZES[datatype]:
            raise MalformedMessage(f"field {number} ends within a number")
        else:
            words = words or ("" if are_finite(datatype, values) else NOT_FINITE)
            found += len(values) // _SIZES[datatype]
    return found, words


def _shortage(tensor: TensorHandle, found: str) -> MalformedBody:
    name, shape = shown(tensor.name), shown(str(list(tensor.shape)))
    return MalformedBody(f'the data of tensor "{name}" are {found}, which its shape {shape} does not say')


def _copied(given: Given) -> Given:
    return given if given is msgspec.UNSET else given.copy()


def _size(given: Given | str | bytes) -> int:
    if given is msgspec.UNSET:
        return 0
    return len(given if isinstance(given, str) else bytes(given))
