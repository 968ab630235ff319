"""A call of a step over gRPC on HTTP/1.1 as bytes, and its answer as an event.

The counterpart of `step_calls` and `step_answers`; called by `grpc_dialect`. Envoy carries the call to the
model over HTTP/2, writes the model's name into the message, and hands the trailers of the answer back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.texts import shown
from bailie.dataflow.events import FailCode, StepAnswered, StepFailed
from bailie.inference.grpc_words import status_text
from bailie.pipelinegateway import grpc_frames, protobuf_bodies
from bailie.pipelinegateway.json_bodies import MalformedBody
from bailie.pipelinegateway.step_answers import LONGEST_WORDS, NoResponse, StepResponse
from bailie.pipelinegateway.step_client import PendingCall
from bailie.routing.refusal import GrpcStatus
from bailie.wellknown import headers

if TYPE_CHECKING:
    from bailie.dataflow.events import Call
    from bailie.pipelinegateway.budget import Reservation
    from bailie.pipelinegateway.dialect import Heard
    from bailie.pipelinegateway.json_bodies import EncodedBody
    from bailie.pipelinegateway.step_client import Done

_HEAD = (
    b"POST %bModelInfer HTTP/1.1\r\nhost: seldon-mesh\r\n%b: %%b\r\ncontent-type: application/grpc\r\n"
    b"te: trailers\r\ntransfer-encoding: chunked\r\n%%b\r\n"
) % (grpc_frames.SERVICE, headers.MODEL.encode())
"""Without a length: Envoy adds the model's name to the message."""
_TOO_SLOW = 4


def infer(call: Call, body: EncodedBody, given: bytes, answer: tuple[Reservation, Heard]) -> PendingCall:
    """Returns the inference that a step is asked for."""
    held, heard = answer

    def done(answer: StepResponse | NoResponse) -> None:
        heard(event_of(call, answer), max(answer.grpc_status, 0), answer.routes)

    return message_call(call.step, body.content, given, (held, done))


def message_call(step: str, message: bytes, given: bytes, answer: tuple[Reservation, Done]) -> PendingCall:
    """Returns the inference that a model is asked for with a ModelInferRequest as it is.

    `answer`: the bytes of the answer are counted there, and the answer is told.
    """
    content = grpc_frames.frame(message)
    head = _HEAD % (step.encode(), given)
    return PendingCall(head, b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content), *answer)


def event_of(call: Call, answer: StepResponse | NoResponse) -> StepAnswered | StepFailed:
    """Returns the event that an answer to a call is."""
    if isinstance(answer, NoResponse):
        return StepFailed(call.step, call.visit, answer.code, answer.words, maybe_ran=answer.sent)
    if answer.grpc_status:
        return _failure(call, answer)
    try:
        found = protobuf_bodies.decode_answer(grpc_frames.message_in(answer.body))
    except MalformedBody as error:
        words = f"the answer is no inference response: {error}"
        return StepFailed(call.step, call.visit, FailCode.STEP_ERROR, words)
    return StepAnswered(call.step, call.visit, found)


def _failure(call: Call, answer: StepResponse) -> StepFailed:
    """Returns the failure of a model, in its own words, or of the way to it.

    An answer without a route is Envoy's own, and no model was asked.
    """
    status, asked = answer.grpc_status, bool(answer.routes)
    words = shown(status_text(answer.grpc_message), LONGEST_WORDS)
    if status < 0:
        words = f"the answer has HTTP status {answer.status} and no status of gRPC"
    words = words or f"gRPC status {status} without words"
    if status == GrpcStatus.UNAVAILABLE or (status == GrpcStatus.NOT_FOUND and not asked):
        words = f"was not answered: {words}"
        return StepFailed(call.step, call.visit, FailCode.UNREACHABLE, words, maybe_ran=asked)
    code = FailCode.TOO_SLOW if status == _TOO_SLOW else FailCode.STEP_ERROR
    return StepFailed(call.step, call.visit, code, words)
