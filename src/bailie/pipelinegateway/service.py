"""A request to a pipeline, from its head to the answer: which version, which call, and in which words.

Called by `connection`. Envoy's route puts the version's key into the path, `/v2/models/<key>/infer`. A path
`/v2/pipelines/<pipeline>/…`, which no route rewrites, is for the newest version.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.pipelinegateway import metrics, passed
from bailie.pipelinegateway.json_bodies import (
    INFERENCE_LENGTH,
    MalformedBody,
    MessageMeta,
    chosen,
    decode_request,
    encode_answer,
)
from bailie.pipelinegateway.models_check import ModelsCheck
from bailie.pipelinegateway.root_request import RequestOrigin

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.dataflow import Parcel
    from bailie.pipelinegateway.answers import Answers
    from bailie.pipelinegateway.engine import PipelineEngine
    from bailie.pipelinegateway.http_values import Headers, HttpAnswer, HttpRequest
    from bailie.pipelinegateway.pipeline_run import RunEnding
    from bailie.pipelinegateway.plans import ServedPlan

    Respond = Callable[[HttpAnswer], None]
    """Takes the one answer of a request."""
    Leave = Callable[[], None]
    """Tells that the caller has gone."""

_CALL = re.compile(rb"/v2/(models|pipelines)/([^/?#]+)(?:/versions/[^/?#]+)?/(infer|ready)/?(?:\?.*)?")
_LIVE = b"/v2/health/live"


def _nothing() -> None:
    """Tells nobody."""


@dataclass(slots=True)
class PipelineService:
    """Answers requests; one for all connections."""

    engine: PipelineEngine
    answers: Answers
    ending: bool = False
    """Whether each connection is closed with its next answer, so that Envoy goes elsewhere."""

    def handle(self, request: HttpRequest, respond: Respond) -> Leave:
        """Answers a request, now or later. The result is to be called when the caller goes before."""
        if request.refusal is not None:
            return self._refused(request, request.refusal, respond)
        if request.path == _LIVE:
            return self._refused(request, self.answers.live(), respond)
        found = _CALL.fullmatch(request.path)
        if found is None or (request.method, found[3]) not in {(b"POST", b"infer"), (b"GET", b"ready")}:
            return self._refused(request, self.answers.path_not_served(), respond)
        key = found[2].decode("latin-1")
        plans = self.engine.plans
        served = plans.get(key) if found[1] == b"models" else plans.newest(key)
        if served is None:
            return self._refused(request, self.answers.unknown_plan(key), respond)
        if request.method == b"GET":
            request.held.release()
            return ModelsCheck(served, self.engine, self.answers, respond).leave
        return self._infer(request, served, respond)

    def _refused(self, request: HttpRequest, answer: HttpAnswer, respond: Respond) -> Leave:
        request.held.release()
        if answer.status == 429:
            metrics.REFUSED.inc()
        respond(answer)
        return _nothing

    def _infer(self, request: HttpRequest, served: ServedPlan, respond: Respond) -> Leave:
        if self.engine.full:
            too_many = self.answers.too_many(self.engine.limits.most_requests)
            return self._refused(request, too_many, respond)
        try:
            parcel = decode_request(request.body, _json_bytes(request))
        except MalformedBody as error:
            return self._refused(request, self.answers.malformed_body(served.name, str(error)), respond)
        begun, back = time.perf_counter(), passed.back(request.headers)

        def ended(ending: RunEnding) -> None:
            metrics.SECONDS.observe(time.perf_counter() - begun)
            if ending.answer is not None:
                respond(self._reply(served, parcel, ending, back))
            elif ending.fail is not None:
                respond(self.answers.failed(served, ending.fail, ending.status, back))
            else:
                respond(self.answers.bug(served.name))

        origin = RequestOrigin(passed.to_steps(request.headers), request.held)
        return self.engine.start(served, parcel, origin, ended).leave

    def _reply(self, served: ServedPlan, asked: Parcel, ending: RunEnding, back: Headers) -> HttpAnswer:
        assert ending.answer is not None  # noqa: S101 - `ended` has looked
        wanted = asked.meta.wanted if isinstance(asked.meta, MessageMeta) else ()
        try:
            body = encode_answer(chosen(ending.answer, wanted))
        except MalformedBody as error:
            return self.answers.bad_wish(served.name, str(error))
        return self.answers.reply(served, body, ending.routes, back)


def _json_bytes(request: HttpRequest) -> int:
    text = request.header(INFERENCE_LENGTH)
    if text and not (text.isdigit() and len(text) < 15):
        raise MalformedBody(f"the header {INFERENCE_LENGTH.decode()} is no number of bytes")
    return int(text or b"0")
