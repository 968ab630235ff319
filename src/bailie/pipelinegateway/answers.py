"""The answers of the pipeline gateway over REST: of requests that end, and of those that are refused. Pure.

Called by `service` and `request_reader`. The texts of endings come from `bailie.dataflow`; a body keeps
`error` a string, as the Open Inference Protocol has it, and has fields for programs beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from bailie.api.quantity import quantity_text
from bailie.api.texts import counted, shown
from bailie.dataflow.events import FailCode
from bailie.lifecycle.words import GATEWAY_FAILED
from bailie.pipelinegateway.http_values import JSON, HttpAnswer
from bailie.pipelinegateway.json_bodies import INFERENCE_LENGTH
from bailie.wellknown import headers, names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.dataflow.events import Fail
    from bailie.lifecycle.signature import Signature
    from bailie.pipelinegateway.http_values import Headers
    from bailie.pipelinegateway.json_bodies import EncodedBody
    from bailie.pipelinegateway.plans import ServedPlan

REASONS = {
    FailCode.STEP_ERROR: "StepError",
    FailCode.UNREACHABLE: "StepUnreachable",
    FailCode.TOO_SLOW: "TooSlow",
    FailCode.NO_OUTPUT: "NoOutput",
}
OVERLOADED = "Overloaded"
_RETRY = (b"retry-after", b"1")
_ROUTE = headers.ROUTE.encode()
_VERSION = headers.PIPELINE_VERSION.encode()
_BINARY = (b"content-type", b"application/octet-stream")


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one namespace's gateway."""

    namespace: str

    def reply(
        self, served: ServedPlan, body: EncodedBody, routes: Iterable[bytes], back: Headers
    ) -> HttpAnswer:
        """Returns the answer of a pipeline. `routes`: those of its models; `back`: as `passed` says."""
        found = self._headers(served, routes, back)
        if not body.json_bytes:
            return HttpAnswer(200, body.content, (*found, JSON))
        length = (INFERENCE_LENGTH, b"%d" % body.json_bytes)
        return HttpAnswer(200, body.content, (*found, _BINARY, length))

    def failed(self, served: ServedPlan, fail: Fail, status: int, back: Headers) -> HttpAnswer:
        """Returns the answer for a request that failed. `status`: that of the step's model, 0 for none."""
        told: dict[str, object] = {"pipeline": served.name}
        if fail.step:
            told["step"] = fail.step
        if status:
            told["status"] = status
        retry = (_RETRY,) if fail.untouched else ()
        more = (*back, (_VERSION, b"%d" % served.number), *retry)
        return self._error(fail.code.rest, REASONS[fail.code], fail.words, told=told, more=more)

    def malformed_body(self, pipeline: str, words: str) -> HttpAnswer:
        """Returns the answer for a body that is no request; `words` are the parser's."""
        text = f"the body is no inference request: {words}"
        return self._error(400, "MalformedRequest", text, told={"pipeline": pipeline})

    def malformed_answer(self, pipeline: str, words: str) -> HttpAnswer:
        """Returns the answer for outputs of steps that cannot be in one message."""
        return self._error(400, REASONS[FailCode.STEP_ERROR], words, told={"pipeline": pipeline})

    def bad_wish(self, pipeline: str, words: str) -> HttpAnswer:
        """Returns the answer for a request that asks for outputs which the pipeline has not given."""
        return self._error(400, "NoSuchOutput", words, told={"pipeline": pipeline})

    def malformed_http(self, words: str) -> HttpAnswer:
        """Returns the answer for bytes that are no request of HTTP/1.1."""
        return self._error(400, "MalformedRequest", f"this is no request of HTTP/1.1: {shown(words)}")

    def long_head(self, most: int) -> HttpAnswer:
        """Returns the answer for a request whose headers have more than `most` bytes."""
        return self._error(431, "HeadersTooLong", f"the headers have more than {quantity_text(most)}")

    def long_body(self, most: int) -> HttpAnswer:
        """Returns the answer for a request whose body has more than `most` bytes."""
        text = f"a pipeline takes bodies of {quantity_text(most)} at most: send fewer rows in one request"
        return self._error(413, "RequestTooLong", text)

    def slow_body(self, seconds: float) -> HttpAnswer:
        """Returns the answer for a request that did not come to its end in time."""
        return self._error(408, "RequestTooSlow", f"the request took longer than {seconds:.0f} s to come")

    def no_memory(self) -> HttpAnswer:
        """Returns the answer for a request for whose bytes there is no memory now."""
        return self._overloaded("holds as many bytes of requests to this pipeline as it leaves to the others")

    def too_many(self, pipeline: str, number: int) -> HttpAnswer:
        """Returns the answer for a request while so many others to its pipeline are in progress."""
        own = f"has {counted(number, 'request')} to pipeline {pipeline} in progress"
        full = "has as many requests in progress as it may have"
        return self._overloaded(f"{own}, as many as it leaves to the others" if number else full)

    def unknown_plan(self, key: str) -> HttpAnswer:
        """Returns the answer for a version of a pipeline that this gateway has not, or has not yet."""
        text = f"this gateway of namespace {self.namespace} has no pipeline {shown(key)}: try again later"
        return self._error(503, "PipelineNotLoaded", text, more=(_RETRY,))

    def path_not_served(self) -> HttpAnswer:
        """Returns the answer for a path or a method that pipelines have not."""
        text = (
            "pipelines answer POST /v2/pipelines/<pipeline>/infer, and GET /v2/pipelines/<pipeline> with or"
            f" without /ready (namespace {self.namespace})"
        )
        return self._error(404, "PathNotServed", text)

    def live(self) -> HttpAnswer:
        """Returns the answer to Envoy's health check."""
        return HttpAnswer(200, b'{"live":true}')

    def ready(self, pipeline: str) -> HttpAnswer:
        """Returns the answer of a pipeline whose models can answer."""
        return HttpAnswer(200, msgspec.json.encode({"name": pipeline, "ready": True}))

    def not_ready(self, pipeline: str, missing: Iterable[str]) -> HttpAnswer:
        """Returns the answer of a pipeline some of whose models cannot answer (424, as in Seldon Core)."""
        text = f"pipeline {pipeline} is not ready: no answer from {', '.join(missing)}"
        return self._error(424, "ModelsNotReady", text, told={"name": pipeline, "ready": False})

    def metadata(self, served: ServedPlan, tensors: Signature) -> HttpAnswer:
        """Returns the answer to the question for the inputs and outputs of a pipeline."""
        told = {"name": f"{served.name}{names.PIPELINE_ENDING}", "versions": [str(served.number)]}
        body = {**told, "platform": "", "inputs": tensors.inputs, "outputs": tensors.outputs}
        return HttpAnswer(200, msgspec.json.encode(body))

    def bug(self, pipeline: str) -> HttpAnswer:
        """Returns the answer for a request that met a mistake of this program."""
        return self._error(500, "InternalError", GATEWAY_FAILED, told={"pipeline": pipeline})

    def _headers(self, served: ServedPlan, routes: Iterable[bytes], back: Headers) -> Headers:
        own = f":{served.name}{names.PIPELINE_ENDING}:".encode()
        return (
            *back,
            (_VERSION, b"%d" % served.number),
            *[(_ROUTE, route) for route in (*routes, own)],
        )

    def _overloaded(self, words: str) -> HttpAnswer:
        text = (
            f"the pipeline gateway of namespace {self.namespace} {words}: try again later, or give"
            f" {names.PIPELINE_GATEWAY} more replicas"
        )
        return self._error(429, OVERLOADED, text, more=(_RETRY,))

    def _error(
        self,
        status: int,
        reason: str,
        text: str,
        *,
        told: dict[str, object] | None = None,
        more: Headers = (),
    ) -> HttpAnswer:
        body = {"error": text, "reason": reason, **(told or {}), "namespace": self.namespace}
        return HttpAnswer(status, msgspec.json.encode(body), (JSON, *more))
