"""A broker whose settings cannot be used yet: a file, a Secret or a certificate comes late, or is mended.

Chosen by `run` when a gateway starts. The gateway serves meanwhile, and its pipelines' notes say why there is
no journal. The settings are tried again every few seconds, so that no pod has to be replaced.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import structlog

from bailie.kafka.settings import KafkaSettingsError, OutdatedKafkaFile, read_kafka_settings
from bailie.pipelinegateway.broker_port import UnusableBroker, broker_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bailie.lifecycle.journal import JournalNote
    from bailie.pipelinegateway.broker_port import BrokerPort
    from bailie.pipelinegateway.dialect import Dialect
    from bailie.pipelinegateway.engine import PipelineEngine
    from bailie.pipelinegateway.http_values import HttpRequest
    from bailie.pipelinegateway.journalled_request import JournalledRequest
    from bailie.pipelinegateway.model_names import ModelNames
    from bailie.pipelinegateway.plans import ServedPlan
    from bailie.pipelinegateway.settings import PipelineGatewaySettings

log = structlog.get_logger(__name__)

_FILE_SECONDS = 10.0
"""How long a gateway that starts waits for the newest ConfigMap, which may come a moment later."""
_LOOK_SECONDS = 0.2
_AGAIN_SECONDS = 2.0
"""How often settings are tried that could not be used."""
_NO_BROKER = "the configuration names no broker any more"


@dataclass(slots=True)
class AwaitedBroker:
    """Satisfies `broker_port.BrokerPort`: `now` is unusable, until `attempt` returns another broker."""

    attempt: Callable[[], BrokerPort | None]
    now: BrokerPort
    _planned: dict[str, ServedPlan] = field(default_factory=dict)

    def begin(self, served: ServedPlan, request: HttpRequest, dialect: Dialect) -> JournalledRequest | None:
        """Returns the sink for the records of a request that is about to run; None where none are kept."""
        return self.now.begin(served, request, dialect)

    def planned(self, served: ServedPlan) -> None:
        """Takes a pipeline in, whose topics and those of its steps are to be made."""
        self._planned[served.name] = served
        self.now.planned(served)

    def gone(self, pipeline: str, *, clean: bool) -> None:
        """Looks after the topics of a pipeline no more, and with `clean` deletes its own."""
        self._planned.pop(pipeline, None)
        self.now.gone(pipeline, clean=clean)

    def note(self, pipeline: str) -> JournalNote:
        """Returns whether requests to a pipeline are journalled."""
        return self.now.note(pipeline)

    def hindrance(self, pipeline: str) -> str:
        """Returns why no record of a request can be written now; empty if records can."""
        return self.now.hindrance(pipeline)

    @asynccontextmanager
    async def consuming(self, engine: PipelineEngine, models: ModelNames) -> AsyncIterator[None]:
        """Awaits the broker while entered, and runs the records of its topics."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._consume(engine, models))
            try:
                yield
            finally:
                task.cancel()

    async def close(self, seconds: float) -> None:
        """Writes what is there, for so many seconds at most."""
        await self.now.close(seconds)

    async def _consume(self, engine: PipelineEngine, models: ModelNames) -> None:
        """Tries the settings until they can be used, and runs records until cancelled."""
        while isinstance(self.now, UnusableBroker):
            await asyncio.sleep(_AGAIN_SECONDS)
            # In a thread: the client library may have to be imported, while requests run.
            self._take(await asyncio.to_thread(self.attempt))
        log.info("broker's settings are used now")
        async with self.now.consuming(engine, models):
            await asyncio.Event().wait()

    def _take(self, found: BrokerPort | None) -> None:
        """Takes the next broker with all pipelines; logs why it cannot be used, when that changes."""
        found = found or UnusableBroker(_NO_BROKER)
        if found == self.now:
            return
        if isinstance(found, UnusableBroker):
            log.warning("no journal", cause=found.words)
        self.now = found
        for served in self._planned.values():
            found.planned(served)


async def settled_broker(settings: PipelineGatewaySettings) -> BrokerPort | None:
    """Returns the broker that is configured, once its file is that of the Server, or after a while."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _FILE_SECONDS
    while loop.time() < end and _is_outdated(settings):  # noqa: ASYNC110 - nothing tells of a new file
        await asyncio.sleep(_LOOK_SECONDS)
    found = broker_of(settings)
    if not isinstance(found, UnusableBroker):
        return found
    log.warning("no journal", cause=found.words)
    return AwaitedBroker(partial(broker_of, settings), found)


def _is_outdated(settings: PipelineGatewaySettings) -> bool:
    try:
        read_kafka_settings(settings.kafka)
    except OutdatedKafkaFile:
        return True
    except KafkaSettingsError:
        return False
    return False
