"""Checks of acts that begin or end with a move from Seldon Core: traces, scaling, deliveries. Pure.

Called by `findings`. Bailie acts on fields that Seldon Core stores only, and on annotations of its own; and
its operator has other SeldonConfigs than Seldon Core's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie import delivery
from bailie.api import kinds
from bailie.api.model import Model
from bailie.control.scaling_rules import rules_of
from bailie.control.server_rules import server_rules, switch_of
from bailie.migration.checks.configurations import runtime_of, settings_of
from bailie.migration.checks.operators import home_of
from bailie.migration.checks.resources import reference_to, some
from bailie.migration.facts import annotations_of, name_of
from bailie.migration.finding import PlanFinding, advice
from bailie.migration.foreign import foreign_operators
from bailie.migration.source import SELDON_SOURCES, MoveSource
from bailie.scaling import idle

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from bailie.api.collector import Collector
    from bailie.api.seldon_runtime import SeldonRuntime
    from bailie.migration.facts import MoveFacts, Object

_BEGIN = {
    (kinds.EXPERIMENT, delivery.ANNOTATION): "from then on its weights follow the answers, step by step",
    (kinds.MODEL, idle.ANNOTATION): "from then on it leaves memory when nobody asks for it",
}
"""Annotations of Bailie's by the kind that has them, each with the act that it asks for."""


def traces(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields that traces of requests begin, or that those of Seldon Core end."""
    runtime, home = runtime_of(facts), home_of(facts)
    if runtime is None or home is None or source not in SELDON_SOURCES:
        return
    operators = {each.home for each in foreign_operators(facts) if each.covers(facts.here.name)}
    before, after = _collector(facts, runtime, operators), _collector(facts, runtime, {home.home})
    subject = reference_to(facts.here.runtime() or {})
    if after is not None:
        part = "every request" if after.ratio == 1 else f"{after.ratio:g} of the requests"
        text = f"Envoys and MLServer begin to send traces of {part} to {after}, which takes processor time"
        remedy = "in the values of its release: config.tracingConfig.ratio=0.01, or .disable=true for none"
        yield advice("traces", subject, text, remedy)
    elif before is not None:
        text = f"Seldon Core sends traces to {before}; after the move none are sent"
        remedy = f"if somebody reads them: config.tracingConfig.otelExporterEndpoint={before} in its values"
        yield advice("traces", subject, text, f"{remedy}, and .ratio for a part of the requests")


def scaling(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields the Servers and the Models whose replicas Bailie's scheduler sets."""
    runtime, switch = runtime_of(facts), switch_of(facts.here.all(kinds.SELDON_RUNTIME))
    if runtime is None or source not in SELDON_SOURCES:
        return
    if servers := [
        name_of(each) for each in facts.here.all(kinds.SERVER) if switch.enabled and _follows(each)
    ]:
        text = (
            "Bailie's scheduler sets their replicas between minReplicas and maxReplicas, by the room that "
            "models need; fewer only after `finish`"
        )
        if switch.packs:
            text += "; scaleDownPackingEnabled, which Seldon Core only stores, has models moved for that"
        remedy = "config.scalingConfig.servers.enabled=false in the values of the runtime keeps the numbers"
        yield advice("scaling", f"Server {facts.here.name}/{some(servers)}", text, remedy)
    models = runtime.spec.config.scaling_config and runtime.spec.config.scaling_config.models
    if models and models.enabled and (names := [*_scaled(facts)]):
        text = (
            "their replicas follow the load between minReplicas and maxReplicas; Seldon Core 2.10 scales none"
        )
        remedy = "config.scalingConfig.models.enabled=false in the values of the runtime keeps the numbers"
        yield advice("scaling", f"Model {facts.here.name}/{some(names)}", text, remedy)


def annotated(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields objects with annotations of Bailie's, of which Seldon Core knows nothing."""
    for (kind, annotation), act in _BEGIN.items() if source in SELDON_SOURCES else ():
        if names := [name_of(each) for each in facts.here.all(kind) if annotation in annotations_of(each)]:
            text = f"the annotation {annotation} has an effect as soon as Bailie answers for the name: {act}"
            remedy = f"kubectl annotate {kind.plural} {names[0]} --namespace {facts.here.name} {annotation}-"
            subject = f"{kind.kind} {facts.here.name}/{some(names)}"
            yield advice("annotation", subject, text, f"{remedy} takes it off until the move has ended")


def _collector(facts: MoveFacts, runtime: SeldonRuntime, homes: Collection[str]) -> Collector | None:
    """Returns the collector of the namespace where an operator in one of these namespaces serves it.

    None where no request is traced that its caller does not trace.
    """
    tracing = settings_of(facts, runtime, homes).tracing_config
    collector = tracing.collector if tracing is not None else None
    return collector if collector is not None and collector.ratio else None


def _follows(server: Object) -> bool:
    rules = server_rules(server)
    return rules is not None and rules.refused is None


def _scaled(facts: MoveFacts) -> Iterator[str]:
    for item in facts.here.all(kinds.MODEL):
        model, _ = Model.parse_without_status(item)
        rules = rules_of(model, item) if model is not None else None
        if rules is not None and rules.refused is None:
            yield name_of(item)
