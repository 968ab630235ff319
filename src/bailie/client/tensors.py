"""Arrays and data frames to the tensors of the Open Inference Protocol, and back. Pure.

Used by `rest_wire`, `grpc_wire`, `blocking` and `asynchronous`. The rules for texts and data frames are those
of MLServer's codecs: BYTES with the content type `str` or `base64`; a data frame is a request of the content
type `pd` whose inputs are its columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np

from bailie.inference.codec import flatten

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.client.answers import Array

INPUT = "input-0"
"""The name of an array that has none; servers of one input look at no name."""
DATATYPES = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
"""numpy's types of numbers, and the protocol's."""
_DTYPES = {datatype: np.dtype(name).newbyteorder("<") for name, datatype in DATATYPES.items()}
_LENGTH = 4
"""Bytes of the length in front of each element of BYTES in raw contents."""


@runtime_checkable
class Frame(Protocol):
    """A data frame of pandas or polars."""

    @property
    def columns(self) -> Any:
        """The names of the columns."""

    @property
    def dtypes(self) -> Any:
        """The types of the columns."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tensor:
    """One input: its name, the protocol's datatype, and its elements. Texts are arrays of `str` or of
    `bytes`."""

    name: str
    datatype: str
    array: Array

    @property
    def content_type(self) -> str:
        """MLServer's content type of BYTES, nothing for numbers."""
        if self.datatype != "BYTES":
            return ""
        return "base64" if any(isinstance(each, bytes) for each in self.array.flat) else "str"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The inputs of a request, and the request's parameters."""

    tensors: tuple[Tensor, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)


def inputs_of(data: Any, parameters: Mapping[str, Any] | None = None) -> Inputs:
    """Returns the inputs that an array (or nested lists), a dict of arrays, or a data frame means.

    The columns of a data frame have the shape [rows, 1].

    Raises:
        TypeError: An array has elements that the protocol has no datatype for.
    """
    given = dict(parameters or {})
    if isinstance(data, dict):
        return Inputs(tensors=tuple(_tensor(name, each) for name, each in data.items()), parameters=given)
    if isinstance(data, Frame):
        names = list(data.columns)
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise TypeError(f"two columns of the data frame have the name {twice}")
        columns = tuple(_tensor(str(name), _column(data, name)) for name in names)
        return Inputs(tensors=columns, parameters={"content_type": "pd", **given})
    return Inputs(tensors=(_tensor(INPUT, data),), parameters=given)


def _column(frame: Frame, name: Any) -> Array:
    return cast("Array", cast(Any, frame)[name].to_numpy()).reshape(-1, 1)


def _tensor(name: str, data: Any) -> Tensor:
    array = np.asarray(data)
    datatype = DATATYPES.get(array.dtype.name)
    if datatype is not None:
        return Tensor(name=name, datatype=datatype, array=array)
    if array.dtype.kind not in "USO":
        raise TypeError(f"{name}: the protocol has no datatype for {array.dtype}")
    array = array.astype(object)
    for each in array.flat:
        if not isinstance(each, str | bytes):
            raise TypeError(f"{name}: {each!r} is neither a number nor a text")
    if len({type(each) for each in array.flat}) > 1:
        raise TypeError(f"{name}: str and bytes in one array have no common form")
    return Tensor(name=name, datatype="BYTES", array=array)


def packed(tensor: Tensor) -> bytes:
    """Returns the raw contents of a tensor: little-endian, row-major; texts each after their length."""
    if tensor.datatype != "BYTES":
        return tensor.array.astype(_DTYPES[tensor.datatype], copy=False).tobytes()
    elements = [each if isinstance(each, bytes) else each.encode() for each in tensor.array.flat]
    return b"".join(len(each).to_bytes(_LENGTH, "little") + each for each in elements)


def array_of(datatype: str, shape: Iterable[int], data: Any) -> Array:
    """Returns the array of an output: `data` is raw contents (bytes), or flat or nested lists.

    Texts that are not UTF-8 keep their bytes as Python's surrogate escapes.

    Raises:
        ValueError: The data are not of this datatype and shape.
    """
    sizes = tuple(shape)
    if datatype == "BYTES":
        elements = _texts(data)
        array = np.empty(len(elements), dtype=object)
        array[:] = elements
        return array.reshape(sizes)
    dtype = _DTYPES.get(datatype)
    if dtype is None:
        raise ValueError(f"numpy has no type for {datatype}")
    if isinstance(data, bytes):
        return np.frombuffer(data, dtype=dtype).astype(dtype.newbyteorder("="), copy=True).reshape(sizes)
    return np.array(list(flatten(data)), dtype=dtype.newbyteorder("=")).reshape(sizes)


def _texts(data: Any) -> list[str]:
    elements = _split(data) if isinstance(data, bytes) else flatten(data)
    return [
        each.decode(errors="surrogateescape") if isinstance(each, bytes) else str(each) for each in elements
    ]


def _split(raw: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(raw):
        start = at + _LENGTH
        at = start + int.from_bytes(raw[at:start], "little")
        if at > len(raw):
            raise ValueError("the contents of a BYTES tensor end within an element")
        found.append(raw[start:at])
    return found
