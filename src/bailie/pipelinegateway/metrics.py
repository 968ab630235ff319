"""Prometheus metrics of a pipeline gateway, for `/metrics` on the health port."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ENDINGS = Counter("bailie_pipeline_requests", "Requests to pipelines by how they ended.", ["ending"])
OF_ENDING = {
    name: ENDINGS.labels(name)
    for name in ("answered", "step_error", "unreachable", "too_slow", "no_output", "cancelled", "bug")
}
SECONDS = Histogram(
    "bailie_pipeline_seconds",
    "Duration of requests to pipelines until their answer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
IN_PROGRESS = Gauge("bailie_pipeline_requests_in_progress", "Requests to pipelines that have no answer yet.")
SIDE_RUNS = Gauge("bailie_pipeline_side_runs", "Requests whose side branches run on after the answer.")
SIDE_FAILURES = Counter("bailie_pipeline_side_failures", "Failures of steps that harmed no answer.")
SIDE_DROPPED = Counter("bailie_pipeline_side_dropped", "Side branches given up for want of room.")
HELD_BYTES = Gauge("bailie_pipeline_held_bytes", "Bytes of requests and of steps' answers that are held.")
REFUSED = Counter("bailie_pipeline_refused", "Requests that were refused for want of room.")
PLANS = Gauge("bailie_pipeline_plans", "Versions of pipelines that can run.")
