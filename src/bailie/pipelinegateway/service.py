"""A request to a pipeline, from its head to the answer: which version, which call, and in which words.

Called by `connection`. Envoy's route puts the version's key into the path, `/v2/models/<key>/infer`, and into
a header of a call of gRPC, whose path is its method. A path `/v2/pipelines/<pipeline>/…`, which no route
rewrites, is for the newest version.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

from bailie.dataflow.events import Fail, FailCode
from bailie.pipelinegateway import metrics, passed
from bailie.pipelinegateway.grpc_answers import grpc_code
from bailie.pipelinegateway.grpc_dialect import GRPC
from bailie.pipelinegateway.grpc_frames import SERVICE, TIMEOUT, seconds_of
from bailie.pipelinegateway.json_bodies import MalformedBody, MessageMeta, chosen
from bailie.pipelinegateway.models_check import ModelsCheck
from bailie.pipelinegateway.protobuf_bodies import WireMeta
from bailie.pipelinegateway.rest_dialect import REST
from bailie.pipelinegateway.root_request import RequestOrigin
from bailie.wellknown import headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.dataflow import Parcel
    from bailie.pipelinegateway.answers import Answers
    from bailie.pipelinegateway.broker_port import BrokerPort
    from bailie.pipelinegateway.engine import PipelineEngine
    from bailie.pipelinegateway.grpc_answers import AnswerForms
    from bailie.pipelinegateway.http_values import Headers, HttpAnswer, HttpRequest
    from bailie.pipelinegateway.metadata_questions import MetadataQuestions
    from bailie.pipelinegateway.pipeline_run import RunEnding
    from bailie.pipelinegateway.plans import ServedPlan

    Respond = Callable[[HttpAnswer], None]
    """Takes the one answer of a request."""
    Leave = Callable[[], None]
    """Tells that the caller has gone."""

_CALL = re.compile(rb"/v2/(models|pipelines)/([^/?#]+)(?:/versions/[^/?#]+)?(?:/(infer|ready))?/?(?:\?.*)?")
_CALLS = {(b"POST", b"infer"), (b"GET", b"ready"), (b"GET", None)}
"""A path that names the pipeline alone asks for its metadata."""
_VERSION = headers.VERSION.encode()
_METHODS = {
    SERVICE + b"ModelInfer": b"infer",
    SERVICE + b"ModelReady": b"ready",
    SERVICE + b"ModelMetadata": None,
}
_LIVE = b"/v2/health/live"


class _Asked(Struct, frozen=True):
    """The version that a request is for, or the newest of a pipeline of this name.

    `call` is `infer`, `ready`, or None for the metadata.
    """

    key: str
    call: bytes | None
    newest: bool = False


def _nothing() -> None:
    """Tells nobody."""


@dataclass(slots=True)
class PipelineService:
    """Answers requests; one for all connections."""

    engine: PipelineEngine
    forms: AnswerForms
    metadata: MetadataQuestions
    broker: BrokerPort | None = None
    """The message broker, if one is configured."""
    ending: bool = False
    """Whether each connection is closed with its next answer, so that Envoy goes elsewhere."""

    def handle(self, request: HttpRequest, respond: Respond) -> Leave:
        """Answers a request, now or later. The result is to be called when the caller goes before."""
        if request.refusal is not None:
            return self._refused(request, request.refusal, respond)
        if request.path == _LIVE:
            return self._refused(request, self.forms.rest.live(), respond)
        asked = _asked_over_grpc(request) if request.grpc else _asked_over_rest(request)
        answers = self._answers(request)
        if asked is None:
            return self._refused(request, answers.path_not_served(), respond)
        plans = self.engine.plans
        served = plans.newest(asked.key) if asked.newest else plans.get(asked.key)
        if served is None:
            return self._refused(request, answers.unknown_plan(asked.key), respond)
        return self._call(request, served, asked.call, respond)

    def _call(self, request: HttpRequest, served: ServedPlan, call: bytes | None, respond: Respond) -> Leave:
        if call == b"infer":
            return self._infer(request, served, respond)
        request.held.release()
        answers = self._answers(request)
        if call is None:
            return self.metadata.ask(served, lambda tensors: respond(answers.metadata(served, tensors)))
        return ModelsCheck(served, self.engine, answers, respond).leave

    def _answers(self, request: HttpRequest) -> Answers:
        return self.forms.grpc if request.grpc else self.forms.rest

    def _refused(self, request: HttpRequest, answer: HttpAnswer, respond: Respond) -> Leave:
        request.held.release()
        if answer.status == 429:
            metrics.REFUSED.inc()
        respond(answer)
        return _nothing

    def _infer(self, request: HttpRequest, served: ServedPlan, respond: Respond) -> Leave:
        answers, dialect = self._answers(request), GRPC if request.grpc else REST
        begun, counts = time.perf_counter(), self.engine.plans.counts
        span = self.engine.spans.of_request(request, served)

        def counted(answer: HttpAnswer) -> None:
            code = grpc_code(answer) if request.grpc else str(answer.status)
            self.engine.spans.answered(span, code)
            seconds = time.perf_counter() - begun
            counts.end(served.counts, "grpc" if request.grpc else "rest", code, seconds)
            respond(answer)

        if (refusal := self._refusal(answers, served)) is not None:
            return self._refused(request, refusal, counted)
        try:
            parcel, seconds = dialect.decode(request), self._seconds(request)
        except MalformedBody as error:
            return self._refused(request, answers.malformed_body(served.name, str(error)), counted)
        back = passed.back(request.headers)

        def ended(ending: RunEnding) -> None:
            metrics.SECONDS.observe(time.perf_counter() - begun)
            told = (*back, (b"server-timing", ending.timing)) if ending.timing else back
            if ending.answer is not None:
                counted(reply(ending.answer, ending.routes, told))
            elif ending.fail is not None:
                counted(answers.failed(served, ending.fail, ending.status, told))
            else:
                counted(answers.bug(served.name))

        def reply(answer: Parcel, routes: tuple[bytes, ...], told: Headers) -> HttpAnswer:
            try:
                wished = chosen(answer, _wanted(parcel))
            except MalformedBody as error:
                return answers.bad_wish(served.name, str(error))
            try:
                body = dialect.encode_answer(wished)
            except MalformedBody as error:
                return answers.malformed_answer(served.name, str(error))
            return answers.reply(served, body, routes, told)

        sink = self.broker.begin(served, request, dialect) if self.broker is not None else None
        heard = ended if sink is None else sink.hearing(ended, first=served.journal_first)
        given = passed.to_steps(request.headers, traced=span is not None)
        origin = RequestOrigin(given, request.held, dialect, sink, span.context if span else None)
        run = self.engine.start(served, parcel, origin, heard, seconds=seconds)
        return self.engine.spans.leaving(span, run.leave)

    def _refusal(self, answers: Answers, served: ServedPlan) -> HttpAnswer | None:
        """Returns the answer to a request that is not begun; None where it is."""
        key, places = served.key, self.engine.places
        if not places.admits(key, 1):
            return answers.too_many(served.name, places.taken(key))
        if not served.journal_first or self.broker is None:
            return None
        hindered = self.broker.hindrance(served.name)
        words = f"the journal comes first here, and cannot be written: {hindered}"
        fail = Fail(FailCode.UNREACHABLE, words, untouched=True)
        return answers.failed(served, fail, 0, ()) if hindered else None

    def _seconds(self, request: HttpRequest) -> float:
        """Returns how long a request may take: as long as any, or the less that a caller of gRPC waits."""
        most, given = self.engine.limits.seconds, request.header(TIMEOUT) if request.grpc else b""
        return min(most, seconds_of(given)) if given else most


def _asked_over_rest(request: HttpRequest) -> _Asked | None:
    method, path = request.method, request.path
    return _remembered(method, path) if len(path) <= _LONGEST_REMEMBERED else _asked(method, path)


def _asked(method: bytes, path: bytes) -> _Asked | None:
    found = _CALL.fullmatch(path)
    if found is None or (method, found[3]) not in _CALLS:
        return None
    return _Asked(found[2].decode("latin-1"), found[3], newest=found[1] == b"pipelines")


_LONGEST_REMEMBERED = 200
"""Bytes of a path: callers choose it, and what is remembered must stay small."""
_remembered = lru_cache(4_096)(_asked)


def _asked_over_grpc(request: HttpRequest) -> _Asked | None:
    if request.path not in _METHODS:
        return None
    return _Asked(request.header(_VERSION).decode("latin-1"), _METHODS[request.path])


def _wanted(asked: Parcel) -> tuple[str, ...]:
    return asked.meta.wanted if isinstance(asked.meta, MessageMeta | WireMeta) else ()
