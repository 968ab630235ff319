"""Prometheus metrics of a pipeline gateway, for `/metrics` on the health port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from bailie.pipelinegateway.counts import Counts, Durations, Endings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

SERVER = "pipeline-gateway"
"""The label `server`, as Seldon Core has it."""

ENDINGS = Endings()
RECORDS = Endings()
SECONDS = Durations((0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60))
IN_PROGRESS = Gauge("bailie_pipeline_requests_in_progress", "Requests to pipelines that have no answer yet.")
SIDE_RUNS = Gauge("bailie_pipeline_side_runs", "Requests whose side branches run on after the answer.")
SIDE_FAILURES = Counter("bailie_pipeline_side_failures", "Failures of steps that harmed no answer.")
SIDE_DROPPED = Counter("bailie_pipeline_side_dropped", "Side branches given up for want of room.")
HELD_BYTES = Gauge("bailie_pipeline_held_bytes", "Bytes of requests and of steps' answers that are held.")
REFUSED = Counter("bailie_pipeline_refused", "Requests that were refused for want of room.")
PLANS = Gauge("bailie_pipeline_plans", "Versions of pipelines that can run.")


class CountedMetrics(Collector):
    """The series of `counts`: those of Seldon Core, exact, and one set for each step.

    Labels are names of pipelines and steps whose plans are here, at most MOST_STEPS of them, and statuses
    that this program gives: callers cannot make series.
    """

    def __init__(self, counts: Counts) -> None:
        """Begins with the counts of no gateway; `counts` is replaced by those of this process's."""
        self.counts = counts

    def collect(self) -> Iterator[Metric]:
        """Yields the families (prometheus_client's)."""
        yield from _of_requests()
        yield from _of_records()
        yield from _of_seldon_core(self.counts)
        yield from _of_steps(self.counts)


def _of_requests() -> Iterator[Metric]:
    text = "Requests to pipelines by how they ended."
    endings = CounterMetricFamily("bailie_pipeline_requests", text, labels=["ending"])
    for ending, number in ENDINGS.numbers.items():
        endings.add_metric([ending], number)
    text = "Duration of requests to pipelines until their answer."
    yield endings
    yield HistogramMetricFamily("bailie_pipeline_seconds", text, SECONDS.cumulated(), SECONDS.seconds)


def _of_records() -> Iterator[Metric]:
    """Yields the records of Kafka that have run; nothing without Kafka."""
    if RECORDS.numbers:
        text = "Records of Kafka that have run, by how they ended."
        records = CounterMetricFamily("bailie_pipeline_records", text, labels=["ending"])
        for ending, number in RECORDS.numbers.items():
            records.add_metric([ending], number)
        yield records


def _of_seldon_core(counts: Counts) -> Iterator[Metric]:
    labels = ["server", "pipeline", "method_type", "code"]
    requests = CounterMetricFamily("seldon_pipeline_infer", "Requests to pipelines.", labels=labels)
    seconds = CounterMetricFamily("seldon_pipeline_infer_seconds", "Their seconds.", labels=labels)
    for each in counts.pipelines():
        for (method, code), tally in each.requests.items():
            requests.add_metric([SERVER, each.name, method, code], tally.number)
            seconds.add_metric([SERVER, each.name, method, code], tally.seconds)
    yield from (requests, seconds)
    labels = ["server", "method_type"]
    all_requests = CounterMetricFamily("seldon_pipeline_aggregate_infer", "Requests.", labels=labels)
    all_seconds = CounterMetricFamily("seldon_pipeline_aggregate_infer_seconds", "Seconds.", labels=labels)
    for method in sorted({method for method, _ in counts.api}):
        found = [api for (of, _), api in counts.api.items() if of == method]
        all_requests.add_metric([SERVER, method], sum(sum(api.buckets) for api in found))
        all_seconds.add_metric([SERVER, method], sum(api.seconds for api in found))
    yield from (all_requests, all_seconds)
    name, labels = "seldon_pipeline_infer_api_seconds", ["server", "method", "code"]
    duration = HistogramMetricFamily(name, "Duration of requests to pipelines.", labels=labels)
    for (method, code), api in counts.api.items():
        duration.add_metric([SERVER, method, code], api.cumulated(), api.seconds)
    yield duration


def _of_steps(counts: Counts) -> Iterator[Metric]:
    labels = ["pipeline", "step"]
    calls = CounterMetricFamily(
        "bailie_pipeline_step_calls", "Calls of steps by ending.", labels=[*labels, "ending"]
    )
    seconds = CounterMetricFamily("bailie_pipeline_step_seconds", "Seconds of these calls.", labels=labels)
    flying = GaugeMetricFamily(
        "bailie_pipeline_step_in_flight", "Calls of steps that have not ended.", labels=labels
    )
    skipped = CounterMetricFamily(
        "bailie_pipeline_step_skipped",
        "Requests that did not come to a step: its data was absent, or late.",
        labels=[*labels, "reason"],
    )
    for pipeline, step, found in counts.steps():
        endings = {"answered": found.answered, "cancelled": found.cancelled}
        endings |= {code.name.lower(): number for code, number in found.failed.items()}
        for ending, number in endings.items():
            if number:
                calls.add_metric([pipeline, step, ending], number)
        for reason, number in (("absent", found.absent), ("late", found.late)):
            if number:
                skipped.add_metric([pipeline, step, reason], number)
        if found.called:
            seconds.add_metric([pipeline, step], found.seconds)
            flying.add_metric([pipeline, step], found.in_flight)
    dropped = CounterMetricFamily(
        "bailie_pipeline_dropped_side_branches",
        "Requests whose side branches were given up.",
        labels=["pipeline"],
    )
    for each in counts.pipelines():
        if each.side_dropped:
            dropped.add_metric([each.name], each.side_dropped)
    yield from (calls, seconds, flying, skipped, dropped)


COUNTED = CountedMetrics(Counts())
REGISTRY.register(COUNTED)
