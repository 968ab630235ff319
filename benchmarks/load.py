"""Closed-loop load: each connection sends its next request when the last one is answered, or a pause later.

Called by the benchmarks. The HTTP client is a bare protocol, because on a machine with two cores the client
takes its time from what it measures.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bailie._gen import inference_pb2 as pb

INFER = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True, slots=True)
class Measured:
    """Latencies of one run in seconds, in the order of their size, and how long the run took.

    `bodies`: the different bodies of the answers over REST.
    """

    latencies: Sequence[float]
    seconds: float
    bodies: Collection[bytes] = ()

    @property
    def p50(self) -> float:
        """Median latency in milliseconds."""
        return 1e3 * self.latencies[len(self.latencies) // 2]

    @property
    def p99(self) -> float:
        """99th percentile of the latency in milliseconds."""
        return 1e3 * self.latencies[int(len(self.latencies) * 0.99)]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds


@dataclass(slots=True)
class _Round:
    """What the connections of one run send, until when, with which pause, and what they have heard."""

    request: bytes
    until: float
    pause: float
    status: int = 200
    latencies: list[float] = field(default_factory=list)
    bodies: set[bytes] = field(default_factory=set)


class _Connection(asyncio.Protocol):
    """Sends one prepared request again and again, until the deadline."""

    def __init__(self, all_of: _Round) -> None:
        self.all_of = all_of
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.start = time.perf_counter()
        self.transport.write(self.all_of.request)

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, found, body = self.data.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        at = lower.find(b"content-length: ")
        length = int(lower[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) < length:
            return
        now = time.perf_counter()
        if not head.startswith(b"HTTP/1.1 %d" % self.all_of.status):
            self._end(RuntimeError(self.data.decode(errors="replace")))
        self.all_of.latencies.append(now - self.start)
        self.all_of.bodies.add(body)
        self.data = b""
        if now >= self.all_of.until:
            self._end(None)
        elif self.all_of.pause:
            asyncio.get_running_loop().call_later(self.all_of.pause, self._send)
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("the connection was closed"))

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            self.transport.close()
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)


async def rest(
    port: int, path: str, body: bytes, *, connections: int, seconds: float, host: str = "127.0.0.1"
) -> Measured:
    """Posts `body` to `path` of `host`:`port`; any answer but 200 raises RuntimeError."""
    found = _Round(_post(path, body), time.perf_counter() + seconds, 0.0)
    return await _measured(found, host, port, connections)


async def paced_rest(
    port: int, path: str, body: bytes, *, connections: int, seconds: float, pause: float
) -> Measured:
    """Does so at 127.0.0.1, with a pause in seconds from an answer to the next request of its connection."""
    found = _Round(_post(path, body), time.perf_counter() + seconds, pause)
    return await _measured(found, "127.0.0.1", port, connections)


async def answered_rest(
    port: int, path: str, body: bytes, status: int, *, connections: int, seconds: float
) -> Measured:
    """Does so at 127.0.0.1, where all answers are to have this status."""
    found = _Round(_post(path, body), time.perf_counter() + seconds, 0.0, status)
    return await _measured(found, "127.0.0.1", port, connections)


def _post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _measured(found: _Round, host: str, port: int, connections: int) -> Measured:
    start, loop = time.perf_counter(), asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: _Connection(found), host, port) for _ in range(connections)]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    return Measured(sorted(found.latencies), time.perf_counter() - start, found.bodies)


async def rpc(
    port: int, request: pb.ModelInferRequest, model: str, *, connections: int, seconds: float
) -> Measured:
    """Calls ModelInfer with metadata `seldon-model`; any failure raises grpc.aio.AioRpcError."""
    data = request.SerializeToString()
    latencies: list[float] = []
    start = time.perf_counter()

    async def one(number: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("bench.number", number)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            call = channel.unary_unary(INFER, None, None)
            while (begin := time.perf_counter()) < start + seconds:
                await call(data, metadata=(("seldon-model", model),))
                latencies.append(time.perf_counter() - begin)

    await asyncio.gather(*(one(number) for number in range(connections)))
    return Measured(sorted(latencies), time.perf_counter() - start)
