"""Reads the protobuf form of request bodies, which kubectl sends for built-in kinds.

Called by `codec`. `kubectl create deployment`, `create role`, `auth can-i` and others send
`application/vnd.kubernetes.protobuf` and take JSON as the answer. The messages are those of Kubernetes, cut
out at build (`tools/messages.py` describes them); a body with another kind or field is refused rather than
read in part. Pure. Format:
https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding.
"""

from __future__ import annotations

import base64
import functools
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"

_Message = dict[int, tuple[str, str]]


class ProtobufError(ValueError):
    """The body is malformed, or holds an unknown kind or field; the text says which."""


@functools.cache
def _generated() -> tuple[dict[str, str], dict[str, _Message]]:
    """Returns names of messages by `apiVersion kind`, and messages: field numbers, names in JSON, types."""
    data = orjson.loads(resources.files("kubeapi._generated").joinpath("messages.json").read_bytes())
    tables = data["messages"].items()
    return data["kinds"], {name: {int(key): field for key, field in table.items()} for name, table in tables}


def decode(body: bytes) -> dict[str, Any]:
    """Returns the object in a protobuf body, in its JSON form.

    Raises:
        ProtobufError: the body is malformed, or holds an unknown kind or field.
    """
    if not body.startswith(_MAGIC):
        raise ProtobufError("the body does not start like Kubernetes protobuf")
    try:
        return _decoded(body[len(_MAGIC) :])
    except ProtobufError:
        raise
    except (IndexError, ValueError, OverflowError, OSError) as error:  # of bytes, texts and times
        raise ProtobufError(f"the body is not valid protobuf: {error}") from None


def _decoded(data: bytes) -> dict[str, Any]:
    api_version, kind, raw = _envelope(data)
    name = _DELETE_OPTIONS if kind == "DeleteOptions" else _generated()[0].get(f"{api_version} {kind}")
    if name is None:
        raise ProtobufError(f"{api_version} {kind} is not read as protobuf here, only as JSON or YAML")
    return {"apiVersion": api_version, "kind": kind, **_message(name, raw)}


def _envelope(data: bytes) -> tuple[str, str, bytes]:
    """Returns apiVersion, kind and the encoded object of a `runtime.Unknown`."""
    api_version, kind, raw = "", "", b""
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            names = {key: text for key, text in _fields(value) if isinstance(text, bytes)}
            api_version, kind = names.get(1, b"").decode(), names.get(2, b"").decode()
        elif number == 2 and isinstance(value, bytes):
            raw = value
    return api_version, kind, raw


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == _BYTES:
            length, position = _varint(data, position)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ProtobufError(f"wire type {wire} is not used by Kubernetes")
        if position + length > len(data):
            raise ProtobufError("the body ends in the middle of a field")
        yield number, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while shift < 70:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return result, position
        shift += 7
    raise ProtobufError("a number is longer than 10 bytes")


def _message(name: str, data: bytes) -> dict[str, Any]:
    known = _generated()[1][name]
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        if number not in known:
            said = name.rpartition(".")[2]
            raise ProtobufError(
                f"field {number} of {said} is not read as protobuf here, only as JSON or YAML"
            )
        field, kind = known[number]
        if kind.startswith("[]"):
            found.setdefault(field, []).append(_value(kind[2:], value))
        elif kind.startswith("{}"):
            found.setdefault(field, {}).update(_entry(kind[2:], value))
        elif not field:
            found |= _message(kind.removesuffix("?"), _bytes(value))
        else:
            read = _value(kind.removesuffix("?"), value)
            if kind.endswith("?") or read not in (None, "", 0, False, {}):
                found[field] = read
    return found


def _entry(kind: str, value: int | bytes) -> dict[str, Any]:
    pair = dict(_fields(_bytes(value)))
    return {_bytes(pair.get(1, b"")).decode(): _value(kind, pair.get(2, b""))}


def _value(kind: str, value: int | bytes) -> Any:
    read = _SCALARS.get(kind)
    return read(value) if read else _message(kind, _bytes(value))


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ProtobufError("a number where bytes belong")
    return value


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ProtobufError("bytes where a number belongs")
    return value - (1 << 64) if value >> 63 else value


def _time(value: int | bytes, *, micro: bool = False) -> str | None:
    parts = {number: _number(part) for number, part in _fields(_bytes(value))}
    if not parts.get(1) and not parts.get(2):
        return None
    moment = datetime.fromtimestamp(parts.get(1, 0), UTC).replace(microsecond=parts.get(2, 0) // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def _int_or_text(value: int | bytes) -> int | str:
    parts = dict(_fields(_bytes(value)))
    if parts.get(1):
        return _bytes(parts.get(3, b"")).decode()
    return _number(parts.get(2, 0))


def _quantity(value: int | bytes) -> str:
    return _bytes(dict(_fields(_bytes(value))).get(1, b"")).decode()


def _raw(value: int | bytes) -> Any:
    """Returns JSON within protobuf, for values whose form Kubernetes leaves open."""
    return orjson.loads(_bytes(dict(_fields(_bytes(value))).get(1, b"null")))


def _items(value: int | bytes) -> list[str]:
    return [_bytes(item).decode() for number, item in _fields(_bytes(value)) if number == 1]


_SCALARS: dict[str, Callable[[int | bytes], Any]] = {
    "text": lambda value: _bytes(value).decode(),
    "bytes": lambda value: base64.b64encode(_bytes(value)).decode(),
    "int": _number,
    "bool": lambda value: bool(_number(value)),
    "time": _time,
    "microtime": lambda value: _time(value, micro=True),
    "int_or_text": _int_or_text,
    "quantity": _quantity,
    "raw": _raw,
    "items": _items,
}
