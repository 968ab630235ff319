"""The JSON form of the Open Inference Protocol to and from its protobuf form.

Pure: used where a person writes JSON and the call goes out as gRPC. Rules are the protocol's: `data` is flat
or nested row-major, BYTES are strings, FP16 and BF16 have no typed field and are refused.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

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


class BadRequest(ValueError):  # noqa: N818 - the name of what the user made
    """The JSON is not a request of the protocol; the message says which part is wrong."""


def to_protobuf(model: str, body: Mapping[str, Any]) -> inference_pb2.ModelInferRequest:
    """Returns the gRPC request for a JSON request body.

    Raises:
        BadRequest: A tensor lacks a field, has an unknown datatype, or its data do not fit the datatype.
    """
    request = inference_pb2.ModelInferRequest(model_name=model)
    request.id = _text(str(body.get("id", "")), "id")
    _set_parameters(request.parameters, body.get("parameters"), "parameters")
    for where, tensor in _objects(body.get("inputs"), "inputs"):
        _add_input(request, tensor, where)
    for where, output in _objects(body.get("outputs") or [], "outputs"):
        wanted = request.outputs.add(name=_text(output.get("name"), f"{where}.name"))
        _set_parameters(wanted.parameters, output.get("parameters"), f"{where}.parameters")
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
    _set_parameters(added.parameters, tensor.get("parameters"), f"{where}.parameters")
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
    """Returns the JSON form of a gRPC response; raw contents, which have no JSON form, become base64."""
    outputs = []
    for index, tensor in enumerate(response.outputs):
        field = CONTENTS.get(tensor.datatype)
        if index < len(response.raw_output_contents):
            data: Any = base64.b64encode(response.raw_output_contents[index]).decode()
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


def _plain(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _set_parameters(target: Any, parameters: Any, where: str) -> None:
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
