"""One record that runs: a request to a model, whose bytes go to the model and back as they are.

Made by `record_executor`. The answer has the form of the request: JSON for JSON, else protobuf. Binary data
behind JSON has the header that it has over HTTP. Failures are on the errors topic alone, as in Seldon Core.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from bailie.dataflow import Parcel
from bailie.dataflow.events import Call, FailCode, StepFailed
from bailie.kafka import headers
from bailie.kafka.records import OutgoingRecord
from bailie.pipelinegateway import grpc_calls, grpc_frames, passed, step_answers, step_calls
from bailie.pipelinegateway.json_bodies import EncodedBody, MalformedBody
from bailie.pipelinegateway.record_outputs import kept_headers
from bailie.pipelinegateway.record_runs import RecordRun
from bailie.pipelinegateway.record_values import JSON_LENGTH, model_request

if TYPE_CHECKING:
    from bailie.kafka.headers import RecordHeaders
    from bailie.pipelinegateway.record_values import ModelRequest
    from bailie.pipelinegateway.step_answers import NoResponse, StepResponse
    from bailie.pipelinegateway.step_client import PendingCall


class ModelRecordRun(RecordRun):
    """A request to a model."""

    def begin(self) -> None:
        """Asks the model."""
        try:
            told = (headers.first(self.record.headers, each) for each in (headers.INFER_TYPE, JSON_LENGTH))
            request = model_request(self.record.value, *told)
        except MalformedBody as error:
            self.fail(f"the record is no inference request: {error}")
            return
        _ModelCall(self, request).send()

    @property
    def told(self) -> RecordHeaders:
        """The headers of all records that follow; a record of a pipeline stays one."""
        pipeline = headers.first(self.record.headers, headers.PIPELINE)
        own = ((headers.PIPELINE, pipeline),) if pipeline else ()
        return (*own, *kept_headers(self.asked))

    @property
    def failures(self) -> tuple[str, ...]:
        """The topic of all failures."""
        return (self.place.errors,)

    def take(self, request: ModelRequest, answer: StepResponse) -> None:
        """Ends the record with the model's answer."""
        self.answered = True
        value = answer.body if request.is_json else grpc_frames.message_in(answer.body)
        told = (
            *self.told,
            (headers.INFER_TYPE, request.answer_type),
            *([(JSON_LENGTH, b"%d" % answer.json_bytes)] if answer.json_bytes else ()),
            *((headers.ROUTE, route) for route in answer.routes),
        )
        record, topic = self.record, self.place.answers_of_model(self.owner)
        self.ended([OutgoingRecord(topic, record.partition, record.key, value, told, essential=True)])

    def failed(self, failure: StepFailed) -> None:
        """Ends the record with a failure, or tries it again where no model was asked."""
        untouched = failure.code is FailCode.UNREACHABLE and not failure.maybe_ran
        self.answered = not untouched and failure.code is not FailCode.TOO_SLOW
        if not (untouched and self.again()):
            self.fail(failure.words)

    def late(self, seconds: float) -> None:
        """Ends the record of a model that has said nothing for so long."""
        self.answered = False
        self.fail(f"had not answered after {seconds:.0f} s")


class _ModelCall:
    """One call, which ends in time."""

    def __init__(self, run: ModelRecordRun, request: ModelRequest) -> None:
        self._run, self._request, self._held = run, request, run.held(run.owner)

    def send(self) -> None:
        seconds = self._run.engine.limits.seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._end_late, seconds)
        self._pending = self._made()
        self._run.engine.client.call(self._pending)

    def _made(self) -> PendingCall:
        model, content, given = self._run.owner, self._request.content, passed.to_steps(self._run.asked)
        answer = self._held, self._done
        if self._request.is_json:
            return step_calls.body_call(model, EncodedBody(content, self._request.json_bytes), given, answer)
        return grpc_calls.message_call(model, content, given, answer)

    def _done(self, answer: StepResponse | NoResponse) -> None:
        self._timer.cancel()
        self._held.release()
        self._run.attempt(partial(self._tell, answer))

    def _tell(self, answer: StepResponse | NoResponse) -> None:
        event_of = step_answers.event_of if self._request.is_json else grpc_calls.event_of
        event = event_of(Call(self._run.owner, 1, Parcel(())), answer)
        if isinstance(event, StepFailed):
            self._run.failed(event)
        elif isinstance(answer, step_answers.StepResponse):
            self._run.take(self._request, answer)

    def _end_late(self, seconds: float) -> None:
        self._pending.cancel()
        self._held.release()
        self._run.late(seconds)
