"""The spans of a process: which are made, and how many may wait."""

from __future__ import annotations

import pytest

from bailie.api.collector import Collector
from bailie.tracing.context import UNTRACED, SpanContext
from bailie.tracing.metrics import DROPPED
from bailie.tracing.spans import LONGEST_TEXT, SpanKind
from bailie.tracing.tracer import MOST_WAITING, Tracer

PARENT = SpanContext(b"t" * 16, b"s" * 8)


@pytest.fixture
def tracer():
    made = Tracer("seldon-agent", "ns", "mlserver-0")
    made.collector = Collector("127.0.0.1", 4317)
    return made


def test_nothing_is_made_without_a_collector():
    tracer = Tracer("seldon-agent", "ns", "mlserver-0")
    assert tracer.begin("load") is None
    with tracer.span("load"):
        tracer.end(None)
    assert tracer.take(10) == []


def test_a_span_is_its_parents_child_in_one_trace(tracer):
    first = tracer.begin("one")
    second = tracer.begin("two", first.context, SpanKind.CLIENT)
    assert first.parent == b""
    assert (second.parent, second.context.trace_id) == (first.context.span_id, first.context.trace_id)
    assert len({first.context.span_id, second.context.span_id, bytes(8)}) == 3
    tracer.end(second)
    tracer.end(first, "it failed")
    assert [(each.name, each.error) for each in tracer.take(10)] == [("two", ""), ("one", "it failed")]
    assert first.begun <= second.begun <= second.ended <= first.ended


def test_of_a_trace_that_is_not_recorded_nothing_is_made(tracer):
    assert tracer.begin("hold", UNTRACED) is None
    assert tracer.begin("hold", PARENT._replace(sampled=False)) is None
    assert tracer.begin("hold", PARENT).parent == PARENT.span_id


def test_a_block_that_fails_says_why(tracer):
    with pytest.raises(ValueError, match="no room"), tracer.span("load", model="iris"):
        raise ValueError("no room")
    with pytest.raises(KeyError), tracer.span("load"):
        raise KeyError
    found = tracer.take(10)
    assert [each.error for each in found] == ["no room", "KeyError"]
    assert found[0].attributes == {"model": "iris"}


def test_a_span_that_waits_holds_no_long_error(tracer):
    tracer.end(tracer.begin("one"), "x" * 1_000_000)
    assert [len(each.error) for each in tracer.take(10)] == [LONGEST_TEXT]


def test_a_span_ends_once(tracer):
    span = tracer.begin("one")
    tracer.end(span)
    tracer.end(span, "again")
    assert [each.error for each in tracer.take(10)] == [""]


def test_more_spans_than_may_wait_are_dropped_and_counted(tracer):
    before = DROPPED.labels("queue")._value.get()
    for _ in range(MOST_WAITING + 3):
        tracer.end(tracer.begin("one"))
    assert DROPPED.labels("queue")._value.get() == before + 3
    assert len(tracer.take(MOST_WAITING * 2)) == MOST_WAITING


def test_the_exporter_is_told_when_the_queue_is_empty_no_more(tracer):
    told = []
    tracer.added = lambda: told.append(1)
    for _ in range(3):
        tracer.end(tracer.begin("one"))
    tracer.take(10)
    tracer.end(tracer.begin("one"))
    assert len(told) == 2
