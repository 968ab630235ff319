"""Spans as values, and as a request of the OpenTelemetry protocol (OTLP).

Made by `tracer`, export_request by `exporter`. Pure: times are handed in, in nanoseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from bailie._gen import otlp_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.tracing.context import SpanContext

Attribute = str | bool | int | float
LONGEST_TEXT = 400
"""Characters of an attribute or of an error that are sent."""
_SCOPE = "bailie"


class SpanKind(IntEnum):
    """The part of a span in a call, by its number in the protocol."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


@dataclass(slots=True)
class Span:
    """Work that has begun. `parent` is empty for the first span of a trace; `error`: why the work failed."""

    name: str
    context: SpanContext
    parent: bytes
    kind: SpanKind
    begun: int
    ended: int = 0
    attributes: dict[str, Attribute] = field(default_factory=dict)
    error: str = ""


def export_request(resource: Mapping[str, str], spans: Iterable[Span]) -> bytes:
    """Returns the request that exports spans; `resource` tells which process they are of."""
    found = pb.ResourceSpans(
        resource=pb.Resource(attributes=_attributes(resource)),
        scope_spans=[pb.ScopeSpans(scope=pb.InstrumentationScope(name=_SCOPE), spans=map(_message, spans))],
    )
    return pb.ExportTraceServiceRequest(resource_spans=[found]).SerializeToString()


def _message(span: Span) -> pb.Span:
    made = pb.Span(
        trace_id=span.context.trace_id,
        span_id=span.context.span_id,
        parent_span_id=span.parent,
        name=span.name,
        kind=pb.Span.SpanKind.Name(span.kind),
        start_time_unix_nano=span.begun,
        end_time_unix_nano=span.ended,
        attributes=_attributes(span.attributes),
    )
    if span.error:
        made.status.CopyFrom(pb.Status(code=pb.Status.STATUS_CODE_ERROR, message=_text(span.error)))
    return made


def _attributes(given: Mapping[str, Attribute]) -> list[pb.KeyValue]:
    return [pb.KeyValue(key=key, value=_value(value)) for key, value in given.items()]


def _value(value: Attribute) -> pb.AnyValue:
    match value:
        case bool():
            return pb.AnyValue(bool_value=value)
        case int():
            return pb.AnyValue(int_value=value)
        case float():
            return pb.AnyValue(double_value=value)
        case str():
            return pb.AnyValue(string_value=_text(value))


def _text(text: str) -> str:
    """Returns what is sent of a text. Half a surrogate pair, as a stranger's JSON may have, would end the
    exporter."""
    return text[:LONGEST_TEXT].encode(errors="replace").decode()
