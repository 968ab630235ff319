"""The dashboard of pipelines: their requests, and the room in the gateways."""

from __future__ import annotations

from dashboards.panels import (
    NAMESPACE,
    OF_NAMESPACE,
    Board,
    Selector,
    graph,
    mean,
    number,
    quantiles,
    rate,
)

P = f'{NAMESPACE},pipeline=~"$pipeline"'
COUNT, SECONDS = f"seldon_pipeline_infer_total{{{P}}}", f"seldon_pipeline_infer_seconds_total{{{P}}}"
N = NAMESPACE

PIPELINE = Board(
    name="pipeline",
    title="Pipelines",
    text="The requests to pipelines, and the gateways that run them.",
    selectors=(
        OF_NAMESPACE,
        Selector("pipeline", f"seldon_pipeline_infer_total{{{NAMESPACE}}}", several=True),
    ),
    rows=(
        (
            "Now",
            (
                number("Requests", "reqps", "", rate(COUNT)),
                number(
                    "Under way",
                    "short",
                    "In the gateways.",
                    f"sum(bailie_pipeline_requests_in_progress{{{N}}})",
                ),
                number("Versions that can run", "short", "", f"max(bailie_pipeline_plans{{{N}}})"),
            ),
        ),
        (
            "Requests",
            (
                graph("By pipeline", "reqps", "", (rate(COUNT, "pipeline"), "{{pipeline}}")),
                graph("By code", "reqps", "HTTP statuses and gRPC codes.", (rate(COUNT, "code"), "{{code}}")),
                graph("Mean time by pipeline", "s", "", (mean(SECONDS, COUNT, "pipeline"), "{{pipeline}}")),
                graph(
                    "Time",
                    "s",
                    "Of all pipelines of the namespace, as callers see it.",
                    *quantiles(f"seldon_pipeline_infer_api_seconds_bucket{{{N}}}"),
                ),
                graph(
                    "Time in the gateways",
                    "s",
                    "Of all pipelines of the namespace.",
                    *quantiles(f"bailie_pipeline_seconds_bucket{{{N}}}"),
                ),
                graph(
                    "By ending",
                    "reqps",
                    "As the gateways say it.",
                    (rate(f"bailie_pipeline_requests_total{{{N}}}", "ending"), "{{ending}}"),
                ),
            ),
        ),
        (
            "Gateways",
            (
                graph(
                    "Under way",
                    "short",
                    "Requests without an answer, and side branches that run on after it.",
                    (f"bailie_pipeline_requests_in_progress{{{N}}}", "{{pod}} requests"),
                    (f"bailie_pipeline_side_runs{{{N}}}", "{{pod}} side branches"),
                ),
                graph(
                    "Held",
                    "bytes",
                    "Bytes of requests and of steps' answers.",
                    (f"bailie_pipeline_held_bytes{{{N}}}", "{{pod}}"),
                ),
                graph(
                    "Refused or dropped",
                    "short",
                    "A minute, for want of room.",
                    (f"60 * {rate(f'bailie_pipeline_refused_total{{{N}}}')}", "requests refused"),
                    (f"60 * {rate(f'bailie_pipeline_side_dropped_total{{{N}}}')}", "side branches dropped"),
                ),
                graph(
                    "Failures of side branches",
                    "short",
                    "A minute; they harm no answer.",
                    (f"60 * {rate(f'bailie_pipeline_side_failures_total{{{N}}}')}", "failures"),
                ),
            ),
        ),
    ),
)
