"""Calls and answers in the REST form of the protocol. Pure.

Used by `links`.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
import numpy as np

from bailie.client.answers import Answer, InferenceError
from bailie.client.tensors import array_of
from bailie.inference.codec import reason_of
from bailie.wellknown.headers import MODEL, ROUTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.client.answers import Array
    from bailie.client.tensors import Inputs, Tensor

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class RestCall:
    """A request: its method, the path below the data plane's address, headers and body."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestReply:
    """A whole HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


def infer_call(model: str, inputs: Inputs, headers: Mapping[str, str]) -> RestCall:
    """Returns the inference request. Raises ValueError for numbers that JSON has no form for."""
    body: dict[str, Any] = {"inputs": [_input(tensor) for tensor in inputs.tensors]}
    if inputs.parameters:
        body["parameters"] = dict(inputs.parameters)
    content = msgspec.json.encode(body)
    sent = {MODEL: model, "content-type": "application/json", **headers}
    return RestCall(method="POST", path=f"{_path(model)}/infer", headers=sent, content=content)


def ready_call(model: str, headers: Mapping[str, str]) -> RestCall:
    """Returns the question whether a model is ready."""
    return RestCall(method="GET", path=f"{_path(model)}/ready", headers={MODEL: model, **headers})


def metadata_call(model: str, headers: Mapping[str, str]) -> RestCall:
    """Returns the question which tensors a model takes and gives."""
    return RestCall(method="GET", path=_path(model), headers={MODEL: model, **headers})


def _path(model: str) -> str:
    return f"/v2/models/{quote(model, safe='')}"


def _input(tensor: Tensor) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": list(tensor.array.shape),
    }
    if tensor.content_type:
        made["parameters"] = {"content_type": tensor.content_type}
    made["data"] = _elements(tensor)
    return made


def _elements(tensor: Tensor) -> list[Any]:
    if tensor.content_type == "base64":
        return [base64.b64encode(each).decode() for each in tensor.array.flat]
    if tensor.datatype.startswith("FP") and not np.isfinite(tensor.array).all():
        raise ValueError(f"{tensor.name}: JSON has no form for NaN and infinity; use protocol='grpc'")
    return list(tensor.array.ravel().tolist())


def answer_of(reply: RestReply) -> Answer:
    """Returns the answer. Raises InferenceError: the server said no, or its answer is none."""
    body = _object(reply)
    outputs = {}
    try:
        for output in body["outputs"]:
            outputs[str(output["name"])] = _array(output)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InferenceError(str(reply.status), f"the answer is none of the protocol: {error!r}") from error
    return Answer(
        outputs=outputs,
        model=str(body.get("model_name", "")),
        route=reply.headers.get(ROUTE, ""),
        id=str(body.get("id") or ""),
        parameters=body.get("parameters") or {},
    )


def _array(output: dict[str, Any]) -> Array:
    return array_of(output["datatype"], output["shape"], output["data"])


def readiness_of(reply: RestReply) -> bool:
    """Tells whether the model is ready. Raises InferenceError for a model that is not known."""
    if reply.status == _NOT_FOUND:
        _object(reply)
    return 200 <= reply.status < 300


def metadata_of(reply: RestReply) -> dict[str, Any]:
    """Returns the metadata: `name`, `inputs`, `outputs`, …. Raises InferenceError."""
    return _object(reply)


def _object(reply: RestReply) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(reply.content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        body = reply.content.decode(errors="replace")
    if not 200 <= reply.status < 300:
        raise InferenceError(str(reply.status), body if isinstance(body, str) else reason_of(body))
    if not isinstance(body, dict):
        raise InferenceError(str(reply.status), "the answer is no JSON object")
    return body
