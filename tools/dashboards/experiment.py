"""The dashboard of an experiment: its candidates side by side, by whatever name callers asked for them."""

from __future__ import annotations

from dashboards.panels import (
    NAMESPACE,
    OF_NAMESPACE,
    Board,
    Selector,
    fault_share,
    graph,
    mean,
    rate,
)

C = f'{NAMESPACE},model=~"$model"'
COUNT, SECONDS = f"seldon_model_infer_total{{{C}}}", f"seldon_model_infer_seconds_total{{{C}}}"

EXPERIMENT = Board(
    name="experiment",
    title="Experiment",
    text="Choose the candidates of an experiment: their shares, faults and times side by side.",
    selectors=(OF_NAMESPACE, Selector("model", f"seldon_model_infer_total{{{NAMESPACE}}}", several=True)),
    rows=(
        (
            "Candidates",
            (
                graph(
                    "Share",
                    "percentunit",
                    "Of the inferences of the chosen models. Calls of a candidate by its own name are among them.",
                    (f"{rate(COUNT, 'model')} / scalar({rate(COUNT)})", "{{model}}"),
                ),
                graph("Inferences", "reqps", "", (rate(COUNT, "model"), "{{model}}")),
                graph(
                    "Faults",
                    "percentunit",
                    "The share that a server's fault ended.",
                    (fault_share(C, "model"), "{{model}}"),
                ),
                graph("Mean time", "s", "", (mean(SECONDS, COUNT, "model"), "{{model}}")),
                graph("By code", "reqps", "", (rate(COUNT, "model, code"), "{{model}} {{code}}")),
                graph(
                    "By version",
                    "reqps",
                    "A candidate's rollout leaves its share as it is.",
                    (rate(COUNT, "model_internal"), "{{model_internal}}"),
                ),
            ),
        ),
    ),
)
