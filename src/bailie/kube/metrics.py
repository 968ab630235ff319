"""The metrics of the controller runtime, the same in every process."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RELISTS = Counter("bailie_informer_lists", "Full lists by informers.", ["resource"])
WATCH_FAILURES = Counter("bailie_informer_failures", "Lists and watches that failed.", ["resource", "error"])
RECONCILES = Counter("bailie_reconciles", "Reconciliations by how they ended.", ["controller", "result"])
RECONCILE_SECONDS = Histogram(
    "bailie_reconcile_seconds",
    "Duration of reconciliations.",
    ["controller"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30),
)
QUEUE_LENGTH = Gauge("bailie_queue_length", "Keys that wait for a worker.", ["controller"])
LEADING = Gauge("bailie_leader", "1 while this process holds the lease.", ["namespace", "lease"])
EVENTS_DROPPED = Counter("bailie_events_dropped", "Kubernetes Events that could not be written.")
