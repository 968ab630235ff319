"""Runs the records of a thread that reads Kafka: requests to pipelines and models for which no caller waits.

Made by `asynchronous`. Each turn of the event loop begins one record at most, the topics take turns, and half
of the memory is left to requests over HTTP, whose callers share the loop and wait. A record that has run for
a while costs the loop nothing any more, so it leaves its place to another topic's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from bailie.kafka.topics import parsed_topic
from bailie.pipelinegateway import metrics
from bailie.pipelinegateway.model_records import ModelRecordRun
from bailie.pipelinegateway.record_queues import MOST, RecordQueue, WaitingRecord
from bailie.pipelinegateway.record_runs import PipelineRecordRun

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.kafka.progress import ReadRecord
    from bailie.kafka.records import OutgoingRecord
    from bailie.kafka.topics import RecordTopic
    from bailie.pipelinegateway.engine import PipelineEngine
    from bailie.pipelinegateway.record_outputs import RecordPlace
    from bailie.pipelinegateway.record_runs import RecordRun

_ALL = 2 * MOST
"""Records of all topics that run at a time and have begun just now. Of these a topic has half of what the
others leave."""
_YOUNG_SECONDS = 0.25
_ROOM_SECONDS = 0.1
_RUNS: dict[str, type[RecordRun]] = {"pipeline": PipelineRecordRun, "model": ModelRecordRun}


@dataclass(slots=True, eq=False)
class _RunningRecord:
    """A record that runs; `timer` ends the time for which it counts for all topics together."""

    waited: WaitingRecord
    queue: RecordQueue
    run: RecordRun | None = None
    timer: asyncio.TimerHandle | None = None

    @property
    def topic(self) -> str:
        return self.waited.read.record.topic


@dataclass(slots=True)
class RecordExecutor:
    """The records that wait, and those that run. All methods are for the event loop."""

    engine: PipelineEngine
    place: RecordPlace
    _queues: dict[str, RecordQueue] = field(default_factory=dict)
    """By topic."""
    _ready: dict[str, None] = field(default_factory=dict)
    """The topics of which a record may begin, the one whose turn is next first."""
    _young: int = 0
    _due: bool = False
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def take(self, records: Iterable[ReadRecord]) -> None:
        """Takes records to run."""
        now = self._loop.time()
        for read in records:
            queue = self._queues.setdefault(read.record.topic, RecordQueue())
            queue.waiting.append(WaitingRecord(read, now))
        for topic, queue in tuple(self._queues.items()):
            if queue.waiting and not queue.waiting[0].read.live:
                queue.drop_dead()
            self._look(topic)
        self._next()

    def _look(self, topic: str) -> None:
        """Puts a topic behind the others that may begin a record, or out of them."""
        queue, now = self._queues.get(topic), self._loop.time()
        if queue is None:
            return
        if not queue.may_begin(now):
            self._ready.pop(topic, None)
        elif topic not in self._ready:
            self._ready[topic] = None
        if not (queue.waiting or queue.running):
            del self._queues[topic]

    def _look_later(self, topic: str, seconds: float) -> None:
        def look() -> None:
            self._look(topic)
            self._next()

        self._loop.call_later(seconds, look)

    def _turn(self) -> str | None:
        """Returns the topic whose record is next; None where none may begin now."""
        left = _ALL - self._young
        return next((topic for topic in self._ready if self._queues[topic].young < left), None)

    def _next(self) -> None:
        if not self._due and self._turn() is not None:
            self._due = True
            self._loop.call_soon(self._start)

    def _start(self) -> None:
        """Begins the first record that may begin; its topic is behind the others then."""
        self._due = False
        topic = self._turn()
        if topic is None:
            return
        del self._ready[topic]
        queue = self._queues[topic]
        read = queue.waiting[0].read
        if read.live and not self._has_room(read):
            queue.not_before = self._loop.time() + _ROOM_SECONDS
            self._look_later(topic, _ROOM_SECONDS)
        else:
            waited = queue.waiting.popleft()
            if read.live:
                self._begin(_RunningRecord(waited, queue))
        self._look(topic)
        self._next()

    @property
    def _most_bytes(self) -> int:
        return min(self.engine.budget.most // 2, self.engine.client.most_answer_bytes)

    def _has_room(self, read: ReadRecord) -> bool:
        budget, size = self.engine.budget, min(len(read.record.value or b""), self._most_bytes)
        return not self.engine.full and budget.used + size <= budget.most // 2

    def _begin(self, running: _RunningRecord) -> None:
        read = running.waited.read
        owner = parsed_topic(self.place.prefix, self.place.namespace, running.topic)
        if owner is None:
            read.outputs = ()  # a topic that is not followed
            return
        running.queue.running += 1
        running.queue.young += 1
        self._young += 1
        running.timer = self._loop.call_later(_YOUNG_SECONDS, self._age, running)
        run = running.run = self._run_of(running, owner)
        size = len(read.record.value or b"")
        if size > self._most_bytes:
            run.fail(f"the record has {size} bytes, and a request may have {self._most_bytes}")
            return
        run.attempt(run.begin)

    def _run_of(self, running: _RunningRecord, owner: RecordTopic) -> RecordRun:
        ended, again = partial(self._end, running), partial(self._try_again, running)
        run, record = running.waited.run, running.waited.read.record
        if run is None:
            kind = _RUNS[owner.kind]
            return kind(self.engine, self.place, record, owner=owner.name, ended=ended, again=again)
        # The end of a further try gives back the place of this try, not once more that of the first one.
        run.ended, run.again = ended, again
        return run

    def _age(self, running: _RunningRecord) -> None:
        """Lets other topics have the place of a record that has run for a while."""
        self._make_room(running)
        running.queue.is_slow()
        self._look(running.topic)
        self._next()

    def _make_room(self, running: _RunningRecord) -> None:
        if running.timer is not None:
            running.timer.cancel()
            running.timer = None
            running.queue.young -= 1
            self._young -= 1

    def _leave(self, running: _RunningRecord) -> None:
        self._make_room(running)
        running.queue.running -= 1

    def _try_again(self, running: _RunningRecord) -> bool:
        """Lets a record wait that reached no model; False where its time is over."""
        waited, queue, now = running.waited, running.queue, self._loop.time()
        if not queue.may_repeat(waited, now, self.engine.limits.seconds):
            return False
        self._leave(running)
        if waited.read.live:
            queue.put_back(waited._replace(run=running.run), now)
        self._look(running.topic)
        self._look_later(running.topic, queue.not_before - now)
        return True

    def _end(self, running: _RunningRecord, outputs: Iterable[OutgoingRecord]) -> None:
        read = running.waited.read
        if read.outputs is not None:
            return  # a mistake behind its end
        self._leave(running)
        running.queue.ended(answered=running.run.answered if running.run is not None else None)
        read.outputs = told = tuple(outputs)
        failed = any(each.topic == self.place.errors for each in told)
        metrics.RECORDS.count("failed" if failed else "answered")
        self._look(running.topic)
        self._next()
