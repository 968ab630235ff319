"""The traces of the last requests, in a ring, and the data of those whose pipelines keep it.

Asked by `pipeline_run` at the beginning and the end of a run; read by `bailie pipeline trace` and `inspect`
through `run`. A request is traced if its caller asks for it by the header TRACE, if its pipeline keeps data,
or as one of a few in each second, so that traffic pays nothing for it.
"""

from __future__ import annotations

import re
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from bailie.dataflow.events import Fail, Record, RecordFailure
from bailie.dataflow.tracing import FlowTrace
from bailie.pipelinegateway.grpc_dialect import GRPC
from bailie.pipelinegateway.json_bodies import MalformedBody
from bailie.pipelinegateway.kept_data import ERRORS, KeptData, KeptRecord
from bailie.wellknown import headers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.dataflow.events import Effect, Event
    from bailie.pipelinegateway.dialect import Dialect
    from bailie.pipelinegateway.plans import ServedPlan
    from bailie.pipelinegateway.root_request import RootRequest

_PER_SECOND = 50
"""Requests that are traced without being asked for. A trace takes about 30 µs of processor time."""
_MOST_BYTES = 16 << 20
_LONGEST_ID = 200
_MOST_TIMED = 50
_MOST_LISTED = 200
_ASKED = b"%b: " % headers.TRACE.encode()
_REQUEST_ID = re.compile(rb"(?:^|\n)x-request-id: ([^\r\n]*)")


@dataclass(slots=True, eq=False)
class RunTrace:
    """The trace of one run. `begun` is a moment of `perf_counter`, `at` one of the clock (since 1970)."""

    served: ServedPlan
    request_id: str
    begun: float
    at: float
    asked: bool
    follower: bool
    kept: KeptData | None
    dialect: Dialect
    flow: FlowTrace = field(init=False)

    def __post_init__(self) -> None:
        self.flow = FlowTrace(lambda parcel: sum(map(self.dialect.data_size, parcel.tensors)))

    def turn(self, now: float, events: Iterable[Event], effects: Iterable[Effect]) -> None:
        """Notes a turn of the flow at a moment of `perf_counter`."""
        self.flow.turn(now - self.begun, events, effects)
        if self.kept is not None:
            for effect in effects:
                self._keep(self.kept, effect)

    def timing(self, now: float) -> bytes:
        """Returns the value of `server-timing` (W3C): each call that has ended, and the whole, in ms."""
        ended = [call for call in self.flow.calls.values() if call.ended is not None][:_MOST_TIMED]
        found = [f"{call.step};dur={1000 * ((call.ended or 0) - call.begun):.2f}" for call in ended]
        return ", ".join([*found, f"total;dur={1000 * (now - self.begun):.2f}"]).encode()

    def data(self) -> dict[str, Any]:
        """Returns the trace as JSON data, with the spec of the version that ran."""
        plan = self.served.plan
        return {**self.summary(), "spec": self.served.source.spec, **self.flow.data(plan)}

    def summary(self) -> dict[str, Any]:
        """Returns the head of the trace as JSON data."""
        ending = self.flow.ending
        found: dict[str, Any] = {
            "id": self.request_id,
            "pipeline": self.served.name,
            "version": self.served.number,
            "at": self.at,
            "follower": self.follower,
            "ending": ending.code if ending else "running",
        }
        return found | ({"ms": round(1000 * ending.seconds, 3)} if ending else {})

    def _keep(self, kept: KeptData, effect: Effect) -> None:
        match effect:
            case Record(topic, parcel):
                with suppress(MalformedBody):  # tensors of several models may have no message together
                    body = self.dialect.encode_answer(parcel)
                    self._add(kept, (topic.owner, topic.side), body.content, body.json_bytes)
            case Fail(words=words, step=step) | RecordFailure(step, words):
                text = msgspec.json.encode({"error": words, "step": step})
                self._add(kept, (step or self.served.name, ERRORS), text)
            case _:
                pass

    def _add(self, kept: KeptData, topic: tuple[str, str], body: bytes, json_bytes: int = 0) -> None:
        kept.keep(
            KeptRecord(
                pipeline=self.served.name,
                version=self.served.number,
                request_id=self.request_id,
                at=time.time(),
                owner=topic[0],
                side=topic[1],
                body=body,
                json_bytes=json_bytes,
                protobuf=self.dialect is GRPC and topic[1] != ERRORS,
            )
        )


@dataclass(slots=True)
class TraceRing:
    """The traces of this gateway, `most` together; none for 0, except of requests that ask."""

    most: int
    kept: KeptData
    _ended: deque[RunTrace] = field(default_factory=deque)
    _running: dict[RunTrace, None] = field(default_factory=dict)
    _bytes: int = 0
    _second: float = 0.0
    _left: int = 0

    def begin(self, served: ServedPlan, root: RootRequest, now: float, *, follower: bool) -> RunTrace | None:
        """Returns the trace of a run that begins; None where the run is not traced.

        `now`: a moment of `perf_counter`.
        """
        asked = _ASKED in root.to_steps
        if not (asked or served.keeps_data or self._chosen(now)):
            return None
        found = _REQUEST_ID.search(root.to_steps)
        request_id = found[1] if found else b""
        trace = RunTrace(
            served,
            request_id.decode("latin-1")[:_LONGEST_ID],
            now,
            time.time(),
            asked,
            follower,
            self.kept if served.keeps_data else None,
            root.dialect,
        )
        self._running[trace] = None
        return trace

    def end(self, trace: RunTrace) -> None:
        """Notes that a run is over, and lets the oldest traces go where there is no room."""
        self._running.pop(trace, None)
        self._ended.append(trace)
        self._bytes += trace.flow.weight
        while len(self._ended) > max(self.most, 1) or (self._bytes > _MOST_BYTES and self._ended):
            self._bytes -= self._ended.popleft().flow.weight

    def read(self, request_id: str) -> dict[str, Any]:
        """Returns the traces of a request and of the pipelines that followed it; of the last ones without id.

        A list has summaries alone, the newest first.
        """
        if not request_id:
            newest = [*reversed(self._running), *reversed(self._ended)]
            return {"requests": [trace.summary() for trace in newest[:_MOST_LISTED]]}
        found = [each for each in (*self._ended, *self._running) if each.request_id == request_id]
        return {"traces": [trace.data() for trace in found]}

    def read_kept(self, pipeline: str) -> dict[str, Any]:
        """Returns the data that is kept of a pipeline."""
        return {"records": self.kept.of(pipeline)}

    def _chosen(self, now: float) -> bool:
        if not self.most:
            return False
        if now >= self._second:
            self._second, self._left = now + 1.0, _PER_SECOND
        self._left -= 1
        return self._left >= 0
