"""Connections that note, in order, which version answered them: so many requests a second, from one process.

Called by `rollout` and by the end-to-end test of rolling updates. A witness is one connection (HTTP/1.1, or
one HTTP/2 connection for gRPC) with one request under way at a time, so that its answers have an order. What
is no answer of the versions that are known is a failure.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import grpc

from bailie._gen import inference_pb2
from bailie.inference.codec import to_protobuf
from benchmarks.processes import ask, spawned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection

INFER = "/inference.GRPCInferenceService/ModelInfer"
_PATIENCE_SECONDS = 30.0


class Seen(NamedTuple):
    """One answer: when it was asked for and when it came (seconds of one clock), and what it was."""

    sent: float
    answered: float
    outputs: tuple[float, ...]


@dataclass(slots=True)
class Notes:
    """What one witness saw since the last time."""

    protocol: str
    seen: list[Seen] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def answers(self) -> list[tuple[float, ...]]:
        """The answers without repeats: two of them are one change."""
        found = [each.outputs for each in self.seen]
        return found[:1] + [after for before, after in pairwise(found) if after != before]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the witnesses do: `http` and `grpc` are addresses as `bailie status` gives them."""

    http: str
    grpc: str
    model: str
    request: Mapping[str, Any]
    rest_connections: int = 20
    rest_per_second: float = 200.0
    grpc_connections: int = 5
    grpc_per_second: float = 50.0


class Witnesses:
    """Our end."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def take(self) -> list[Notes]:
        """Returns what each connection saw since this was called last."""
        found: list[Notes] = ask(self._pipe)
        return found

    def add_to(self, notes: Sequence[Notes]) -> bool:
        """Adds what each connection saw since the last look; returns whether each has had an answer."""
        for note, more in zip(notes, self.take(), strict=True):
            note.seen += more.seen
            note.failures += more.failures
        return all(note.seen for note in notes)


@contextmanager
def witnesses(task: Task) -> Iterator[Witnesses]:
    """Sends from the beginning of the block to its end."""
    with spawned(_process, task) as (pipe, _):
        yield Witnesses(pipe)


def _process(task: Task, pipe: Connection) -> None:
    asyncio.run(_serve(task, pipe))


async def _serve(task: Task, pipe: Connection) -> None:
    made: list[_Witness] = []
    for protocol, count, rate in (
        ("REST", task.rest_connections, task.rest_per_second),
        ("gRPC", task.grpc_connections, task.grpc_per_second),
    ):
        pause = count / rate if count else 0.0
        made += [_Witness(task, protocol, pause, pause * each / count) for each in range(count)]

    def answer() -> None:
        pipe.recv()
        pipe.send([each.take() for each in made])

    asyncio.get_running_loop().add_reader(pipe.fileno(), answer)
    async with asyncio.TaskGroup() as group:
        for each in made:
            group.create_task(each.run())


class _Connection(Protocol):
    async def ask(self) -> tuple[float, ...]:
        """Returns the outputs; raises OSError with what came instead."""

    async def close(self) -> None:
        """Ends it."""


class _Witness:
    def __init__(self, task: Task, protocol: str, pause: float, delay: float) -> None:
        self._task, self._pause, self._delay = task, pause, delay
        self._protocol = protocol
        self._open: Callable[[Task], _Connection] = _Rest if protocol == "REST" else _Rpc
        self._notes = Notes(protocol)

    def take(self) -> Notes:
        found, self._notes = self._notes, Notes(self._protocol)
        return found

    async def run(self) -> None:
        """A request that is late is followed by the next at once; a connection that failed by another."""
        connection = self._open(self._task)
        due = time.monotonic() + self._delay
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + self._pause, time.monotonic() - self._pause)
            sent = time.monotonic()
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    outputs = await connection.ask()
            except OSError as error:  # TimeoutError is one
                self._notes.failures.append(f"{self._protocol}: {error or type(error).__name__}")
                await connection.close()
                connection = self._open(self._task)
            else:
                self._notes.seen.append(Seen(sent, time.monotonic(), outputs))


class _Rest:
    """A bare connection: a client library takes more than it measures."""

    def __init__(self, task: Task) -> None:
        self._host, _, port = task.http.removeprefix("http://").rpartition(":")
        self._port = int(port)
        body = json.dumps(task.request).encode()
        head = f"POST /v2/models/{task.model}/infer HTTP/1.1\r\nHost: {self._host}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._request = head.encode() + body
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> tuple[float, ...]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(self._request)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, _, after = head.partition(b"content-length: ")
            body = await reader.readexactly(int(after.split(b"\r\n", 1)[0] or 0))
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the connection was closed") from error
        if not head.startswith(b"http/1.1 200"):
            raise ConnectionError(f"{head.split(b' ', 2)[1].decode()} {body.decode(errors='replace')}")
        return tuple(json.loads(body)["outputs"][0]["data"])

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


class _Rpc:
    """A channel with a connection that no other channel shares."""

    def __init__(self, task: Task) -> None:
        options = (("grpc.use_local_subchannel_pool", 1),)
        self._channel = grpc.aio.insecure_channel(task.grpc, options=options)
        self._call = self._channel.unary_unary(INFER, None, inference_pb2.ModelInferResponse.FromString)
        self._request = to_protobuf(task.model, task.request).SerializeToString()
        self._metadata = (("seldon-model", task.model),)

    async def ask(self) -> tuple[float, ...]:
        try:
            answer: inference_pb2.ModelInferResponse = await self._call(
                self._request, metadata=self._metadata
            )
        except grpc.aio.AioRpcError as error:
            raise ConnectionError(f"{error.code().name}: {error.details()}") from error
        contents = answer.outputs[0].contents
        return tuple(contents.int64_contents or contents.fp64_contents)

    async def close(self) -> None:
        await self._channel.close(None)


def switched_once(notes: Sequence[Notes], old: tuple[float, ...], new: tuple[float, ...]) -> list[str]:
    """Returns what breaks it: each connection saw the old version, then the new one, and nothing else."""
    return [
        f"{each.protocol} connection {number} saw {each.answers()}"
        for number, each in enumerate(notes)
        if each.answers() != [old, new]
    ]


def overlap(notes: Sequence[Notes], old: tuple[float, ...], new: tuple[float, ...]) -> float:
    """Returns the seconds from the first new answer to the sending of the last request that got the old.

    Below zero where nobody was sent to the old version any more when the first new answer came.
    """
    seen = [each for note in notes for each in note.seen]
    first = min(each.answered for each in seen if each.outputs == new)
    return max(each.sent for each in seen if each.outputs == old) - first
