"""Runs the records of a thread that reads Kafka: requests to pipelines and models for which no caller waits.

Made by `asynchronous`. Each turn of the event loop begins one record at most, and half of the memory is left
to requests over HTTP, whose callers share the loop and wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import structlog

from bailie.kafka.topics import parsed_topic
from bailie.pipelinegateway import metrics
from bailie.pipelinegateway.model_records import ModelRecordRun
from bailie.pipelinegateway.record_runs import PipelineRecordRun

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.kafka.progress import ReadRecord
    from bailie.kafka.records import OutgoingRecord
    from bailie.pipelinegateway.engine import PipelineEngine
    from bailie.pipelinegateway.record_outputs import RecordPlace
    from bailie.pipelinegateway.record_runs import RecordRun

log = structlog.get_logger(__name__)

MOST = 16
"""Records that run at a time: their calls share the event loop with requests over HTTP."""
_ROOM_SECONDS = 0.1
_RUNS: dict[str, type[RecordRun]] = {"pipeline": PipelineRecordRun, "model": ModelRecordRun}


@dataclass(slots=True)
class RecordExecutor:
    """The records that wait, and those that run. All methods are for the event loop."""

    engine: PipelineEngine
    place: RecordPlace
    _waiting: deque[ReadRecord] = field(default_factory=deque)
    _running: int = 0
    _due: bool = False

    def take(self, records: Iterable[ReadRecord]) -> None:
        """Takes records to run."""
        self._waiting.extend(records)
        self._next()

    def _next(self) -> None:
        if self._waiting and not self._due and self._running < MOST:
            self._due = True
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        """Begins the first record that waits, or looks again for room soon."""
        self._due = False
        read = self._waiting.popleft()
        if read.live and not self._has_room(read):
            self._waiting.appendleft(read)
            self._due = True
            asyncio.get_running_loop().call_later(_ROOM_SECONDS, self._start)
            return
        if read.live:
            self._begin(read)
        self._next()

    @property
    def _most_bytes(self) -> int:
        return min(self.engine.budget.most // 2, self.engine.client.most_answer_bytes)

    def _has_room(self, read: ReadRecord) -> bool:
        budget, size = self.engine.budget, min(len(read.record.value or b""), self._most_bytes)
        return not self.engine.full and budget.used + size <= budget.most // 2

    def _begin(self, read: ReadRecord) -> None:
        record, size = read.record, len(read.record.value or b"")
        owner = parsed_topic(self.place.prefix, self.place.namespace, record.topic)
        if owner is None:
            read.outputs = ()  # a topic that is not followed
            return
        self._running += 1
        ended = partial(self._end, read)
        run = _RUNS[owner.kind](self.engine, self.place, record, owner=owner.name, ended=ended)
        if size > self._most_bytes:
            run.fail(f"the record has {size} bytes, and a request may have {self._most_bytes}")
            return
        try:
            run.begin()
        except Exception:
            # The edge of a record: without this it would hold its partition up for ever.
            log.exception("record failed", topic=record.topic, offset=record.offset)
            run.fail("the pipeline gateway failed; its log says more")

    def _end(self, read: ReadRecord, outputs: Iterable[OutgoingRecord]) -> None:
        self._running -= 1
        read.outputs = tuple(outputs)
        failed = any(each.topic == self.place.errors for each in read.outputs)
        metrics.RECORDS.count("failed" if failed else "answered")
        self._next()
