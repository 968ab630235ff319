"""The OpenAPI document of version 2 in protobuf, the only form in which kubectl takes it.

Called by `documents` with what `openapi` makes. kubectl reads it where version 3 says nothing of a kind: a
`List`, a kind that it does not know. It looks for the definitions, to check objects before it sends them, and
for the parameters of PATCH. Field numbers: `openapiv2/OpenAPIv2.proto` of github.com/google/gnostic-models.
Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

Document = dict[str, Any]

_BYTES = 2
_TEXTS = {"$ref": 1, "format": 2, "title": 3, "description": 4, "pattern": 13}
_OPEN = ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string", "nullable")


def encode(document: Document) -> bytes:
    """Returns the encoded `Document`, whose paths can all be patched."""
    info = _text(1, document["info"]["title"]) + _text(2, document["info"]["version"])
    paths = b"".join(
        _named(2, path, _field(8, _operation(item["patch"]))) for path, item in document["paths"].items()
    )
    schemas = b"".join(_named(1, name, _schema(each)) for name, each in document["definitions"].items())
    return _text(1, document["swagger"]) + _field(2, info) + _field(8, paths) + _field(9, schemas)


def _operation(operation: Document) -> bytes:
    parameters = b"".join(_field(8, _parameter(each)) for each in operation["parameters"])
    return parameters + b"".join(_extensions(operation, 13))


def _parameter(parameter: Document) -> bytes:
    """Returns a `ParametersItem` of a parameter in the query, which lies four messages deep."""
    query = _text(2, parameter["in"]) + _text(4, parameter["name"]) + _text(6, parameter["type"])
    return _field(1, _field(2, _field(3, query)))


def _schema(schema: Document) -> bytes:
    """Returns a `Schema`; a form that version 2 cannot express is left open, as Kubernetes does."""
    texts = {key: number for key, number in _TEXTS.items() if key in schema}
    encoded = b"".join(_text(number, schema[key]) for key, number in texts.items())
    if not any(schema.get(key) for key in _OPEN):
        encoded += b"".join(_structure(schema))
    return encoded + b"".join(_extensions(schema, 31))


def _structure(schema: Document) -> Iterator[bytes]:
    yield from (_text(19, name) for name in schema.get("required") or ())
    if isinstance(schema.get("additionalProperties"), dict):
        yield _field(21, _field(1, _schema(schema["additionalProperties"])))
    if "type" in schema:
        yield _field(22, _text(1, schema["type"]))
    if isinstance(schema.get("items"), dict):
        yield _field(23, _field(1, _schema(schema["items"])))
    if schema.get("properties"):
        fields = schema["properties"].items()
        yield _field(25, b"".join(_named(1, name, _schema(each)) for name, each in fields))


def _extensions(value: Document, number: int) -> Iterator[bytes]:
    """Returns the `x-…` fields; their values are YAML, of which JSON is a part."""
    for key, each in value.items():
        if key.startswith("x-"):
            yield _named(number, key, _text(2, orjson.dumps(each).decode()))


def _named(number: int, name: str, value: bytes) -> bytes:
    return _field(number, _text(1, name) + _field(2, value))


def _text(number: int, value: str) -> bytes:
    return _field(number, value.encode())


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
