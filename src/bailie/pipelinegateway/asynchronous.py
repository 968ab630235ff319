"""Requests without a caller: records of Kafka, run by this gateway beside the requests over HTTP.

Entered by `run` where a broker is configured. A thread reads and commits, the event loop runs; records of a
pipeline are read as soon as the gateway has its plan, records of a model once the scheduler has named it.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from bailie.kafka.consuming import FollowedTopics, RecordConsumer
from bailie.kafka.topics import model_topic, pipeline_topic
from bailie.pipelinegateway.record_executor import RecordExecutor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from bailie.kafka.consuming import RecordClients
    from bailie.kafka.progress import ReadRecord
    from bailie.pipelinegateway.engine import PipelineEngine
    from bailie.pipelinegateway.model_names import ModelNames
    from bailie.pipelinegateway.record_outputs import RecordPlace

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.5
_END_SECONDS = 12.0


def followed_topics(pipelines: Iterable[str], models: Iterable[str], place: RecordPlace) -> FollowedTopics:
    """Returns the topics with requests, of pipelines and models by their names.

    Topics of models are subscribed to by an expression: most models have none. Records of a topic whose model
    is gone stay where they are.
    """
    prefix, namespace = place.prefix, place.namespace
    found = [pipeline_topic(prefix, namespace, each, "inputs") for each in sorted(pipelines)]
    # Of the characters of a topic's name, the dot alone means something in an expression.
    all_models = model_topic(prefix, namespace, "*", "inputs").replace(".", r"\.").replace("*", ".+")
    of_models = (model_topic(prefix, namespace, each, "inputs") for each in models)
    return FollowedTopics((*found, f"^{all_models}$"), frozenset((*found, *of_models)))


@asynccontextmanager
async def records_run(
    engine: PipelineEngine, models: ModelNames, place: RecordPlace, clients: RecordClients
) -> AsyncIterator[RecordConsumer]:
    """Runs records while entered; at the end those that run are finished, within some seconds."""
    loop = asyncio.get_running_loop()
    executor = RecordExecutor(engine, place)

    def give(reads: list[ReadRecord]) -> None:
        loop.call_soon_threadsafe(executor.take, reads)

    consumer = RecordConsumer(clients, place.errors, give)
    thread = threading.Thread(target=consumer.run, name="kafka-records", daemon=True)
    thread.start()
    try:
        async with asyncio.TaskGroup() as group:
            following = group.create_task(_follow(consumer, engine, models, place))
            try:
                yield consumer
            finally:
                following.cancel()
    finally:
        consumer.stop()
        await asyncio.to_thread(thread.join, _END_SECONDS)
        if thread.is_alive():
            log.warning("records given up", seconds=_END_SECONDS)


async def _follow(
    consumer: RecordConsumer, engine: PipelineEngine, models: ModelNames, place: RecordPlace
) -> None:
    """Keeps the topics that are read up to date with the plans and the models, until cancelled."""
    before: tuple[frozenset[str], frozenset[str]] | None = None
    while True:
        names = engine.plans.names, models.names
        if names != before:
            before = names
            consumer.follow(followed_topics(*names, place))
        await asyncio.sleep(_LOOK_SECONDS)
