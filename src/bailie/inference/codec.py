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
    request = inference_pb2.ModelInferRequest(model_name=model, id=str(body.get("id", "")))
    _set_parameters(request.parameters, body.get("parameters"))
    inputs = body.get("inputs")
    if not isinstance(inputs, list):
        raise BadRequest('"inputs" must be a list of tensors')
    for index, tensor in enumerate(inputs):
        _add_input(request, tensor, f"inputs[{index}]")
    for output in body.get("outputs") or []:
        wanted = request.outputs.add(name=output["name"])
        _set_parameters(wanted.parameters, output.get("parameters"))
    return request


def _add_input(request: inference_pb2.ModelInferRequest, tensor: Any, where: str) -> None:
    if not isinstance(tensor, dict):
        raise BadRequest(f"{where} must be an object")
    missing = [key for key in ("name", "shape", "datatype", "data") if key not in tensor]
    if missing:
        raise BadRequest(f'{where} lacks "{missing[0]}"')
    datatype = tensor["datatype"]
    if datatype not in CONTENTS:
        raise BadRequest(
            f"{where}.datatype {datatype!r} cannot be sent as JSON; known are {', '.join(CONTENTS)}"
        )
    added = request.inputs.add(name=tensor["name"], datatype=datatype)
    _set_parameters(added.parameters, tensor.get("parameters"))
    try:
        added.shape.extend(tensor["shape"])
        values = flatten(tensor["data"])
        if datatype == "BYTES":
            values = (value.encode() if isinstance(value, str) else bytes(value) for value in values)
        getattr(added.contents, CONTENTS[datatype]).extend(values)
    except (TypeError, ValueError) as error:
        raise BadRequest(f"{where} does not hold {datatype} data: {error}") from error


def flatten(data: Any) -> Iterator[Any]:
    """Yields the elements of nested lists in row-major order; a scalar is one element."""
    if isinstance(data, list):
        for item in data:
            yield from flatten(item)
    else:
        yield data


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


def _set_parameters(target: Any, parameters: Mapping[str, Any] | None) -> None:
    for name, value in (parameters or {}).items():
        field = {bool: "bool_param", int: "int64_param", float: "double_param"}.get(
            type(value), "string_param"
        )
        setattr(target[name], field, value if field != "string_param" else str(value))


def _get_parameters(source: Any) -> dict[str, Any]:
    return {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in source.items()}
