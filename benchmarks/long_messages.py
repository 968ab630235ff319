"""What does one message cost a scheduler that was made to cost as much as it can?

    python -m benchmarks long-messages

The scheduler's two gRPC servers in a process of their own, and a caller who has the namespace's token, or
none. Each message is sent once; told are the answer, for how long the event loop was held at most, and by how
much the process's memory grew at most. Ends with 1 if a message held the loop for more than a quarter of a
second, or took more than 100 MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from tests.support.dataplane import KnownToken

from bailie.gateway import ads
from bailie.gateway.envoy_calls import EnvoyPlane
from bailie.gateway.publisher import Gateway
from bailie.kube.tenants import Tenants
from bailie.scheduler.agents.service import AgentService
from bailie.scheduler.agents.serving import serve_agents
from benchmarks.processes import spawned

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

MIB = 1 << 20
TOKEN = "the-token"
METADATA = (("authorization", f"Bearer {TOKEN}"),)
SESSION = "/bailie.agent.v1.AgentService/Session"
DELTA = f"/{ads.SERVICE}/DeltaAggregatedResources"
EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
MOST_SECONDS, MOST_MIB = 0.25, 100


@dataclass(frozen=True)
class Attack:
    """Messages of one call; `zipped`: their frames say that they are compressed."""

    name: str
    path: str
    messages: tuple[bytes, ...] = ()
    metadata: tuple[tuple[str, str], ...] = METADATA
    zipped: bool = False
    calls: int = 1
    options: tuple[tuple[str, Any], ...] = field(default=(("grpc.max_send_message_length", -1),))


def field_of(number: int, content: bytes) -> bytes:
    """Returns a field that has a message or a text."""
    size, head = len(content), bytes((number << 3 | 2,))
    while size > 127:
        head += bytes((size & 127 | 128,))
        size >>= 7
    return head + bytes((size,)) + content


def attacks() -> list[Attack]:
    """Returns the messages; each repeats what costs most for its bytes."""
    words = b"\x08\x01\x12\x01a\x1a\x01m\x2a\x03m-0\x3a\x10\x0a\n127.70.0.1\x10\x01\x18\x01"
    reports = field_of(1, words + b"\x4a\x00" * (4 * MIB - 40))
    tensors = field_of(1, words + field_of(9, field_of(14, b"\x0a\x00" * (4 * MIB - 60))))
    sentences = field_of(2, b"\x62\x00" * (4 * MIB - 10))
    names = b"\x1a\x00" * (4 * MIB)
    metrics = field_of(1, field_of(2, b"\x12\x00" * (4 * MIB - 10)))
    hello = field_of(1, words)
    return [
        Attack("hello of 4,194,264 empty reports", SESSION, (reports,)),
        Attack("hello with a report of 4,194,244 empty tensors", SESSION, (tensors,)),
        Attack("report of 4,194,294 empty sentences", SESSION, (hello, sentences)),
        Attack("compressed hello, a gigabyte of zeros", SESSION, (bytes(1024 * MIB),), zipped=True),
        Attack("request for 4,194,304 resources without a name", DELTA, (names,)),
        Attack("report of 4,194,294 empty metrics", EXPORT, (metrics,)),
        Attack("20 reports of 32 MiB without a token", EXPORT, (bytes(32 * MIB),), metadata=(), calls=20),
    ]


def serve(pipe: Connection) -> None:
    """Runs both servers; the pipe tells their ports, and between two words of it what was noticed."""
    asyncio.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    agents = AgentService("a", KnownToken(TOKEN), "127.0.0.1")
    agents.lead(1)
    tenants = Tenants("a", {"a": KnownToken(TOKEN)})
    planes = {"a": EnvoyPlane(Gateway())}
    async with (
        serve_agents(agents, "127.0.0.1", 0) as first,
        ads.serve(tenants, planes, "127.0.0.1", 0) as second,
    ):
        pipe.send((first, second))
        while True:
            await _polled(pipe)
            before, longest = _begin(), 0.0
            pipe.send("begun")
            while not pipe.poll():
                begun = time.perf_counter()
                await asyncio.sleep(0.001)
                longest = max(longest, time.perf_counter() - begun)
            pipe.recv()
            pipe.send((longest, _peak() - before))


async def _polled(pipe: Connection) -> None:
    while not pipe.poll():  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    pipe.recv()


def _begin() -> float:
    """Lets the highest memory begin anew; returns the present, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    """Returns the highest memory of this process, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


async def send(attack: Attack, port: int) -> str:
    """Makes the calls of an attack at once; returns how the first ended."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=attack.options) as channel:
        return (await asyncio.gather(*(_send(attack, channel) for _ in range(attack.calls))))[0]


async def _send(attack: Attack, channel: Any) -> str:
    compression = grpc.Compression.Gzip if attack.zipped else None
    call = channel.stream_stream(attack.path)(metadata=attack.metadata, compression=compression)
    try:
        async with asyncio.timeout(60):
            for message in attack.messages:
                await call.write(message)
            await call.done_writing()
            async for _ in call:
                pass
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass
    except TimeoutError:
        call.cancel()
        return "no answer within 60 s"
    return f"{(await call.code()).name}: {await call.details()}"


def main(arguments: list[str]) -> None:
    """Sends each message to a new pair of servers; exits with 1 where a bound is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks long-messages")
    parser.parse_args(arguments)
    missed = False
    for attack in attacks():
        with spawned(serve) as (pipe, _):
            agents, envoys = pipe.recv()
            pipe.send("begin")
            pipe.recv()
            answer = asyncio.run(send(attack, agents if attack.path == SESSION else envoys))
            time.sleep(0.5)
            pipe.send("end")
            held, grown = pipe.recv()
        late = held > MOST_SECONDS or grown > MOST_MIB
        missed = missed or late
        print(f"{attack.name}: loop held {held:.3f} s, memory +{grown:.0f} MiB{' MISSED' if late else ''}")
        print(f"  {answer[:150]}")
    if missed:
        sys.exit(1)
