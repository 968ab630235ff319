"""The answer of a step's model as an event of the request. Pure.

Called by `step_calls`. Envoy's own answers tell why no model was asked; whether a model may have run decides
whether the caller is told that the request may be sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from bailie.api.texts import shown
from bailie.dataflow.events import FailCode, StepAnswered, StepFailed
from bailie.pipelinegateway.json_bodies import MalformedBody, decode_answer
from bailie.routing.refusal import MODEL_NOT_FOUND, NO_ANSWER

if TYPE_CHECKING:
    from bailie.dataflow.events import Call

LONGEST_WORDS = 2_000


class StepResponse(msgspec.Struct, frozen=True):
    """A whole answer. `json_bytes`: those of the body that are JSON where binary data follows, else 0.

    `grpc_status` is -1 for an answer that is not gRPC's.
    """

    status: int
    body: bytes
    json_bytes: int = 0
    routes: tuple[bytes, ...] = ()
    grpc_status: int = -1
    grpc_message: bytes = b""


class NoResponse(NamedTuple):
    """A call without a whole answer: `words` follow the name of the step; `sent`: its model may have run.

    The last three are those of a `StepResponse` that has none.
    """

    words: str
    sent: bool = False
    code: FailCode = FailCode.UNREACHABLE
    status: int = 0
    grpc_status: int = 0
    routes: tuple[bytes, ...] = ()


class _Refusal(msgspec.Struct):
    error: str = ""
    reason: str = ""


def event_of(call: Call, answer: StepResponse | NoResponse) -> StepAnswered | StepFailed:
    """Returns the event that an answer to a call is."""
    if isinstance(answer, NoResponse):
        return StepFailed(call.step, call.visit, answer.code, answer.words, maybe_ran=answer.sent)
    if answer.status != 200:
        return _failure(call, answer)
    try:
        return StepAnswered(call.step, call.visit, decode_answer(answer.body, answer.json_bytes))
    except MalformedBody as error:
        words = f"the answer is no inference response: {error}"
        return StepFailed(call.step, call.visit, FailCode.STEP_ERROR, words)


def _failure(call: Call, answer: StepResponse) -> StepFailed:
    """Returns the failure of a model, in its own words, or of the way to it."""
    told = _refusal(answer.body)
    words = shown(told.error or answer.body[:LONGEST_WORDS].decode("utf-8", "replace"), LONGEST_WORDS)
    words = words or f"HTTP status {answer.status} without words"
    if answer.status == 503 or (answer.status == 404 and told.reason == MODEL_NOT_FOUND):
        ran = told.reason in {"", NO_ANSWER}
        return StepFailed(
            call.step, call.visit, FailCode.UNREACHABLE, f"was not answered: {words}", maybe_ran=ran
        )
    code = FailCode.TOO_SLOW if answer.status == 504 else FailCode.STEP_ERROR
    return StepFailed(call.step, call.visit, code, words)


def _refusal(body: bytes) -> _Refusal:
    try:
        return msgspec.json.decode(body, type=_Refusal)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Refusal()
