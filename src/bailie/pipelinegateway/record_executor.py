"""Runs the records of a thread that reads Kafka: requests to pipelines and models for which no caller waits.

Made by `asynchronous`. Each turn of the event loop begins one record at most, and half of the memory is left
to requests over HTTP, whose callers share the loop and wait.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

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

MOST = 16
"""Records of one topic that run at a time: their calls share the event loop with requests over HTTP."""
_ALL = 2 * MOST
"""Of these a topic has half of what the others leave, so that topics whose models hang take not all."""
_ROOM_SECONDS = 0.1
_RUNS: dict[str, type[RecordRun]] = {"pipeline": PipelineRecordRun, "model": ModelRecordRun}


@dataclass(slots=True)
class RecordExecutor:
    """The records that wait, and those that run. All methods are for the event loop."""

    engine: PipelineEngine
    place: RecordPlace
    _waiting: dict[str, deque[ReadRecord]] = field(default_factory=dict)
    """By topic, the one whose turn is next first."""
    _running: Counter[str] = field(default_factory=Counter)
    """By topic."""
    _due: bool = False

    def take(self, records: Iterable[ReadRecord]) -> None:
        """Takes records to run."""
        for read in records:
            self._waiting.setdefault(read.record.topic, deque()).append(read)
        for topic, reads in tuple(self._waiting.items()):
            if not all(read.live for read in reads):
                self._keep(topic, deque(read for read in reads if read.live))
        self._next()

    def _keep(self, topic: str, reads: deque[ReadRecord]) -> None:
        """Keeps these records of a topic, behind those of other topics."""
        self._waiting.pop(topic, None)
        if reads:
            self._waiting[topic] = reads

    def _turn(self) -> str | None:
        """Returns the topic whose record is next; None where none may begin now."""
        left = _ALL - self._running.total()
        return next((topic for topic in self._waiting if self._running[topic] < left), None)

    def _next(self) -> None:
        if not self._due and self._turn() is not None:
            self._due = True
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        """Begins the first record that waits, or looks again for room soon."""
        self._due = False
        topic = self._turn()
        if topic is None:
            return
        reads = self._waiting[topic]
        if reads[0].live and not self._has_room(reads[0]):
            self._due = True
            asyncio.get_running_loop().call_later(_ROOM_SECONDS, self._start)
            return
        read = reads.popleft()
        self._keep(topic, reads)
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
        self._running[record.topic] += 1
        ended = partial(self._end, read)
        run = _RUNS[owner.kind](self.engine, self.place, record, owner=owner.name, ended=ended)
        if size > self._most_bytes:
            run.fail(f"the record has {size} bytes, and a request may have {self._most_bytes}")
            return
        run.attempt(run.begin)

    def _end(self, read: ReadRecord, outputs: Iterable[OutgoingRecord]) -> None:
        if read.outputs is not None:
            return  # a mistake behind its end
        self._running[read.record.topic] -= 1
        if not self._running[read.record.topic]:
            del self._running[read.record.topic]
        read.outputs = tuple(outputs)
        failed = any(each.topic == self.place.errors for each in read.outputs)
        metrics.RECORDS.count("failed" if failed else "answered")
        self._next()
