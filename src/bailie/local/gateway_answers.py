"""The answers of pipeline gateways about traces and kept data, and what is no such answer. Pure.

Called by `gateway_traces`. The pods of a namespace run what its authors say, so that nothing in an answer is
believed before its form has been checked; later releases may add fields.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

_Moment = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
_Ms = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
_Size = Annotated[int, msgspec.Meta(ge=0)]


class NoGatewayAnswer(ValueError):  # noqa: N818 - the name of what came
    """An answer is none of a pipeline gateway; the text says where."""


class _ToldSummary(msgspec.Struct):
    id: str
    pipeline: str
    version: int
    at: _Moment
    ending: str
    follower: bool = False
    ms: _Ms | msgspec.UnsetType = msgspec.UNSET


class _ToldCall(msgspec.Struct):
    visit: int
    begun_ms: _Ms
    sent_bytes: _Size
    ms: _Ms | msgspec.UnsetType = msgspec.UNSET
    outcome: str = ""
    received_bytes: _Size = 0
    words: str = ""


class _ToldStep(msgspec.Struct):
    step: str
    state: str
    calls: list[_ToldCall] = []
    why: str = ""


class _ToldEdge(msgspec.Struct, rename={"source": "from"}):
    source: str
    to: str
    wanted: list[str]
    trigger: bool
    present: bool
    why: str = ""
    tensors: list[str] = []
    bytes: _Size = 0


class _ToldTrace(_ToldSummary, kw_only=True):
    spec: dict[str, Any]
    steps: list[_ToldStep]
    edges: list[_ToldEdge]
    words: str = ""


class _ToldTensor(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] | None = None


class _ToldBody(msgspec.Struct):
    inputs: list[_ToldTensor] = []
    outputs: list[_ToldTensor] = []


class _ToldRecord(msgspec.Struct):
    pipeline: str
    version: int
    id: str
    at: _Moment
    owner: str
    side: str
    body: _ToldBody | msgspec.UnsetType = msgspec.UNSET
    binary: str = ""
    cut: _Size = 0


class _GatewayAnswer(msgspec.Struct):
    requests: list[_ToldSummary] = []
    traces: list[_ToldTrace] = []
    records: list[_ToldRecord] = []


def decoded(content: bytes) -> dict[str, Any]:
    """Returns an answer as JSON data of the form that gateways give. Raises NoGatewayAnswer."""
    try:
        found: dict[str, Any] = msgspec.json.decode(content, type=dict[str, Any])
        msgspec.convert(found, _GatewayAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NoGatewayAnswer(f"its answer is none of a pipeline gateway: {error}") from None
    return found
