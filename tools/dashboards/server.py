"""The dashboard of a Server: its replicas, their memory, the loads and the evictions."""

from __future__ import annotations

from dashboards.panels import (
    NAMESPACE,
    OF_NAMESPACE,
    Board,
    Selector,
    graph,
    number,
    quantile,
    quantiles,
    rate,
)

S = f'{NAMESPACE},server="$server"'
POD = f'{NAMESPACE},pod=~"$server-[0-9]+"'
REPLICA = "{{server}}-{{server_replica}}"


def _of_replica(series: str) -> str:
    return f"sum by (server, server_replica) ({series}{{{S}}})"


SERVER = Board(
    name="server",
    title="Server",
    text="The replicas of one Server: requests, memory, loads and evictions.",
    selectors=(
        OF_NAMESPACE,
        Selector("server", f"seldon_server_replica_memory_capacity_bytes_gauge{{{NAMESPACE}}}"),
    ),
    rows=(
        (
            "Now",
            (
                number("Inferences", "reqps", "", rate(f"seldon_model_aggregate_infer_total{{{S}}}")),
                number(
                    "Replicas that are ready",
                    "short",
                    "",
                    f'sum(bailie_server_replicas{{{S},state="Ready"}})',
                ),
                number(
                    "Models in memory",
                    "short",
                    "Of all replicas.",
                    f"count(seldon_loaded_model_memory_bytes_gauge{{{S}}} > 0)",
                ),
                number(
                    "Memory in use",
                    "percentunit",
                    "By loaded models, of that of the replicas.",
                    f"sum(seldon_loaded_model_memory_bytes_gauge{{{S}}}) / sum(seldon_server_replica_memory_capacity_bytes_gauge{{{S}}})",
                ),
            ),
        ),
        (
            "Inferences",
            (
                graph(
                    "By replica",
                    "reqps",
                    "",
                    (rate(f"seldon_model_aggregate_infer_total{{{S}}}", "server, server_replica"), REPLICA),
                ),
                graph("By code", "reqps", "", (rate(f"seldon_model_infer_total{{{S}}}", "code"), "{{code}}")),
                graph(
                    "Time",
                    "s",
                    "Of all models of the Server.",
                    *quantiles(f"seldon_model_infer_api_seconds_bucket{{{S}}}"),
                ),
                graph(
                    "MLServer's own time",
                    "s",
                    "Within MLServer, REST.",
                    *quantiles(f"rest_server_request_duration_seconds_bucket{{{POD}}}"),
                ),
                graph(
                    "Waits for a model",
                    "s",
                    "Of requests for a model that was not in memory.",
                    *quantiles(f"bailie_agent_held_seconds_bucket{{{POD}}}"),
                ),
                graph(
                    "Misses",
                    "short",
                    "Requests a minute for a model that was not in memory.",
                    (f"60 * {rate(f'seldon_cache_miss_count{{{S}}}', 'server, server_replica')}", REPLICA),
                ),
            ),
        ),
        (
            "Memory",
            (
                graph(
                    "Models",
                    "bytes",
                    "Those that were evicted need memory only when they come back.",
                    (_of_replica("seldon_loaded_model_memory_bytes_gauge"), f"{REPLICA} loaded"),
                    (_of_replica("seldon_evicted_model_memory_bytes_gauge"), f"{REPLICA} evicted"),
                    (_of_replica("seldon_server_replica_memory_capacity_bytes_gauge"), f"{REPLICA} memory"),
                    (
                        _of_replica("seldon_server_replica_memory_capacity_overcommit_bytes_gauge"),
                        f"{REPLICA} with overcommit",
                    ),
                ),
                graph(
                    "Resident set",
                    "bytes",
                    "Of the server's process; 0 where it is unknown.",
                    (f"bailie_agent_server_resident_bytes{{{POD}}}", "{{pod}}"),
                ),
                graph(
                    "Evictions",
                    "short",
                    "Models a minute that left memory for others.",
                    (f"60 * {rate(f'seldon_cache_evict_count{{{S}}}', 'server, server_replica')}", REPLICA),
                ),
            ),
        ),
        (
            "Loads",
            (
                graph(
                    "Loads and unloads",
                    "short",
                    "A minute.",
                    (f"60 * {rate(f'seldon_load_model_counter{{{S}}}')}", "loads"),
                    (f"60 * {rate(f'seldon_unload_model_counter{{{S}}}')}", "unloads"),
                ),
                graph(
                    "Time by stage",
                    "s",
                    "Nineteen of twenty: fetch is the download, load the server's part.",
                    (
                        quantile(0.95, f"bailie_agent_stage_seconds_bucket{{{POD}}}", "stage"),
                        "{{stage}}",
                    ),
                ),
                graph(
                    "Ready and in session",
                    "short",
                    "1 while the server is ready, and while its agent has a scheduler.",
                    (f"bailie_agent_server_ready{{{POD}}}", "{{pod}} ready"),
                    (f"bailie_agent_session_open{{{POD}}}", "{{pod}} in session"),
                ),
            ),
        ),
    ),
)
