"""Does Envoy serve everybody while strangers send it nonsense?

    python -m benchmarks edge-fuzz [--seconds 360] [--seed 1] [--rate 350] [--connections 1 2 16]

A real MLServer behind an Envoy that the gateway configures. Each number of connections gets an equal share of
the time. Beside them go good requests, REST and gRPC, each on a connection of its own, so that they meet all
workers. It ends with 1 unless each of them was answered within a second, and Envoy's memory grew by at most
50 MiB. The rate is bounded because MLServer must refuse most malformed calls, which is work for it, too.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bailie.gateway.publisher import Gateway
from bailie.routing.table import Backend, ReplicaEndpoint, Route, RoutingTable
from benchmarks import malformed, raw_http2, stack
from benchmarks.data_plane import BODY, rpc_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import psutil

GROWTH = 50
"""MiB that Envoy may grow by."""
PERIOD = 0.05
"""Seconds between good requests of one protocol."""
PATIENCE = 0.02
"""Seconds at most that a malformed input is left alone before its connection is closed."""


@dataclass(slots=True)
class Outcome:
    """What was seen: malformed calls by kind, the good requests' seconds, what failed, and Envoy's MiB."""

    malformed: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    before: float = 0.0
    largest: float = 0.0

    def problems(self) -> list[str]:
        """Returns what is not as it must be."""
        found = list(self.failures)
        if self.largest - self.before > GROWTH:
            found.append(f"Envoy grew from {self.before:.0f} to {self.largest:.0f} MiB")
        if not self.malformed or not self.seconds:
            found.append("nothing was sent")
        return found

    def __str__(self) -> str:
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.malformed.items()))
        slowest = 1e3 * max(self.seconds, default=0)
        return (
            f"malformed: {sum(self.malformed.values())} ({kinds})\n"
            f"good: {len(self.seconds)} answered, slowest {slowest:.0f} ms, {len(self.failures)} failed\n"
            f"Envoy: {self.before:.0f} MiB before, {self.largest:.0f} MiB at most"
        )


@dataclass(slots=True)
class Phase:
    """Some seconds of it: where Envoy listens, when it ends, and what was seen so far.

    `period`: seconds between two malformed calls of all connections together. `limit`: seconds within which
    each good request must be answered.
    """

    port: int
    until: float
    period: float
    limit: float
    outcome: Outcome
    next: float = 0.0

    def over(self) -> bool:
        """Says whether no more is to be sent."""
        return time.monotonic() >= self.until

    async def turn(self, calls: int) -> None:
        """Waits until an input with `calls` calls may be sent."""
        now = time.monotonic()
        begin = max(now, self.next)
        self.next = begin + calls * self.period
        await asyncio.sleep(begin - now)


async def strangers(phase: Phase, rng: random.Random) -> None:
    """Sends malformed inputs on one connection after the other."""
    counts = phase.outcome.malformed
    for found in malformed.inputs(rng):
        await phase.turn(found.calls)
        if phase.over():
            return
        with suppress(OSError):
            await _send(phase.port, found, rng.uniform(0, PATIENCE))
            counts[found.name] = counts.get(found.name, 0) + found.calls


async def _send(port: int, found: malformed.Input, patience: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in found.pieces:
            writer.write(piece)
            await writer.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while await reader.read(65_536):
                    pass
    finally:
        writer.transport.abort()


async def good_rest(port: int, _: float) -> str:
    """Returns what is wrong with the answer to a REST request, "" if nothing."""
    head = (
        "POST /v2/models/iris/infer HTTP/1.1",
        "Host: bench",
        "Content-Type: application/json",
        "Connection: close",
        f"Content-Length: {len(BODY)}",
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write("\r\n".join((*head, "", "")).encode() + BODY)
        answer = await reader.read()
    finally:
        writer.transport.abort()
    return "" if answer.startswith(b"HTTP/1.1 200 ") else f"REST: {answer[:2_000]!r}"


async def good_grpc(port: int, limit: float) -> str:
    """The same for a gRPC call, which may take so many seconds."""
    async with raw_http2.connection(port) as connection:
        stream = connection.begin(raw_http2.grpc_headers(malformed.INFER, "iris"))
        await connection.send(stream, [malformed.message(rpc_request("iris").SerializeToString())])
        answer = await connection.answer(stream, limit)
    return "" if answer.headers.get("grpc-status") == "0" else f"gRPC: {answer.headers} {answer.reset}"


async def callers(phase: Phase, ask: Callable[[int, float], Awaitable[str]]) -> None:
    """Sends good requests, one each `PERIOD`, whether those before are answered or not."""
    async with asyncio.TaskGroup() as tasks:
        while not phase.over():
            tasks.create_task(_ask(phase, ask))
            await asyncio.sleep(PERIOD)


async def _ask(phase: Phase, ask: Callable[[int, float], Awaitable[str]]) -> None:
    begin = time.monotonic()
    try:
        async with asyncio.timeout(phase.limit):
            wrong = await ask(phase.port, phase.limit)
    except (OSError, ExceptionGroup) as error:  # TimeoutError is an OSError
        wrong = f"{ask.__name__}: {error!r} after {time.monotonic() - begin:.2f} s"
    if wrong:
        phase.outcome.failures.append(wrong)
    else:
        phase.outcome.seconds.append(time.monotonic() - begin)


async def memory(phase: Phase, envoy: psutil.Process) -> None:
    """Looks at Envoy's memory."""
    while not phase.over():
        phase.outcome.largest = max(phase.outcome.largest, _mib(envoy))
        await asyncio.sleep(0.1)


def _mib(process: psutil.Process) -> float:
    resident: int = process.memory_info().rss
    return resident / 2**20


async def play(phase: Phase, envoy: psutil.Process, seeds: Sequence[int]) -> None:
    """Sends malformed inputs on as many connections as there are seeds, and good requests beside them."""
    async with asyncio.TaskGroup() as tasks:
        for seed in seeds:
            tasks.create_task(strangers(phase, random.Random(seed)))
        for ask in (good_rest, good_grpc):
            tasks.create_task(callers(phase, ask))
        tasks.create_task(memory(phase, envoy))


async def fuzz(port: int, envoy: psutil.Process, options: argparse.Namespace) -> Outcome:
    """Plays all phases on an Envoy that serves `iris`."""

    def begin(seconds: float, outcome: Outcome) -> Phase:
        return Phase(port, time.monotonic() + seconds, 1 / options.rate, options.limit, outcome)

    await play(begin(options.warm_up, Outcome()), envoy, [])
    outcome = Outcome(before=_mib(envoy))
    for number, connections in enumerate(options.connections):
        seeds = [options.seed + 1_000 * number + each for each in range(connections)]
        await play(begin(options.seconds / len(options.connections), outcome), envoy, seeds)
    return outcome


async def measure(options: argparse.Namespace) -> Outcome:
    """Starts everything and returns what was seen."""
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        stack.train(folder)
        http, rpc, _ = await running.enter_async_context(stack.mlserver(folder))
        gateway = Gateway()
        replica = ReplicaEndpoint("mlserver-0", "127.0.0.1", http, rpc)
        gateway.publish(RoutingTable("bench", {"iris": Route((Backend(stack.MODEL, 1, (replica,)),))}))
        port = await running.enter_async_context(stack.bailie_envoy(folder, gateway))
        envoy = stack.process_of("--config-path", str(folder / "bailie-envoy.json"))
        return await fuzz(port, envoy, options)


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Returns the options that `arguments` give."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks edge-fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=360, help="of all phases together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=350, help="malformed calls per second")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 2, 16])
    parser.add_argument("--limit", type=float, default=1, help="seconds that a good request may take")
    parser.add_argument("--warm-up", type=float, default=5, help="seconds of good requests alone before")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Runs the fuzzer; see the module's text."""
    outcome = asyncio.run(measure(options_of(arguments)))
    print(outcome)
    problems = outcome.problems()
    for problem in problems[:20]:
        print(f"PROBLEM: {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)
