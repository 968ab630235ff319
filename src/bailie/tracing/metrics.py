"""Prometheus metrics of the spans of a process, for `/metrics` on its health port."""

from __future__ import annotations

from prometheus_client import Counter

SENT = Counter("bailie_trace_spans_sent", "Spans that the collector has taken.")
DROPPED = Counter(
    "bailie_trace_spans_dropped",
    "Spans that were not sent: too many waited (queue), or the collector did not take them (collector).",
    ["reason"],
)
