"""The records of one request that was answered over REST or gRPC, for the journal.

Made by `pipeline_journal` for each request, filled by its runs. Records are handed on as soon as the caller
has the answer, and afterwards one by one, for side branches and followers may run on for long.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bailie.dataflow.events import Fail, FailCode
from bailie.kafka import headers
from bailie.kafka.journal import UnwrittenRecord
from bailie.pipelinegateway import protobuf_bodies
from bailie.pipelinegateway.grpc_dialect import GRPC
from bailie.pipelinegateway.pipeline_run import RunEnding
from bailie.pipelinegateway.protobuf_from_json import as_protobuf
from bailie.pipelinegateway.record_outputs import told_with

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.dataflow import Parcel, Topic
    from bailie.kafka.headers import RecordHeaders
    from bailie.kafka.journal import Journal
    from bailie.pipelinegateway.dialect import Dialect
    from bailie.pipelinegateway.http_values import Headers
    from bailie.pipelinegateway.plans import ServedPlan
    from bailie.pipelinegateway.protobuf_bodies import WireData
    from bailie.pipelinegateway.record_outputs import RecordPlace

    Ended = Callable[[RunEnding], None]

ACKNOWLEDGE_SECONDS = 10.0
"""How long an answer waits for the broker at most, of a pipeline that says `journal: before`."""
_NOT_IN_TIME = "no acknowledgement came in time"
_MOST_AWAITED = 1_000
_MOST_AWAITED_BYTES = 64 << 20


@dataclass(slots=True)
class AwaitedAnswers:
    """The answers of a gateway that wait for the broker: their requests are over, and count nowhere else."""

    number: int = 0
    size: int = 0

    @property
    def hindrance(self) -> str:
        """Why no further request may begin whose answer would wait; empty if it may."""
        if self.number < _MOST_AWAITED and self.size < _MOST_AWAITED_BYTES:
            return ""
        return f"{self.number} answers with {self.size} bytes wait for the broker"


class JournalledRequest:
    """One request with all that follows from it. Satisfies `root_request.RecordSink`."""

    __slots__ = (
        "_answered",
        "_asked",
        "_awaited",
        "_dialect",
        "_ended",
        "_ending",
        "_journal",
        "_key",
        "_known",
        "_loop",
        "_parcels",
        "_partition",
        "_place",
        "_root",
        "_routes",
        "_size",
        "_timer",
        "_unsent",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - the parts of a request
        self,
        journal: Journal,
        place: RecordPlace,
        root: str,
        *,
        key: bytes,
        partition: int,
        asked: Headers,
        dialect: Dialect,
        awaited: AwaitedAnswers,
    ) -> None:
        """Begins without a record. `root`: the pipeline that was asked; `asked`: the request's headers."""
        self._awaited, self._size = awaited, 0
        self._journal, self._place, self._root = journal, place, root
        self._key, self._partition, self._asked, self._dialect = key, partition, asked, dialect
        self._unsent: list[UnwrittenRecord] = []
        self._answered = False
        self._known: dict[int, WireData] = {}
        self._parcels: list[Parcel] = []
        self._routes: tuple[bytes, ...] = ()
        self._ended: Ended | None = None
        self._ending: RunEnding | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def data(self, served: ServedPlan, topic: Topic, parcel: Parcel) -> None:
        """Takes the data of a topic."""
        told = told_with(self._asked, served.name, served.number)
        answers = served.name == self._root and topic == served.plan.answer
        if topic.side == "inputs":
            told = (*told, (headers.RAN, self._place.pod.encode()))
        elif answers:
            told = (*told, *((headers.ROUTE, route) for route in self._routes))
        encode, size = partial(self._value, topic.side, parcel), _size(self._dialect, parcel)
        self._add(self._place.topic_of(topic), told, encode, size)
        if answers:
            self._answer()

    def failure(self, served: ServedPlan, step: str, words: str, *, ends: bool) -> None:
        """Takes the words of a failure, for the topic of errors, and with `ends` for that of answers."""
        failed = step or served.name
        text = words.removeprefix(f"{failed} : ").encode(errors="replace")
        told = told_with(self._asked, served.name, served.number)
        told = (*told, (headers.FAILED, failed.encode()))
        topics = (self._place.errors, self._place.topic_of(served.plan.answer))
        for topic in topics if ends else topics[:1]:
            self._add(topic, told, partial(bytes, text), len(text))
        if ends and served.name == self._root:
            self._answer()

    def over(self) -> None:
        """Hands the rest on: the caller may have gone without an answer."""
        if self._answered:
            self._send(None)
        else:
            self._answer()

    def hearing(self, ended: Ended, *, first: bool) -> Ended:
        """Returns a function that takes the request's ending and tells it.

        `first`: only when the broker has the records of the ending, for which it waits ACKNOWLEDGE_SECONDS.
        """

        def heard(ending: RunEnding) -> None:
            self._routes = ending.routes
            if first:
                self._ending = ending
                self._timer = self._loop.call_later(ACKNOWLEDGE_SECONDS, self._tell, _NOT_IN_TIME)
            else:
                ended(ending)

        self._ended = ended if first else None
        return heard

    def _answer(self) -> None:
        self._answered = True
        if self._ended is None:
            self._send(None)
            return
        self._size = sum(each.size for each in self._unsent)
        self._awaited.number += 1
        self._awaited.size += self._size
        self._send(self._acknowledged)

    def _acknowledged(self, problem: str) -> None:
        """Comes from a thread of the journal, which may outlive the loop."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._tell, problem)

    def _tell(self, problem: str) -> None:
        """Tells the ending that was held back, or why there is no answer."""
        ended, ending, self._ended, self._ending = self._ended, self._ending, None, None
        if ended is not None and self._answered:
            self._awaited.number -= 1
            self._awaited.size -= self._size
        if self._timer is not None:
            self._timer.cancel()
        if ended is None or ending is None:
            return
        words = f"the request ran and its records are not in the journal: {problem}"
        ended(RunEnding(None, Fail(FailCode.UNREACHABLE, words)) if problem else ending)

    def _add(self, topic: str, told: RecordHeaders, encode: Callable[[], bytes], size: int) -> None:
        self._unsent.append(UnwrittenRecord(topic, self._partition, self._key, told, encode, size))
        if self._answered:
            self._send(None)

    def _send(self, done: Callable[[str], None] | None) -> None:
        unsent, self._unsent = tuple(self._unsent), []
        if unsent:
            self._journal.put(unsent, done)
        elif done is not None:
            done("")

    def _value(self, side: str, parcel: Parcel) -> bytes:
        """Returns a record's value. Called in the journal's thread. Raises MalformedBody."""
        if self._dialect is not GRPC:
            self._parcels.append(parcel)  # its payloads are known by their addresses, so they must stay
            parcel = as_protobuf(parcel, self._known)
        encode = protobuf_bodies.encode_request if side == "inputs" else protobuf_bodies.encode_answer
        return encode(parcel)


def _size(dialect: Dialect, parcel: Parcel) -> int:
    return sum(map(dialect.data_size, parcel.tensors))
