"""The JSON form of the Open Inference Protocol to and from its protobuf form.

Pure: used where a person writes JSON and the call goes out as gRPC. Rules are the protocol's: `data` is flat
or nested row-major, BYTES are strings, FP16 and BF16 have no typed field and are refused.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from bailie._gen import inference_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Datatype to the field of InferTensorContents that carries it."""
STRUCT_CODES = {
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
"""Datatype to the letter of `struct` for one element of raw contents, which are little-endian."""
_PROTOBUF_FORM = frozenset({"contents", "raw_input_contents", "rawInputContents"})
"""Keys that only the protobuf message's own JSON form has, in the request or in an input."""


class BadRequest(ValueError):  # noqa: N818 - the name of what the user made
    """The JSON is not a request of the protocol; the message says which part is wrong."""


def to_protobuf(model: str, body: Mapping[str, Any]) -> inference_pb2.ModelInferRequest:
    """Returns the gRPC request for a JSON request body: the protocol's JSON, or the JSON form of the message
    itself (`"contents": {"fp32_contents": […]}`), as notebooks for gRPC have it.

    Raises:
        BadRequest: A tensor lacks a field, has an unknown datatype, or its data do not fit the datatype.
    """
    if _is_protobuf_form(body):
        return _parsed_message(model, body)
    request = inference_pb2.ModelInferRequest(model_name=model)
    request.id = _text(str(body.get("id", "")), "id")
    set_parameters(request.parameters, body.get("parameters"), "parameters")
    for where, tensor in _objects(body.get("inputs"), "inputs"):
        _add_input(request, tensor, where)
    for where, output in _objects(body.get("outputs") or [], "outputs"):
        wanted = request.outputs.add(name=_text(output.get("name"), f"{where}.name"))
        set_parameters(wanted.parameters, output.get("parameters"), f"{where}.parameters")
    return request


def _is_protobuf_form(body: Mapping[str, Any]) -> bool:
    inputs = body.get("inputs")
    tensors = inputs if isinstance(inputs, list) else []
    return any(_PROTOBUF_FORM & each.keys() for each in (body, *tensors) if isinstance(each, dict))


def _parsed_message(model: str, body: Mapping[str, Any]) -> inference_pb2.ModelInferRequest:
    request = inference_pb2.ModelInferRequest()
    try:
        json_format.ParseDict(dict(body), request)
    except (json_format.ParseError, RecursionError, UnicodeError) as error:
        raise BadRequest(f"not the JSON form of a ModelInferRequest: {error}") from error
    request.model_name = model
    return request


def _add_input(request: inference_pb2.ModelInferRequest, tensor: Mapping[str, Any], where: str) -> None:
    missing = [key for key in ("name", "shape", "datatype", "data") if key not in tensor]
    if missing:
        raise BadRequest(f'{where} lacks "{missing[0]}"')
    datatype = tensor["datatype"]
    if not isinstance(datatype, str) or datatype not in CONTENTS:
        raise BadRequest(
            f"{where}.datatype {datatype!r} cannot be sent as JSON; known are {', '.join(CONTENTS)}"
        )
    added = request.inputs.add(name=_text(tensor["name"], f"{where}.name"), datatype=datatype)
    set_parameters(added.parameters, tensor.get("parameters"), f"{where}.parameters")
    try:
        added.shape.extend(tensor["shape"])
        values = flatten(tensor["data"])
        if datatype == "BYTES":
            values = (_bytes(value) for value in values)
        getattr(added.contents, CONTENTS[datatype]).extend(values)
    except (TypeError, ValueError) as error:
        raise BadRequest(f"{where} does not hold {datatype} data: {error}") from error


def _objects(value: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the objects of a list, each with its place."""
    if not isinstance(value, list):
        raise BadRequest(f'"{where}" must be a list of tensors')
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise BadRequest(f"{where}[{index}] must be an object")
        yield f"{where}[{index}]", item


def _text(value: Any, where: str) -> str:
    """Returns a text that protobuf takes: JSON knows halves of characters, UTF-8 does not."""
    if not isinstance(value, str):
        raise BadRequest(f"{where} must be a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadRequest(f"{where} is not Unicode: {error.reason}") from error
    return value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value.encode()


def flatten(data: Any) -> Iterator[Any]:
    """Yields the elements of nested lists in row-major order, however deep; a scalar is one element."""
    rest = [iter([data])]
    while rest:
        for item in rest[-1]:
            if isinstance(item, list):
                rest.append(iter(item))
                break
            yield item
        else:
            rest.pop()


def from_protobuf(response: inference_pb2.ModelInferResponse) -> dict[str, Any]:
    """Returns the JSON form of a gRPC response; raw contents that have no JSON form become base64."""
    outputs = []
    for index, tensor in enumerate(response.outputs):
        field = CONTENTS.get(tensor.datatype)
        if index < len(response.raw_output_contents):
            data: Any = _raw_as_json(tensor.datatype, response.raw_output_contents[index])
        else:
            data = [_plain(value) for value in getattr(tensor.contents, field)] if field else []
        output = {"name": tensor.name, "shape": list(tensor.shape), "datatype": tensor.datatype, "data": data}
        if tensor.parameters:
            output["parameters"] = _get_parameters(tensor.parameters)
        outputs.append(output)
    result: dict[str, Any] = {"model_name": response.model_name, "id": response.id, "outputs": outputs}
    if response.parameters:
        result["parameters"] = _get_parameters(response.parameters)
    return result


def reason_of(body: Any) -> str:
    """Returns the error in an answer: Envoy's, a V2 server's, the API server's, or a list of wrong fields
    (FastAPI's)."""
    if not isinstance(body, dict):
        return ""
    if body.get("kind") == "Status":  # of the API server, on the way to the data plane
        return str(body.get("message") or "")
    error = body.get("error")
    if isinstance(error, dict):
        return str(error.get("message", error))
    wrong = body.get("detail")
    if isinstance(wrong, list):
        fields = [each for each in wrong if isinstance(each, dict) and "msg" in each]
        return "; ".join(f"{'.'.join(map(str, each.get('loc', ())))}: {each['msg']}" for each in fields)
    return str(error or "")


def message_as_json(response: inference_pb2.ModelInferResponse) -> dict[str, Any]:
    """Returns the JSON form of the message itself, raw contents moved into the typed fields where they
    can be."""
    typed = inference_pb2.ModelInferResponse()
    typed.CopyFrom(response)
    values = [
        unpacked(tensor.datatype, raw)
        for tensor, raw in zip(typed.outputs, typed.raw_output_contents, strict=False)
    ]
    if values and all(each is not None for each in values) and len(values) == len(typed.outputs):
        for tensor, each in zip(typed.outputs, values, strict=True):
            field = CONTENTS.get(tensor.datatype, "fp32_contents")
            getattr(tensor.contents, field).extend(each or ())
        del typed.raw_output_contents[:]
    found: dict[str, Any] = json_format.MessageToDict(typed)
    return found


def _raw_as_json(datatype: str, raw: bytes) -> Any:
    values = unpacked(datatype, raw)
    return base64.b64encode(raw).decode() if values is None else [_plain(value) for value in values]


def unpacked(datatype: str, raw: bytes) -> list[Any] | None:
    """Returns the elements of a tensor's raw contents: numbers, or bytes for BYTES; None where the contents
    are not of the datatype, or the datatype is unknown (BF16)."""
    if datatype == "BYTES":
        return _unpacked_bytes(raw)
    letter = STRUCT_CODES.get(datatype)
    if letter is None or len(raw) % struct.calcsize(f"<{letter}"):
        return None
    return [value for (value,) in struct.iter_unpack(f"<{letter}", raw)]


def _unpacked_bytes(raw: bytes) -> list[Any] | None:
    """Returns the elements of BYTES, each of which follows its length (four bytes, little-endian)."""
    found, at = [], 0
    while at < len(raw):
        start = at + 4
        at = start + int.from_bytes(raw[at:start], "little")
        if at > len(raw):
            return None
        found.append(raw[start:at])
    return found


def _plain(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def set_parameters(target: Any, parameters: Any, where: str) -> None:
    """Puts parameters into a field of a message. Raises BadRequest with the place of a value that has no
    form."""
    if not isinstance(parameters, dict | None):
        raise BadRequest(f"{where} must be an object")
    fields = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    for name, value in (parameters or {}).items():
        place = f"{where}.{name}"
        if type(value) not in fields:
            raise BadRequest(f"{place} must be a boolean, a number or a string")
        taken = _text(value, place) if isinstance(value, str) else value
        parameter = target[_text(name, f"a name in {where}")]
        try:
            setattr(parameter, fields[type(value)], taken)
        except ValueError as error:
            raise BadRequest(f"{place}: {error}") from error


def _get_parameters(source: Any) -> dict[str, Any]:
    chosen = {name: (value, value.WhichOneof("parameter_choice")) for name, value in source.items()}
    return {name: getattr(value, field) if field else None for name, (value, field) in chosen.items()}
