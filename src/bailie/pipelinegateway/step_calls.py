"""A call of a step as bytes, and its answer as an event.

Called by `rest_dialect` and `models_check`. A step is called under the route of its Model, so that an
Experiment on the Model splits the traffic of pipelines, too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from bailie.pipelinegateway.json_bodies import INFERENCE_LENGTH
from bailie.pipelinegateway.step_answers import event_of
from bailie.pipelinegateway.step_client import PendingCall
from bailie.wellknown import headers

if TYPE_CHECKING:
    from bailie.dataflow.events import Call
    from bailie.pipelinegateway.budget import Reservation
    from bailie.pipelinegateway.dialect import Heard
    from bailie.pipelinegateway.json_bodies import EncodedBody
    from bailie.pipelinegateway.step_answers import NoResponse, StepResponse
    from bailie.pipelinegateway.step_client import Done


def infer(call: Call, body: EncodedBody, given: bytes, answer: tuple[Reservation, Heard]) -> PendingCall:
    """Returns the inference that a step is asked for, with the headers that the request hands on."""
    held, heard = answer

    def done(answer: StepResponse | NoResponse) -> None:
        heard(event_of(call, answer), answer.status, answer.routes)

    return body_call(call.step, body, given, (held, done))


def body_call(step: str, body: EncodedBody, given: bytes, answer: tuple[Reservation, Done]) -> PendingCall:
    """Returns the inference that a model is asked for with a body as it is.

    `answer`: the bytes of the answer are counted there, and the answer is told.
    """
    content = body.content
    kind = _BINARY % body.json_bytes if body.json_bytes else _JSON
    head = b"%b%b%bcontent-length: %d\r\n\r\n" % (_asking(step), given, kind, len(content))
    return PendingCall(head, content, *answer)


def readiness_call(step: str, held: Reservation, done: Done) -> PendingCall:
    """Returns the question whether a step's model can answer."""
    return PendingCall(_first_lines(b"GET", step, b"/ready") + b"\r\n", b"", held, done)


def metadata_call(step: str, held: Reservation, done: Done) -> PendingCall:
    """Returns the question for the tensors of a step's model."""
    return PendingCall(_first_lines(b"GET", step, b"") + b"\r\n", b"", held, done)


_JSON = b"content-type: application/json\r\n"
_BINARY = b"content-type: application/octet-stream\r\n%b: %%d\r\n" % INFERENCE_LENGTH
_HEAD = b"%%b /v2/models/%%b%%b HTTP/1.1\r\nhost: seldon-mesh\r\n%b: %%b\r\n" % headers.MODEL.encode()
_MOST_HEADS = 4_096


@lru_cache(_MOST_HEADS)
def _asking(step: str) -> bytes:
    """Returns the lines that all inferences of a step begin with; steps are few, for they are of plans."""
    return _first_lines(b"POST", step, b"/infer")


def _first_lines(method: bytes, step: str, what: bytes) -> bytes:
    model = step.encode()
    return _HEAD % (method, model, what, model)
