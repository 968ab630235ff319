"""Prometheus metrics of an agent, for `/metrics` on the health port."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LOADS = Counter("bailie_agent_loads", "Loads that ended; no reason: they succeeded", ["reason"])
STAGE_SECONDS = Histogram(
    "bailie_agent_stage_seconds",
    "Duration of the stages of a load: fetch (download) and load (by the server)",
    ["stage"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 1800, 3600),
)
UNLOADS = Counter("bailie_agent_unloads", "Models that were taken off the server at the scheduler's command")
EVICTIONS = Counter("bailie_agent_evictions", "Models that left memory, for others or for want of requests")
RETURNS = Counter("bailie_agent_returns", "Evicted models that came back, mostly for a request")
HELD_SECONDS = Histogram(
    "bailie_agent_held_seconds",
    "How long requests waited for a model that was not in memory",
    buckets=(0.001, 0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
SESSION_OPEN = Gauge("bailie_agent_session_open", "1 while a session with a scheduler is open")
SERVER_READY = Gauge("bailie_agent_server_ready", "1 while the inference server is ready")
RESIDENT_BYTES = Gauge(
    "bailie_agent_server_resident_bytes", "Resident set of the inference server; 0 when it is unknown"
)
