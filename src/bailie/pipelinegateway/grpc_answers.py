"""The answers of the pipeline gateway over gRPC: the texts of `answers` as statuses. Pure.

Chosen by `request_reader` for calls of gRPC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bailie._gen import inference_pb2 as pb
from bailie.dataflow.events import FailCode
from bailie.inference.grpc_words import status_words
from bailie.pipelinegateway import grpc_frames
from bailie.pipelinegateway.answers import REASONS, Answers
from bailie.pipelinegateway.http_values import HttpAnswer
from bailie.pipelinegateway.protobuf_bodies import ready_answer
from bailie.wellknown.names import PIPELINE_ENDING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.lifecycle.signature import Signature, TensorMetadata
    from bailie.pipelinegateway.http_values import Headers
    from bailie.pipelinegateway.json_bodies import EncodedBody
    from bailie.pipelinegateway.plans import ServedPlan

_ENDED_WELL = ((grpc_frames.STATUS, b"0"),)
_INTERNAL = 13
_CODES = {
    400: 3,  # INVALID_ARGUMENT
    404: 12,  # UNIMPLEMENTED
    408: 4,  # DEADLINE_EXCEEDED
    413: 8,  # RESOURCE_EXHAUSTED
    429: 8,
    431: 8,
    503: 14,  # UNAVAILABLE
}
"""The statuses of gRPC for those of REST, where no ending of a pipeline has its own."""
_NAMES = (
    *("OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists"),
    *("PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange"),
    *("Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"),
)
"""The statuses of gRPC by number."""
_OF_ENDINGS = {REASONS[code]: code.grpc for code in FailCode}


class GrpcAnswers(Answers):
    """The answers of one namespace's gateway to calls of gRPC."""

    def reply(
        self, served: ServedPlan, body: EncodedBody, routes: Iterable[bytes], back: Headers
    ) -> HttpAnswer:
        """Returns the answer of a pipeline, as `Answers.reply` does."""
        return _answered(body.content, self._headers(served, routes, back))

    def ready(self, pipeline: str) -> HttpAnswer:  # noqa: ARG002 - as `Answers` has it
        """Returns the answer of a pipeline whose models can answer."""
        return _answered(ready_answer(ready=True))

    def not_ready(self, pipeline: str, missing: Iterable[str]) -> HttpAnswer:  # noqa: ARG002
        """Returns the answer of a pipeline some of whose models cannot answer: no failure, over gRPC."""
        return _answered(ready_answer(ready=False))

    def metadata(self, served: ServedPlan, tensors: Signature) -> HttpAnswer:
        """Returns the answer to the question for the inputs and outputs of a pipeline."""
        message = pb.ModelMetadataResponse(
            name=f"{served.name}{PIPELINE_ENDING}",
            versions=[str(served.number)],
            inputs=map(_tensor, tensors.inputs),
            outputs=map(_tensor, tensors.outputs),
        )
        return _answered(message.SerializeToString())

    def path_not_served(self) -> HttpAnswer:
        """Returns the answer for a method that pipelines have not."""
        text = f"pipelines answer ModelInfer, ModelReady and ModelMetadata (namespace {self.namespace})"
        return self._error(404, "PathNotServed", text)

    def _error(
        self,
        status: int,
        reason: str,
        text: str,
        *,
        told: dict[str, object] | None = None,  # noqa: ARG002 - the text has all that callers of gRPC get
        more: Headers = (),
    ) -> HttpAnswer:
        code = _OF_ENDINGS.get(reason) or _CODES.get(status, _INTERNAL)
        words = (grpc_frames.MESSAGE, status_words(text))
        status_header = (grpc_frames.STATUS, b"%d" % code)
        return HttpAnswer(200, b"", (grpc_frames.CONTENT_TYPE, status_header, words, *more))


def _tensor(told: TensorMetadata) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(name=told.name, datatype=told.datatype, shape=told.shape)


def _answered(message: bytes, more: Headers = ()) -> HttpAnswer:
    given = (grpc_frames.CONTENT_TYPE, *more)
    return HttpAnswer(200, grpc_frames.frame(message), given, trailers=_ENDED_WELL)


def grpc_code(answer: HttpAnswer) -> str:
    """Returns the name of an answer's status, as Seldon Core's metrics have it: `OK`, `NotFound`."""
    given = (*answer.trailers, *answer.headers)
    status = next((value for name, value in given if name == grpc_frames.STATUS), b"")
    return _NAMES[int(status)] if status.isdigit() and int(status) < len(_NAMES) else "Unknown"


class AnswerForms(NamedTuple):
    """The answers of one gateway in both protocols."""

    rest: Answers
    grpc: GrpcAnswers


def answer_forms(namespace: str) -> AnswerForms:
    """Returns the answers of a namespace's gateway."""
    return AnswerForms(Answers(namespace), GrpcAnswers(namespace))
