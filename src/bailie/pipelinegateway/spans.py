"""The spans of requests to pipelines: one for each request that Envoy traces, one for each call of a step.

Made by `run`. The span of a call goes with it as `traceparent`, so that Envoy's span
of the step is its child. Envoy decides which requests are traced: a request without a place in a trace has no
span here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.tracing.context import HEADER, read_traceparent
from bailie.tracing.spans import SpanKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.pipelinegateway.http_values import HttpRequest
    from bailie.pipelinegateway.plans import ServedPlan
    from bailie.tracing.context import SpanContext
    from bailie.tracing.spans import Span
    from bailie.tracing.tracer import Tracer

_GOOD = frozenset({"200", "OK"})
_TRACEPARENT = HEADER.encode()
_LINE = b"%b: %%b\r\n" % _TRACEPARENT


@dataclass(frozen=True, slots=True)
class PipelineSpans:
    """The spans of one gateway."""

    tracer: Tracer

    def of_request(self, request: HttpRequest, served: ServedPlan) -> Span | None:
        """Returns the span of a request; None where it is not traced."""
        if self.tracer.collector is None or not (traceparent := request.header(_TRACEPARENT)):
            return None
        parent = read_traceparent(traceparent)
        span = self.tracer.begin(f"pipeline {served.name}", parent, SpanKind.SERVER) if parent else None
        if span is not None:
            span.attributes.update(pipeline=served.name, version=served.number)
        return span

    def answered(self, span: Span | None, code: str) -> None:
        """Ends the span of a request that is answered with a code of HTTP or gRPC."""
        if span is not None:
            span.attributes["code"] = code
            self.tracer.end(span, "" if code in _GOOD else f"answered {code}")

    def leaving(self, span: Span | None, leave: Callable[[], None]) -> Callable[[], None]:
        """Returns what is to be called when the caller goes before the answer, which ends the span, too."""
        if span is None:
            return leave

        def left() -> None:
            leave()
            self.answered(span, "cancelled")

        return left

    def of_call(self, place: SpanContext, step: str, visit: int) -> tuple[Span | None, bytes]:
        """Returns the span of a call of a step and the line of its header; neither where it is not kept."""
        span = self.tracer.begin(f"step {step}", place, SpanKind.CLIENT)
        if span is None:
            return None, b""
        span.attributes.update(step=step, visit=visit)
        return span, _LINE % span.context.text
