"""Binary tensors of REST requests, of which MLServer knows nothing: they become the JSON that it reads.

The binary tensor data extension of the V2 protocol, as tritonclient and the KServe SDK send numpy arrays by
default: a JSON object, whose length is in a header, and behind it the raw data of the tensors that name a
size. Answers stay JSON, which these clients read, too. Used by `start`, which hands it to `bailie_bodies`,
under the Python of MLServer's environment.
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

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
ELSE_GRPC = "send the tensor over gRPC, which takes it as it is"


class BadTensors(ValueError):  # noqa: N818 - the name of what the caller made
    """The body is not what its header and its JSON say; the message says where."""


def as_json(body: bytes, header: bytes) -> bytes:
    """Returns the request's JSON with the data of all tensors in it.

    Raises:
        BadTensors: a length, a size or a datatype does not fit.
    """
    length = int(header) if header.isdigit() and len(header) < 16 else -1
    if not 0 <= length <= len(body):
        raise BadTensors(
            "the header inference-header-content-length is not the length of the JSON at the body's beginning"
        )
    try:
        request = json.loads(body[:length])
        tensors = request["inputs"]
        if len(tensors) > MOST_TENSORS:
            raise BadTensors(f"inputs: {len(tensors)} tensors, where {MOST_TENSORS} may be")
        at = length
        for tensor in tensors:
            size = (tensor.get("parameters") or {}).pop("binary_data_size", None)
            if size is not None:
                tensor["data"] = _decoded(tensor, body[at : at + _checked(size, tensor)], size)
                at += size
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, BadTensors):
            raise
        raise BadTensors("the JSON before the binary tensors is no inference request") from error
    if at != len(body):
        raise BadTensors(f"the body has {len(body) - at} bytes more than its tensors")
    return json.dumps(request).encode()


def _checked(size: Any, tensor: Message) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise BadTensors(f"input {tensor.get('name')!r}: binary_data_size is no number of bytes")
    return size


def _decoded(tensor: Message, data: bytes, size: int) -> list[Any]:
    name, datatype = tensor.get("name"), tensor.get("datatype")
    if len(data) != size:
        raise BadTensors(f"input {name!r}: the body ends before its {size} bytes")
    try:
        if datatype == "BYTES":
            return list(_texts(data))
        if datatype not in CODES:
            raise BadTensors(f"input {name!r}: {datatype} cannot be read here; {ELSE_GRPC}")
        code = CODES[datatype]
        values = struct.unpack(f"<{size // struct.calcsize(code)}{code}", data)
    except UnicodeDecodeError as error:
        raise BadTensors(f"input {name!r}: its bytes are no UTF-8; {ELSE_GRPC}") from error
    except struct.error as error:
        raise BadTensors(f"input {name!r}: its bytes are no whole {datatype} elements") from error
    if code in "efd" and not all(map(math.isfinite, values)):
        raise BadTensors(f"input {name!r}: NaN and infinity have no form in JSON; {ELSE_GRPC}")
    return list(values)


def _texts(data: bytes) -> Iterator[str]:
    """Yields the elements of a BYTES tensor: each has its length before it, in four bytes."""
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        at += 4 + size
        if at > len(data):
            raise struct.error
        yield data[at - size : at].decode()
