"""Requests without a caller: records of Kafka, run by this gateway beside the requests over HTTP.

Entered by `run` where a broker is configured. A thread reads and commits, the event loop runs; records of a
pipeline are read as soon as the gateway has its plan, records of models from all topics of models.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from bailie.kafka.consuming import RecordConsumer
from bailie.kafka.topics import model_topic, pipeline_topic
from bailie.pipelinegateway.record_executor import RecordExecutor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bailie.kafka.consuming import RecordClients
    from bailie.kafka.progress import ReadRecord
    from bailie.pipelinegateway.engine import PipelineEngine
    from bailie.pipelinegateway.record_outputs import RecordPlace

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.5
_END_SECONDS = 12.0


def followed_topics(engine: PipelineEngine, place: RecordPlace) -> list[str]:
    """Returns the topics with requests: of each pipeline, and an expression for those of all models."""
    prefix, namespace = place.prefix, place.namespace
    found = [pipeline_topic(prefix, namespace, each, "inputs") for each in engine.plans.names]
    # Of the characters of a topic's name, the dot alone means something in an expression.
    models = model_topic(prefix, namespace, "*", "inputs").replace(".", r"\.").replace("*", ".+")
    return [*found, f"^{models}$"]


@asynccontextmanager
async def records_run(
    engine: PipelineEngine, place: RecordPlace, clients: RecordClients
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
            following = group.create_task(_follow(consumer, engine, place))
            try:
                yield consumer
            finally:
                following.cancel()
    finally:
        consumer.stop()
        await asyncio.to_thread(thread.join, _END_SECONDS)
        if thread.is_alive():
            log.warning("records given up", seconds=_END_SECONDS)


async def _follow(consumer: RecordConsumer, engine: PipelineEngine, place: RecordPlace) -> None:
    """Keeps the topics that are read up to date with the plans, until cancelled."""
    while True:
        consumer.follow(followed_topics(engine, place))
        await asyncio.sleep(_LOOK_SECONDS)
