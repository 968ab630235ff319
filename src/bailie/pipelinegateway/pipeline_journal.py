"""The journal of a gateway: topics and a note for each of its pipelines, and a sink for each request.

Made by `broker_port` where a broker is configured. A broker that is away keeps no
pipeline from answering: the note says so, and becomes the condition JournalReady.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zlib import crc32

from bailie.kafka import topics
from bailie.kafka.client import record_clients
from bailie.kafka.journal import Journal, JournalLimits
from bailie.kafka.keys import RecordKey
from bailie.kafka.metrics import JOURNAL
from bailie.kafka.topic_keeper import TopicKeeper
from bailie.kafka.topic_states import TopicState, hindrance, journal_note, partitions_of
from bailie.pipelinegateway.asynchronous import records_run
from bailie.pipelinegateway.journalled_request import AwaitedAnswers, JournalledRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bailie.dataflow.plan import DataSide
    from bailie.kafka.consuming import RecordClients, RecordConsumer
    from bailie.kafka.settings import KafkaSettings
    from bailie.lifecycle.journal import JournalNote
    from bailie.pipelinegateway.dialect import Dialect
    from bailie.pipelinegateway.engine import PipelineEngine
    from bailie.pipelinegateway.http_values import HttpRequest
    from bailie.pipelinegateway.model_names import ModelNames
    from bailie.pipelinegateway.plans import ServedPlan
    from bailie.pipelinegateway.record_outputs import RecordPlace

_REQUEST_ID = b"x-request-id"
_SIDES: tuple[DataSide, ...] = ("inputs", "outputs")
_NOT_TOLD = TopicState()


@dataclass(slots=True)
class PipelineJournal:
    """Satisfies `broker_port.BrokerPort`. `close` ends its threads."""

    settings: KafkaSettings
    place: RecordPlace
    most_body_bytes: int
    limits: JournalLimits = field(default_factory=JournalLimits)
    journal: Journal = field(init=False)
    keeper: TopicKeeper = field(init=False)
    _clients: RecordClients = field(init=False)
    _topics: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _consumer: RecordConsumer | None = None
    _awaited: AwaitedAnswers = field(default_factory=AwaitedAnswers)

    def __post_init__(self) -> None:
        """Raises KafkaTrouble for a property that the library does not know."""
        pod, errors = self.place.pod, self.place.errors
        self._clients = record_clients(self.settings, self.settings.group(self.place.namespace), pod)
        self.journal = Journal(self.settings, pod, self.limits, self._largest)
        self.keeper = TopicKeeper(self.settings, pod, always=errors, lost=self.journal.counts.look)
        JOURNAL.journal = self.journal

    def begin(self, served: ServedPlan, request: HttpRequest, dialect: Dialect) -> JournalledRequest:
        """Returns the sink for the records of a request that is about to run."""
        request_id = request.header(_REQUEST_ID)
        view, names = self.keeper.view, self._topics.get(served.name, ())
        partition = crc32(request_id) % partitions_of(view, names)
        key = RecordKey(served.name, request_id.decode("latin-1"), partition)
        return JournalledRequest(
            self.journal,
            self.place,
            served.name,
            key=str(key).encode(),
            partition=partition,
            asked=request.headers,
            dialect=dialect,
            awaited=self._awaited,
        )

    def planned(self, served: ServedPlan) -> None:
        """Takes a pipeline in, whose topics and those of its steps are to be made."""
        steps = [topics.model_topic(*self._of(step), side) for step in served.plan.steps for side in _SIDES]
        self._topics[served.name] = (*self._own(served.name), *steps, self.place.errors)
        self.keeper.want(self._topics[served.name])

    def gone(self, pipeline: str, *, clean: bool) -> None:
        """Looks after the topics of a pipeline no more, and with `clean` deletes its own."""
        kept = {each for name, names in self._topics.items() if name != pipeline for each in names}
        own = self._topics.pop(pipeline, ())
        forgotten = [each for each in own if each not in kept and each != self.place.errors]
        self.keeper.forget(forgotten, delete=self._own(pipeline) if clean else ())

    def note(self, pipeline: str) -> JournalNote:
        """Returns whether requests to a pipeline are journalled, and why records of its topics wait."""
        found = journal_note(self.keeper.view, self._topics.get(pipeline, ()), self.most_body_bytes)
        trouble = self._consumer.trouble if self._consumer is not None else ""
        if not found.kept or not trouble:
            return found
        return found._replace(words=f"{found.words}; requests in topics wait: {trouble}")

    def hindrance(self, pipeline: str) -> str:
        """Returns why no record of a request can be written now; empty if records can."""
        return hindrance(self.keeper.view, self._topics.get(pipeline, ())) or self._awaited.hindrance

    @asynccontextmanager
    async def consuming(self, engine: PipelineEngine, models: ModelNames) -> AsyncIterator[None]:
        """Runs the records of the topics while entered, for which no caller waits."""
        async with records_run(engine, models, self.place, self._clients) as self._consumer:
            yield

    async def close(self, seconds: float) -> None:
        """Writes what is there, for so many seconds at most."""
        await asyncio.gather(
            asyncio.to_thread(self.journal.close, seconds), asyncio.to_thread(self.keeper.close, seconds)
        )

    def _largest(self, topic: str) -> int:
        """Returns how many bytes a record may have. Called in the journal's thread."""
        return self.keeper.view.topics.get(topic, _NOT_TOLD).largest

    def _of(self, owner: str) -> tuple[str, str, str]:
        return self.place.prefix, self.place.namespace, owner

    def _own(self, pipeline: str) -> tuple[str, ...]:
        return tuple(topics.pipeline_topic(*self._of(pipeline), side) for side in _SIDES)
