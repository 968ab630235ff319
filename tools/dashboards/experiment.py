"""The dashboard of an experiment: its candidates side by side, by the names that callers asked for."""

from __future__ import annotations

from dashboards.panels import (
    LEFT,
    NAMESPACE,
    OF_NAMESPACE,
    TIMES,
    TO_SECONDS,
    Board,
    Selector,
    fault_share,
    graph,
    quantile,
    rate,
    share_of,
)

ASKED = f'{NAMESPACE},route=~"$route"'
ANSWERED = f'{ASKED},flags!~"{LEFT}"'
COUNT, BUCKETS = f"{TIMES}_count{{{ASKED}}}", f"{TIMES}_bucket{{{ASKED}}}"

EXPERIMENT = Board(
    name="experiment",
    title="Experiment",
    text="Choose the names by which callers ask for an experiment: NAME.experiment, and its default's.",
    selectors=(OF_NAMESPACE, Selector("route", f"{TIMES}_count{{{NAMESPACE}}}", several=True)),
    rows=(
        (
            "Candidates",
            (
                graph(
                    "Share",
                    "percentunit",
                    "Of the requests by these names.",
                    (f"{rate(COUNT, 'model')} / scalar({rate(COUNT)})", "{{model}}"),
                ),
                graph("Inferences", "reqps", "", (rate(COUNT, "model"), "{{model}}")),
                graph(
                    "Faults",
                    "percentunit",
                    "The share of the answers that a server's fault ended.",
                    (fault_share(ANSWERED, "model", f"{TIMES}_count"), "{{model}}"),
                ),
                graph(
                    "Cancelled",
                    "percentunit",
                    "The share whose callers left before the answer.",
                    (share_of(f'{ASKED},flags=~"{LEFT}"', ASKED, "model", f"{TIMES}_count"), "{{model}}"),
                ),
                graph(
                    "Time of one half", "s", "", (quantile(0.5, BUCKETS, "model") + TO_SECONDS, "{{model}}")
                ),
                graph("Time of 95 %", "s", "", (quantile(0.95, BUCKETS, "model") + TO_SECONDS, "{{model}}")),
                graph("Time of 99 %", "s", "", (quantile(0.99, BUCKETS, "model") + TO_SECONDS, "{{model}}")),
                graph(
                    "By code",
                    "reqps",
                    "HTTP statuses and gRPC codes, and Envoy's flags: DC and DR are callers who left.",
                    (rate(COUNT, "model, code, flags"), "{{model}} {{code}} {{flags}}"),
                ),
                graph(
                    "By version",
                    "reqps",
                    "A candidate's rollout leaves its share as it is.",
                    (rate(COUNT, "model_internal"), "{{model_internal}}"),
                ),
            ),
        ),
        (
            "Delivery",
            (
                graph(
                    "Callers of the candidate",
                    "percentunit",
                    "The share that the delivery gives it now.",
                    (f"max by (route, model) (bailie_delivery_share{{{ASKED}}})", "{{model}}"),
                ),
                graph(
                    "Step",
                    "short",
                    "From 1; the last one that there was.",
                    (f"max by (route, model) (bailie_delivery_step{{{ASKED}}})", "{{model}}"),
                ),
                graph(
                    "Verdict",
                    "short",
                    "Under way (Pausing, Waiting), Promoted, or the limit that was broken.",
                    (f"max by (route, model, phase) (bailie_delivery{{{ASKED}}})", "{{model}} {{phase}}"),
                ),
            ),
        ),
    ),
)
