"""Checks of the message broker of pipelines: topics without readers, and records that run again. Pure.

Called by `findings`. The topics themselves are not looked at: only the gateways have the broker's password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api import kinds
from bailie.manifests.pipeline_gateway import has_broker
from bailie.migration.checks.configurations import bailies_homes, runtime_of, settings_of
from bailie.migration.checks.resources import some
from bailie.migration.facts import name_of
from bailie.migration.finding import advice
from bailie.migration.source import SELDON_SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.migration.facts import MoveFacts
    from bailie.migration.finding import PlanFinding
    from bailie.migration.source import MoveSource

_RESET = "auto.offset.reset"
_FROM_THE_END = {"latest", "largest", "end"}
"""librdkafka's words for a topic that is read from its end."""


def topics(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields that requests in topics run once more after a move from Seldon Core, or no more at all.

    Bailie's gateways are a consumer group of their own, which begins at the first record of each topic.
    """
    items, runtime = facts.here.all(kinds.PIPELINE), runtime_of(facts)
    if not items or source not in SELDON_SOURCES:
        return
    subject = f"{kinds.PIPELINE.kind} {facts.here.name}/{some([name_of(item) for item in items])}"
    settings = settings_of(facts, runtime, bailies_homes(facts) or None) if runtime else None
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
            f"kubectl edit seldonruntime {runtime.metadata.name} --namespace {facts.here.name};"
            f" {_RESET}: latest in spec.config.kafkaConfig.consumer, unless they are to run"
        )
        yield advice("records", subject, text, remedy)
