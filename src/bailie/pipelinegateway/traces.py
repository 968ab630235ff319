"""The traces of the last requests, in a ring, and the data of those whose pipelines keep it.

Asked by `pipeline_run` at the beginning and the end of a run; read by `bailie pipeline trace` and `inspect`
through `run`. A request is traced if its caller asks for it by the header TRACE, if its pipeline keeps data,
or as one of a few in each second, so that traffic pays nothing for it. A trace that is over is kept as bytes:
few are ever read, and the values of a thousand would take as much memory as all plans.
"""

from __future__ import annotations

import re
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import msgspec

from bailie.dataflow.events import Fail, Record, RecordFailure
from bailie.dataflow.tracing import FlowTrace, TracedFlow
from bailie.pipelinegateway.grpc_dialect import GRPC
from bailie.pipelinegateway.json_bodies import MalformedBody
from bailie.pipelinegateway.kept_data import ERRORS, KeptData, KeptRecord
from bailie.wellknown import headers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.dataflow.events import Effect, Event
    from bailie.dataflow.plan import PipelinePlan
    from bailie.pipelinegateway.dialect import Dialect
    from bailie.pipelinegateway.plans import PlanSource, ServedPlan
    from bailie.pipelinegateway.root_request import RootRequest

_PER_SECOND = 50
"""Requests that are traced without being asked for. A trace takes about 30 µs of processor time."""
_MOST_BYTES = 16 << 20
_TRACE_BYTES = 200
"""About the memory of a trace beside its bytes."""
_LONGEST_ID = 200
_MOST_TIMED = 50
_MOST_LISTED = 200
_ASKED = b"%b: " % headers.TRACE.encode()
_REQUEST_ID = re.compile(rb"(?:^|\n)x-request-id: ([^\r\n]*)")


class TracedRequest(msgspec.Struct, array_like=True, frozen=True):
    """A request to a version of a pipeline as its trace tells of it. `at`: seconds since 1970."""

    id: str
    at: float
    follower: bool
    flow: TracedFlow

    def data(self, source: PlanSource, plan: PipelinePlan) -> dict[str, Any]:
        """Returns the trace as JSON data, with the spec of the version that ran."""
        return {**self.summary(source), "spec": source.spec, **self.flow.data(plan)}

    def summary(self, source: PlanSource) -> dict[str, Any]:
        """Returns the head of the trace as JSON data."""
        ending = self.flow.ending
        found: dict[str, Any] = {
            "id": self.id,
            "pipeline": source.name,
            "version": source.number,
            "at": self.at,
            "follower": self.follower,
            "ending": ending.code if ending else "running",
        }
        return found | ({"ms": round(1000 * ending.seconds, 3)} if ending else {})


_DECODER = msgspec.msgpack.Decoder(TracedRequest)


class EndedTrace(msgspec.Struct, frozen=True, gc=False):
    """The trace of a run that is over; `packed` are the bytes of its TracedRequest."""

    source: PlanSource
    plan: PipelinePlan
    packed: bytes

    @property
    def weight(self) -> int:
        """About the bytes of memory, without the plan, which others have, too."""
        return _TRACE_BYTES + len(self.packed)

    @property
    def request(self) -> TracedRequest:
        """The request, made of the bytes."""
        return _DECODER.decode(self.packed)

    def has(self, request_id: str) -> bool:
        """Says whether the trace is one of a request; few others are unpacked for it."""
        return request_id.encode() in self.packed and self.request.id == request_id


@dataclass(slots=True, eq=False)
class RunTrace:
    """The trace of one run. `begun` is a moment of `perf_counter`."""

    served: ServedPlan
    begun: float
    asked: bool
    kept: KeptData | None
    dialect: Dialect
    flow: FlowTrace
    request: TracedRequest

    def turn(self, now: float, events: Iterable[Event], effects: Iterable[Effect]) -> None:
        """Notes a turn of the flow at a moment of `perf_counter`."""
        self.flow.turn(now - self.begun, events, effects)
        if self.kept is not None:
            for effect in effects:
                self._keep(self.kept, effect)

    @property
    def source(self) -> PlanSource:
        """The version that runs, as it was sent."""
        return self.served.source

    @property
    def plan(self) -> PipelinePlan:
        """The version that runs, compiled."""
        return self.served.plan

    def timing(self, now: float) -> bytes:
        """Returns the value of `server-timing` (W3C): each call that has ended, and the whole, in ms."""
        ended = [call for call in self.request.flow.calls.values() if call.ended is not None][:_MOST_TIMED]
        found = [f"{call.step};dur={1000 * ((call.ended or 0) - call.begun):.2f}" for call in ended]
        return ", ".join([*found, f"total;dur={1000 * (now - self.begun):.2f}"]).encode()

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
                request_id=self.request.id,
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
    _ended: deque[EndedTrace] = field(default_factory=deque)
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
        request_id = (found[1] if found else b"").decode("latin-1")[:_LONGEST_ID]
        size = root.dialect.data_size
        flow = FlowTrace(lambda parcel: sum(map(size, parcel.tensors)))
        request = TracedRequest(request_id, time.time(), follower, flow.told)
        kept = self.kept if served.keeps_data else None
        trace = RunTrace(served, now, asked, kept, root.dialect, flow, request)
        self._running[trace] = None
        return trace

    def end(self, trace: RunTrace) -> None:
        """Notes that a run is over, and lets the oldest traces go where there is no room."""
        self._running.pop(trace, None)
        packed = msgspec.msgpack.encode(trace.request)
        ended = EndedTrace(trace.source, trace.plan, packed)
        self._ended.append(ended)
        self._bytes += ended.weight
        while len(self._ended) > max(self.most, 1) or (self._bytes > _MOST_BYTES and self._ended):
            self._bytes -= self._ended.popleft().weight

    def read(self, request_id: str) -> dict[str, Any]:
        """Returns the traces of a request and of the pipelines that followed it; of the last ones without id.

        A list has summaries alone, the newest first.
        """
        found: Iterable[RunTrace | EndedTrace]
        if request_id:
            running = (each for each in self._running if each.request.id == request_id)
            found = chain((each for each in self._ended if each.has(request_id)), running)
            return {"traces": [each.request.data(each.source, each.plan) for each in found]}
        found = islice(chain(reversed(self._running), reversed(self._ended)), _MOST_LISTED)
        return {"requests": [each.request.summary(each.source) for each in found]}

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
