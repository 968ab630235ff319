"""Callers who note which candidate of an experiment answered them, and how long that took.

Called by `experiments` and by the end-to-end test of experiments. One caller is a connection with one request
under way at a time. What is no answer with status 200 is a failure.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from bailie._gen import inference_pb2
from bailie.inference.codec import to_protobuf
from benchmarks.witnesses import INFER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SIGMAS = 4.5
"""Standard deviations by which a share may differ."""
_PATIENCE_SECONDS = 30.0
_ROUTE = "x-seldon-route"


class Shared(NamedTuple):
    """One answer: when it was asked for (seconds of the monotonic clock), how long it took, who answered."""

    sent: float
    seconds: float
    model: str
    outputs: tuple[float, ...]


@dataclass(slots=True)
class ShareNotes:
    """What the callers saw."""

    seen: list[Shared] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def counted(self, since: float = 0.0) -> Counter[str]:
        """Returns how many requests sent at `since` or later each model answered."""
        return Counter(each.model for each in self.seen if each.sent >= since)

    def quantile(self, part: float) -> float:
        """Returns the seconds within which that part of the answers came."""
        times = sorted(each.seconds for each in self.seen)
        return times[min(len(times) - 1, int(part * len(times)))]


def off(counted: Mapping[str, int], weights: Mapping[str, int]) -> dict[str, float]:
    """Returns by how many standard deviations each share differs from its weight."""
    total, whole = sum(counted.values()), sum(weights.values())
    found = {}
    for model, weight in weights.items():
        share = weight / whole
        deviation = sqrt(total * share * (1 - share)) or 1.0
        found[model] = abs(counted.get(model, 0) - total * share) / deviation
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareTask:
    """What the callers ask: `http` and `grpc` are addresses as `bailie status` gives them.

    `patience`: the seconds after which a caller leaves without an answer.
    """

    http: str
    grpc: str
    name: str
    request: Mapping[str, Any]
    route: str = ""
    """The header that each request has."""
    patience: float = _PATIENCE_SECONDS


class ShareCallers:
    """Sends requests until `stop`, `rate` of them a second in all, half of them over gRPC where `grpc`."""

    def __init__(
        self, task: ShareTask, *, rate: float, connections: int = 8, grpc_connections: int = 0
    ) -> None:
        self.notes = ShareNotes()
        self._task = task
        self._pause = (connections + grpc_connections) / rate
        makes = [RestCaller] * connections + [GrpcCaller] * grpc_connections
        self._makes: Sequence[type[RestCaller | GrpcCaller]] = makes
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Sends until `stop` is called."""
        async with asyncio.TaskGroup() as group:
            for number, make in enumerate(self._makes):
                group.create_task(self._one(make, self._pause * number / len(self._makes)))

    def stop(self) -> None:
        """Lets each caller end after the answer that it waits for."""
        self._ended.set()

    async def _one(self, make: type[RestCaller | GrpcCaller], delay: float) -> None:
        caller, due = make(self._task), time.monotonic() + delay
        while not self._ended.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + self._pause, time.monotonic() - self._pause)
            caller = await _noted(caller, self.notes, self._task)
        await caller.close()


async def asked(
    task: ShareTask, total: int, *, over_grpc: bool, connections: int = 8, also: Sequence[str] = ()
) -> ShareNotes:
    """Sends `total` requests as fast as they are answered; returns what came.

    Each connection asks for the task's model and those of `also` by turns.
    """
    notes, left = ShareNotes(), iter(range(total))
    make = GrpcCaller if over_grpc else RestCaller
    tasks = [task, *(replace(task, name=name) for name in also)]

    async def one() -> None:
        callers: list[RestCaller | GrpcCaller] = [make(each) for each in tasks]
        for number in left:
            turn = number % len(tasks)
            callers[turn] = await _noted(callers[turn], notes, tasks[turn])
        for caller in callers:
            await caller.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return notes


async def _noted(
    caller: RestCaller | GrpcCaller, notes: ShareNotes, task: ShareTask
) -> RestCaller | GrpcCaller:
    """Sends one request; returns the caller, or after a failure one with a connection of its own."""
    sent = time.monotonic()
    try:
        async with asyncio.timeout(task.patience):
            model, outputs = await caller.ask()
    except OSError as error:  # TimeoutError is one
        notes.failures.append(f"{type(caller).__name__}: {error or type(error).__name__}")
        await caller.close()
        return type(caller)(task)
    notes.seen.append(Shared(sent, time.monotonic() - sent, model, outputs))
    return caller


class RestCaller:
    """A bare connection: a client library takes more than it measures."""

    def __init__(self, task: ShareTask) -> None:
        self._host, _, port = task.http.removeprefix("http://").rpartition(":")
        self._port = int(port)
        body = json.dumps(task.request).encode()
        head = f"POST /v2/models/{task.name}/infer HTTP/1.1\r\nHost: {self._host}\r\n"
        head += f"{_ROUTE}: {task.route}\r\n" if task.route else ""
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._request = head.encode() + body
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> tuple[str, tuple[float, ...]]:
        """Returns the model that answered, and the outputs; raises OSError with what came instead."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(self._request)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            body = await reader.readexactly(int(_header(head, "content-length") or 0))
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the connection was closed") from error
        if not head.startswith("http/1.1 200"):
            raise ConnectionError(f"{head.split(' ', 2)[1]} {body.decode(errors='replace')}")
        return _model(_header(head, _ROUTE)), tuple(json.loads(body)["outputs"][0]["data"])

    async def close(self) -> None:
        """Ends the connection."""
        if self._streams is not None:
            self._streams[1].close()


class GrpcCaller:
    """A channel with a connection that no other channel shares."""

    def __init__(self, task: ShareTask) -> None:
        options = (("grpc.use_local_subchannel_pool", 1),)
        self._channel = grpc.aio.insecure_channel(task.grpc, options=options)
        self._call = self._channel.unary_unary(INFER, None, inference_pb2.ModelInferResponse.FromString)
        self._request = to_protobuf(task.name, task.request).SerializeToString()
        route = ((_ROUTE, task.route),) if task.route else ()
        self._metadata = (("seldon-model", task.name), *route)

    async def ask(self) -> tuple[str, tuple[float, ...]]:
        """Returns the model that answered, and the outputs; raises OSError with what came instead."""
        call = self._call(self._request, metadata=self._metadata)
        try:
            answer: inference_pb2.ModelInferResponse = await call
            headers = dict(await call.initial_metadata())
        except grpc.aio.AioRpcError as error:
            raise ConnectionError(f"{error.code().name}: {error.details()}") from error
        contents = answer.outputs[0].contents
        return _model(str(headers.get(_ROUTE, ""))), tuple(contents.int64_contents or contents.fp64_contents)

    async def close(self) -> None:
        """Ends the connection."""
        await self._channel.close(None)


def _header(head: str, name: str) -> str:
    _, _, after = head.partition(f"\r\n{name}: ")
    return after.split("\r\n", 1)[0]


def _model(route: str) -> str:
    """Returns `iris` of the header `:iris_3:`."""
    return route.strip(":").rpartition("_")[0]
