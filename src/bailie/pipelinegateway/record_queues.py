"""The records of one topic that wait and run, and how many of them may run.

Kept by `record_executor`, one for each topic. Records of a topic that gets no answers run one at a time, so
that its Model, which is away or hangs, holds nothing that the records of other topics need::

    waiting ── one at a time, MOST once the topic gets answers ──▶ running ──▶ ended
       ▲                                                              │
       └───────── no model was reached: again after a moment ─────────┘
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bailie.kafka.progress import ReadRecord
    from bailie.pipelinegateway.record_runs import RecordRun

MOST = 16
"""Records of one topic that run at a time: their calls share the event loop with requests over HTTP."""
_AGAIN_SECONDS = 0.5


class WaitingRecord(NamedTuple):
    """A record that is to run. `since`: when it came; `run`: where it has run and reached nothing."""

    read: ReadRecord
    since: float
    run: RecordRun | None = None


@dataclass(slots=True, eq=False)
class RecordQueue:
    """The records of a topic. Times are those of one clock, in seconds."""

    waiting: deque[WaitingRecord] = field(default_factory=deque)
    running: int = 0
    young: int = 0
    """Of those that run: the records that count for all topics together."""
    not_before: float = 0.0
    """When the next record may begin."""
    _answers: bool = False
    _away_since: float | None = None

    def may_begin(self, now: float) -> bool:
        """Says whether a record may begin, as far as this topic goes."""
        return bool(self.waiting) and self.running < (MOST if self._answers else 1) and now >= self.not_before

    def ended(self, *, answered: bool | None) -> None:
        """Notes the end of a record. `answered`: by a model, in whatever words; None where none was asked."""
        if answered is not None:
            self._answers = answered
        if answered:
            self._away_since = None

    def is_slow(self) -> None:
        """Notes that a record has run for a while. Others begin once one of the topic's has an answer."""
        self._answers = False

    def may_repeat(self, record: WaitingRecord, now: float, seconds: float) -> bool:
        """Says whether a record that reached no model is tried again: for so many seconds, and no longer.

        They count from the coming of the record, or from the last answer to another one, whichever is later.
        So all records that wait for a Model that is away end together, however many they are.
        """
        if self._away_since is None:
            self._away_since = now
        self._answers = False
        return now - max(record.since, self._away_since) < seconds

    def put_back(self, record: WaitingRecord, now: float) -> None:
        """Takes a record in that is tried again, in front of the others."""
        self.waiting.appendleft(record)
        self.not_before = now + _AGAIN_SECONDS

    def drop_dead(self) -> None:
        """Forgets records of partitions that are another gateway's now."""
        self.waiting = deque(each for each in self.waiting if each.read.live)
