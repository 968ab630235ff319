"""Spans on their way to a real receiver: batches, collectors that change, are away, or come back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from tests.support.collector import collector, vanished
from tests.support.dataplane import until
from tests.support.ports import free_port

from bailie.api.collector import Collector
from bailie.tracing.exporter import SpanExporter
from bailie.tracing.metrics import DROPPED, SENT
from bailie.tracing.spans import SpanKind
from bailie.tracing.tracer import Tracer

AGENT = "seldon-agent"


@asynccontextmanager
async def exporting(target=None):
    tracer = Tracer(AGENT, "ns", "mlserver-0")
    tracer.collector = target
    async with asyncio.TaskGroup() as group:
        task = group.create_task(SpanExporter(tracer, gather_seconds=0.01, export_seconds=1).run())
        yield tracer
        task.cancel()


def count(counter):
    return counter._value.get()


def make(tracer, name="load", error="", **attributes):
    span = tracer.begin(name, kind=SpanKind.CLIENT)
    span.attributes.update(attributes)
    tracer.end(span, error)
    return span


async def test_a_span_arrives_with_all_that_it_says():
    async with collector() as found, exporting(found.target()) as tracer:
        parent = tracer.begin("parent")
        child = tracer.begin("child", parent.context)
        child.attributes.update(text="x" * 1000, number=-7, part=0.5, yes=True)
        tracer.end(child, "it failed")
        seen = await found.one(AGENT)
        assert (seen.name, seen.kind, seen.error) == ("child", SpanKind.INTERNAL, True)
        assert (seen.trace, seen.parent) == (parent.context.trace_id.hex(), parent.context.span_id.hex())
        assert seen.attributes == {"text": "x" * 400, "number": -7, "part": 0.5, "yes": True}
        assert (seen.resource["service.namespace"], seen.resource["service.instance.id"]) == (
            "ns",
            "mlserver-0",
        )


async def test_texts_that_are_no_unicode_are_sent_as_far_as_they_are():
    async with collector() as found, exporting(found.target()) as tracer:
        make(tracer, error="from \udc80 a model", text="half \ud83d a pair")
        seen = await found.one(AGENT)
        assert (seen.error, seen.attributes) == (True, {"text": "half ? a pair"})


async def test_many_spans_arrive_each_once():
    async with collector() as found, exporting(found.target()) as tracer:
        before = count(SENT)
        ids = {make(tracer).context.span_id.hex() for _ in range(1500)}
        await until(lambda: len(found.spans) >= 1500, "all spans arrive")
        assert {each.id for each in found.spans} == ids
        await until(lambda: count(SENT) == before + 1500, "all are counted")


async def test_another_collector_gets_the_spans_from_then_on():
    async with collector() as first, collector() as second, exporting(first.target()) as tracer:
        make(tracer, "one")
        await first.one(AGENT, "one")
        tracer.collector = second.target()
        make(tracer, "two")
        await second.one(AGENT, "two")
        tracer.collector = None
        assert tracer.begin("three") is None
        tracer.collector = first.target()
        make(tracer, "four")
        await first.one(AGENT, "four")
        assert [each.name for each in first.spans] == ["one", "four"]


async def test_spans_for_a_collector_that_is_away_are_dropped_and_counted():
    port = free_port()
    async with exporting(Collector("127.0.0.1", port)) as tracer:
        before = count(DROPPED.labels("collector"))
        make(tracer)
        await until(lambda: count(DROPPED.labels("collector")) == before + 1, "the span is dropped")
        async with collector(port) as found:

            def arrived():
                make(tracer, "later")
                return found.of(AGENT, "later")

            await until(arrived, "spans arrive again", 20)


async def test_a_collector_that_vanished_gets_spans_by_another_connection():
    async with vanished() as (port, connected), exporting(Collector("127.0.0.1", port)) as tracer:
        make(tracer)
        await connected.wait()
        async with collector(port) as found:

            def arrived():
                make(tracer, "later")
                return found.of(AGENT, "later")

            await until(arrived, "spans arrive again", 20)
