"""Checks of the message broker of pipelines: topics without readers, and records that run again. Pure.

Called by `findings`. The topics themselves are not looked at: only the gateways have the broker's password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api import kinds
from bailie.api.seldon_config import SeldonConfig
from bailie.api.seldon_runtime import SeldonRuntime
from bailie.doctor.facts import known
from bailie.manifests.configuration import effective_configuration
from bailie.manifests.pipeline_gateway import has_broker
from bailie.migration.checks.resources import some
from bailie.migration.facts import name_of
from bailie.migration.finding import advice
from bailie.migration.source import MoveSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.api.seldon_config import Configuration
    from bailie.migration.facts import MoveFacts, Object
    from bailie.migration.finding import PlanFinding

_RESET = "auto.offset.reset"
_FROM_THE_END = {"latest", "largest", "end"}
"""librdkafka's words for a topic that is read from its end."""


def topics(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields that requests in topics run once more after a move from Seldon Core, or no more at all.

    Bailie's gateways are a consumer group of their own, which begins at the first record of each topic.
    """
    items, runtime = facts.here.all(kinds.PIPELINE), facts.here.runtime()
    if not items or source not in {MoveSource.SELDON_CENTRAL, MoveSource.SELDON_SCOPED}:
        return
    subject = f"{kinds.PIPELINE.kind} {facts.here.name}/{some([name_of(item) for item in items])}"
    settings = _settings(facts, runtime)
    if runtime is None or settings is None or not has_broker(settings):
        text = "after the move pipelines run without a message broker: nothing reads or writes their topics"
        remedy = f"kubectl get {kinds.PIPELINE.plural} --namespace {facts.here.name}"
        yield advice("broker", subject, text, f"{remedy}; docs/pipelines.md has the differences")
        return
    kafka = settings.kafka_config
    consumer = (kafka.consumer if kafka is not None else None) or {}
    if str(consumer.get(_RESET, "")).lower() not in _FROM_THE_END:
        text = (
            "requests that the topics of inputs still have, those of Pipelines and of Models, run once more"
            " here, for the offsets of Seldon Core's consumers do not count"
        )
        remedy = (
            f"kubectl edit seldonruntime {name_of(runtime)} --namespace {facts.here.name};"
            f" {_RESET}: latest in spec.config.kafkaConfig.consumer, unless they are to run"
        )
        yield advice("records", subject, text, remedy)


def _settings(facts: MoveFacts, runtime: Object | None) -> Configuration | None:
    """Returns the settings of a SeldonRuntime with those of its SeldonConfig; None where it has mistakes."""
    found = SeldonRuntime.parse(runtime)[0] if runtime is not None else None
    if found is None:
        return None
    own, name = facts.here.get(kinds.SELDON_CONFIG, found.spec.seldon_config), found.spec.seldon_config
    homes = {each.home for each in known(facts.cluster.installations)}
    shared = (
        each
        for each in known(facts.cluster.shared)
        if each["kind"] == kinds.SELDON_CONFIG.kind
        and name_of(each) == name
        and (not homes or each["metadata"]["namespace"] in homes)
    )
    manifest = own or next(shared, None)
    config = SeldonConfig.parse(manifest)[0] if manifest is not None else None
    if config is None:
        return found.spec.config
    return effective_configuration(found.spec.config, config.spec.config)
