"""One record that runs: a request to a pipeline, through the same engine as those over HTTP.

Made by `record_executor`. A request that failed before any step was reached is tried again until its time is
over: a namespace whose models are just starting loses no record to that. Any other failure is the record's
end, so that no record is repeated for ever.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import structlog

from bailie.dataflow.events import FailCode
from bailie.lifecycle.words import GATEWAY_FAILED
from bailie.pipelinegateway import passed
from bailie.pipelinegateway.budget import Reservation
from bailie.pipelinegateway.grpc_dialect import GRPC
from bailie.pipelinegateway.json_bodies import MalformedBody
from bailie.pipelinegateway.record_outputs import RequestRecords, asked_with, failure_records, told_with
from bailie.pipelinegateway.record_values import pipeline_request
from bailie.pipelinegateway.root_request import RequestOrigin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bailie.kafka.headers import RecordHeaders
    from bailie.kafka.records import IncomingRecord, OutgoingRecord
    from bailie.pipelinegateway.engine import PipelineEngine
    from bailie.pipelinegateway.pipeline_run import RunEnding
    from bailie.pipelinegateway.record_outputs import RecordPlace

    RecordEnded = Callable[[Iterable[OutgoingRecord]], None]
    """Takes the records that follow from a record, once."""
    RecordAgain = Callable[[], bool]
    """Has a record begin again later that reached no model; False where its time is over."""

log = structlog.get_logger(__name__)


class RecordRun(ABC):
    """A record of a pipeline or a model, from its beginning to the records that follow from it."""

    def __init__(
        self,
        engine: PipelineEngine,
        place: RecordPlace,
        record: IncomingRecord,
        *,
        owner: str,
        ended: RecordEnded,
        again: RecordAgain,
    ) -> None:
        """Takes the record of a pipeline or model `owner`."""
        self.engine, self.place, self.record, self.owner = engine, place, record, owner
        self.ended, self.again = ended, again
        self.asked = asked_with(record, owner)
        self.answered: bool | None = None
        """Whether a model has answered, in whatever words; None where none was asked."""

    @abstractmethod
    def begin(self) -> None:
        """Runs the record; `ended` is called later, or from here."""

    def attempt(self, part: Callable[[], None]) -> None:
        """Does a part of the run; a mistake of this program there ends the record."""
        try:
            part()
        except Exception:
            # The edge of a record: without this it would hold its partition up for ever.
            log.exception("record failed", topic=self.record.topic, offset=self.record.offset)
            self.fail(GATEWAY_FAILED)

    def fail(self, words: str) -> None:
        """Ends a record that cannot run."""
        self.ended(self._failure(words))

    def _failure(self, words: str) -> list[OutgoingRecord]:
        told, topics = self.told, self.failures
        return failure_records(self.record, self.owner, words, told=told, topics=topics)

    @property
    @abstractmethod
    def told(self) -> RecordHeaders:
        """The headers of all records that follow."""

    @property
    @abstractmethod
    def failures(self) -> tuple[str, ...]:
        """The topics on which failures appear."""

    def held(self, owner: str) -> Reservation:
        """Returns the memory of the record's bytes. The executor has seen that there is room."""
        found = Reservation(self.engine.budget, owner)
        found.take(len(self.record.value or b""))
        return found


class PipelineRecordRun(RecordRun):
    """A request to a pipeline, with all pipelines that follow it."""

    def begin(self) -> None:
        """Runs the record in the newest version of its pipeline."""
        served = self.engine.plans.newest(self.owner)
        if served is None:
            self.fail(f"namespace {self.place.namespace} has no pipeline {self.owner}")
            return
        try:
            parcel = pipeline_request(self.record.value)
        except MalformedBody as error:
            self.fail(f"the record is no inference request: {error}")
            return
        self._repeats = False
        self._records = RequestRecords(self.place, self.record, self.asked, self._over)
        origin = RequestOrigin(passed.to_steps(self.asked), self.held(served.key), GRPC, self._records)
        self.engine.start(served, parcel, origin, self._answered, seconds=self.engine.limits.seconds)

    @property
    def told(self) -> RecordHeaders:
        """The headers of all records that follow."""
        return told_with(self.asked, self.owner)

    @property
    def failures(self) -> tuple[str, ...]:
        """The topic of all failures, and that of the pipeline's answers."""
        return self.place.errors, self.place.answers_of(self.owner)

    def _answered(self, ending: RunEnding) -> None:
        self._records.routes = ending.routes
        self.answered = True
        if ending.fail is not None:
            self._repeats = ending.fail.untouched
            self.answered = not self._repeats and ending.fail.code is not FailCode.TOO_SLOW
        elif ending.answer is None:
            self._records.records += self._failure(GATEWAY_FAILED)

    def _over(self) -> None:
        if not (self._repeats and self.again()):
            self.ended(self._records.records)
