"""The dashboard of a model: its requests, versions and replicas."""

from __future__ import annotations

from dashboards.panels import (
    NAMESPACE,
    OF_NAMESPACE,
    TIMES,
    TO_SECONDS,
    Board,
    Selector,
    fault_share,
    graph,
    mean,
    number,
    quantiles,
    rate,
)

M = f'{NAMESPACE},model="$model"'
VERSIONS = f'{NAMESPACE},model_internal=~"${{model}}_[0-9]+"'
COUNT, SECONDS = f"seldon_model_infer_total{{{M}}}", f"seldon_model_infer_seconds_total{{{M}}}"

MODEL = Board(
    name="model",
    title="Model",
    text="The requests, versions and replicas of one model.",
    selectors=(OF_NAMESPACE, Selector("model", f"seldon_model_infer_total{{{NAMESPACE}}}")),
    rows=(
        (
            "Now",
            (
                number("Inferences", "reqps", "", rate(COUNT)),
                number(
                    "Faults", "percentunit", "The share that a server's fault ended.", fault_share(M, "model")
                ),
                number("Mean time", "s", "", mean(SECONDS, COUNT, "model")),
                number("Under way", "short", "", f"sum(seldon_model_infer_in_flight{{{M}}})"),
                number(
                    "Replicas in memory",
                    "short",
                    "",
                    f"count(seldon_loaded_model_memory_bytes_gauge{{{VERSIONS}}} > 0)",
                ),
                number(
                    "Memory",
                    "bytes",
                    "Of all replicas.",
                    f"sum(seldon_loaded_model_memory_bytes_gauge{{{VERSIONS}}})",
                ),
            ),
        ),
        (
            "Inferences",
            (
                graph("By code", "reqps", "HTTP statuses and gRPC codes.", (rate(COUNT, "code"), "{{code}}")),
                graph(
                    "By replica",
                    "reqps",
                    "",
                    (rate(COUNT, "server, server_replica"), "{{server}}-{{server_replica}}"),
                ),
                graph(
                    "By version",
                    "reqps",
                    "During a rollout one takes over from the other.",
                    (rate(COUNT, "model_internal"), "{{model_internal}}"),
                ),
                graph(
                    "Time",
                    "s",
                    "From the first byte of the request to the last of the answer.",
                    *quantiles(f"{TIMES}_bucket{{{M}}}", TO_SECONDS),
                ),
                graph(
                    "Mean time by protocol", "s", "", (mean(SECONDS, COUNT, "method_type"), "{{method_type}}")
                ),
                graph(
                    "Mean time by replica",
                    "s",
                    "",
                    (mean(SECONDS, COUNT, "server, server_replica"), "{{server}}-{{server_replica}}"),
                ),
                graph(
                    "Under way",
                    "short",
                    "",
                    (f"sum by (model) (seldon_model_infer_in_flight{{{M}}})", "requests"),
                ),
            ),
        ),
        (
            "Memory",
            (
                graph(
                    "By replica",
                    "bytes",
                    "In memory.",
                    (
                        f"sum by (server, server_replica, model_internal) (seldon_loaded_model_memory_bytes_gauge{{{VERSIONS}}})",
                        "{{model_internal}} on {{server}}-{{server_replica}}",
                    ),
                ),
                graph(
                    "Evicted",
                    "bytes",
                    "On disk alone: the next request brings the model back.",
                    (
                        f"sum by (server, server_replica) (seldon_evicted_model_memory_bytes_gauge{{{VERSIONS}}}) or vector(0)",
                        "{{server}}-{{server_replica}}",
                    ),
                ),
            ),
        ),
    ),
)
