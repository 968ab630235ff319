"""Binary tensors of REST requests, of which MLServer knows nothing: they become the values that it reads.

The binary tensor data extension of the V2 protocol, as tritonclient and the KServe SDK send numpy arrays by
default: a JSON object, whose length is in a header, and behind it the raw data of the tensors that name a
size. Answers stay JSON, which these clients read, too. Used by `start`, which hands it to `bailie_bodies`,
under the Python of MLServer's environment.

A hundred megabytes become as many values, and text of them would take the server's event loop sixteen
seconds. So the values are made in a thread, piece by piece, between which other threads have their turn; they
are no text on the way to MLServer; and their memory is known before.
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Message = dict[str, Any]

CODES = {
    "BOOL": "?",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
"""Datatypes of the protocol, and what `struct` calls an element of their raw data, which is little-endian."""
MOST_TENSORS = 10_000
"""As in `bailie_bodies`."""
_PIECE = 16 << 10
"""Values that are made at a time: one call of `struct` keeps all other threads from their work."""
_POINTER, _FLOAT, _INTEGER, _STRING = 8, 24, 32, 64
"""Bytes that Python takes for a value in a list, and for an object of each kind: a string beside its text."""
_SMALL = frozenset({"BOOL", "INT8", "UINT8"})
"""Python has one object for each of their values."""
ELSE_GRPC = "send the tensor over gRPC, which takes it as it is"


class BadTensors(ValueError):  # noqa: N818 - the name of what the caller made
    """The body is not what its header and its JSON say; the message says where."""


class BinaryRequest:
    """A request whose tensors are still binary. `memory`: about the bytes that their values take."""

    def __init__(self, body: bytes, header: bytes) -> None:
        """Reads the JSON before the data. Raises BadTensors where a length or a size does not fit."""
        length = int(header) if header.isdigit() and len(header) < 16 else -1
        if not 0 <= length <= len(body):
            raise BadTensors(
                "the header inference-header-content-length is not the length of the JSON at the body's"
                " beginning"
            )
        self._request: Message
        self._tensors: list[tuple[Message, memoryview]] = []
        try:
            self._request = json.loads(body[:length])
            end = self._cut(self._request["inputs"], memoryview(body), length)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, BadTensors):
                raise
            raise BadTensors("the JSON before the binary tensors is no inference request") from error
        if end != len(body):
            raise BadTensors(f"the body has {len(body) - end} bytes more than its tensors")
        self.memory = sum(_memory(tensor.get("datatype"), data) for tensor, data in self._tensors)

    def _cut(self, tensors: Any, data: memoryview, at: int) -> int:
        """Finds the data of each tensor; returns where the data ends."""
        if len(tensors) > MOST_TENSORS:
            raise BadTensors(f"inputs: {len(tensors)} tensors, where {MOST_TENSORS} may be")
        for tensor in tensors:
            size = (tensor.get("parameters") or {}).pop("binary_data_size", None)
            if size is not None:
                found = data[at : at + _checked(size, tensor)]
                if len(found) != size:
                    raise BadTensors(f"input {tensor.get('name')!r}: the body ends before its {size} bytes")
                self._tensors.append((tensor, found))
                at += size
        return at

    def values(self) -> Message:
        """Returns the request with the values of all tensors. Raises BadTensors."""
        for tensor, data in self._tensors:
            tensor["data"] = _decoded(tensor, data)
        return self._request


def _memory(datatype: Any, data: memoryview) -> int:
    if datatype == "BYTES":
        return len(data) + _strings(data) * (_POINTER + _STRING)
    if datatype not in CODES:
        return 0  # which is refused
    number = len(data) // struct.calcsize(CODES[datatype])
    object_bytes = 0 if datatype in _SMALL else _FLOAT if datatype.startswith("FP") else _INTEGER
    return number * (_POINTER + object_bytes)


def _strings(data: memoryview) -> int:
    at = number = 0
    while at < len(data):
        at += 4 + int.from_bytes(data[at : at + 4], "little")
        number += 1
    return number


def _checked(size: Any, tensor: Message) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise BadTensors(f"input {tensor.get('name')!r}: binary_data_size is no number of bytes")
    return size


def _decoded(tensor: Message, data: memoryview) -> list[Any]:
    name, datatype = tensor.get("name"), tensor.get("datatype")
    try:
        if datatype == "BYTES":
            return list(_texts(data))
        if datatype not in CODES:
            raise BadTensors(f"input {name!r}: {datatype} cannot be read here; {ELSE_GRPC}")
        code, found = CODES[datatype], list[Any]()
        for values in _pieces(code, data):
            if code in "efd" and not all(map(math.isfinite, values)):
                raise BadTensors(f"input {name!r}: NaN and infinity have no form in JSON; {ELSE_GRPC}")
            found.extend(values)
    except UnicodeDecodeError as error:
        raise BadTensors(f"input {name!r}: its bytes are no UTF-8; {ELSE_GRPC}") from error
    except struct.error as error:
        raise BadTensors(f"input {name!r}: its bytes are no whole {datatype} elements") from error
    return found


def _pieces(code: str, data: memoryview) -> Iterator[Sequence[Any]]:
    each = struct.calcsize(code)
    for at in range(0, len(data), _PIECE * each):
        piece = data[at : at + _PIECE * each]
        yield struct.unpack(f"<{len(piece) // each}{code}", piece)


def _texts(data: memoryview) -> Iterator[str]:
    """Yields the elements of a BYTES tensor: each has its length before it, in four bytes."""
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        at += 4 + size
        if at > len(data):
            raise struct.error
        yield str(data[at - size : at], "utf-8")
