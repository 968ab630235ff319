"""The dashboard of a namespace: is it well, and which of its models are busy, slow or failing?"""

from __future__ import annotations

from dashboards.panels import NAMESPACE as N
from dashboards.panels import (
    OF_NAMESPACE,
    Board,
    fault_share,
    graph,
    mean,
    number,
    quantiles,
    rate,
)

FAILED_LOADS = f'bailie_agent_loads_total{{{N},reason!=""}}'
ANSWERING = "ModelAvailable|PreviousVersionAnswers"

NAMESPACE = Board(
    name="namespace",
    title="Namespace",
    text="The requests, models, servers and Envoys of one namespace.",
    selectors=(OF_NAMESPACE,),
    rows=(
        (
            "Now",
            (
                number(
                    "Requests",
                    "reqps",
                    "Of all kinds, that the Envoys got.",
                    f"namespace:envoy_requests:rate5m{{{N}}}",
                ),
                number(
                    "5xx",
                    "percentunit",
                    "The share of them that ended with 5xx.",
                    f"namespace:envoy_request_errors:ratio5m{{{N}}} or 0 * namespace:envoy_requests:rate5m{{{N}}}",
                ),
                number("Models that answer", "short", "", f'sum(bailie_models{{{N},state=~"{ANSWERING}"}})'),
                number(
                    "Models that do not",
                    "short",
                    "Those that are meant to run.",
                    f'sum(bailie_models{{{N},state!~"{ANSWERING}|ModelScaledDown|ModelTerminating"}}) or vector(0)',
                ),
                number(
                    "Replicas that are ready",
                    "short",
                    "Of all Servers.",
                    f'sum(bailie_server_replicas{{{N},state="Ready"}})',
                ),
                number(
                    "Schedulers that lead",
                    "short",
                    "One, always.",
                    f'sum(bailie_leader{{{N},lease="seldon-scheduler"}})',
                ),
            ),
        ),
        (
            "Inferences",
            (
                graph(
                    "By model",
                    "reqps",
                    "The ten busiest.",
                    (f"topk(10, {rate(f'seldon_model_infer_total{{{N}}}', 'model')})", "{{model}}"),
                ),
                graph(
                    "By code",
                    "reqps",
                    "HTTP statuses and gRPC codes.",
                    (rate(f"seldon_model_infer_total{{{N}}}", "code"), "{{code}}"),
                ),
                graph(
                    "Faults",
                    "percentunit",
                    "The share that a server's fault ended; the ten worst models.",
                    (f"topk(10, {fault_share(N, 'model')})", "{{model}}"),
                ),
                graph(
                    "Time",
                    "s",
                    "From the first byte of the request to the last of the answer.",
                    *quantiles(f"seldon_model_infer_api_seconds_bucket{{{N}}}"),
                ),
                graph(
                    "Mean time by model",
                    "s",
                    "The ten slowest.",
                    (
                        f"topk(10, {mean(f'seldon_model_infer_seconds_total{{{N}}}', f'seldon_model_infer_total{{{N}}}', 'model')})",
                        "{{model}}",
                    ),
                ),
                graph(
                    "Under way",
                    "short",
                    "Requests without an answer yet; the ten busiest models.",
                    (f"topk(10, sum by (model) (seldon_model_infer_in_flight{{{N}}}))", "{{model}}"),
                ),
            ),
        ),
        (
            "Models and servers",
            (
                graph(
                    "Models by state",
                    "short",
                    "By the reason of the condition ModelReady.",
                    (f"sum by (state) (bailie_models{{{N}}})", "{{state}}"),
                ),
                graph(
                    "Memory of loaded models",
                    "bytes",
                    "By replica.",
                    (
                        f"sum by (server, server_replica) (seldon_loaded_model_memory_bytes_gauge{{{N}}})",
                        "{{server}}-{{server_replica}}",
                    ),
                ),
                graph(
                    "Replicas by state",
                    "short",
                    "As the leading scheduler sees them.",
                    (f"sum by (server, state) (bailie_server_replicas{{{N}}})", "{{server}} {{state}}"),
                ),
                graph(
                    "Loads that failed",
                    "short",
                    "A minute, by reason.",
                    (f"60 * {rate(FAILED_LOADS, 'reason')}", "{{reason}}"),
                ),
                graph(
                    "Evictions and returns",
                    "short",
                    "A minute, on servers with overcommit.",
                    (f"60 * {rate(f'bailie_agent_evictions_total{{{N}}}')}", "evicted"),
                    (f"60 * {rate(f'bailie_agent_returns_total{{{N}}}')}", "returned"),
                ),
                graph(
                    "Memory of Envoys",
                    "percent",
                    "Of their limit. Calls are ended from 68 % on.",
                    (f"envoy_overload_envoy_resource_monitors_fixed_heap_pressure{{{N}}}", "{{pod}}"),
                ),
            ),
        ),
    ),
)
