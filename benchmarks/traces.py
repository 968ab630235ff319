"""What traces of requests cost an Envoy, also where their collector is away. Ends with 1 if a bar is missed.

    python -m benchmarks traces [--seconds 1] [--rounds 40]

One Envoy before a server that answers at once takes turns (`turns`): it traces nothing, every hundredth
request or every request, and the collector, a process of its own, is there, refuses connections, hangs or
fails. A turn begins when that has had its effect. No request may fail. Two turns of each round have the
collector there: by what they differ is the noise. Last, after how long the collector has the trace of a
request that comes alone.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from tests.support import plain_http
from tests.support.ports import free_port

from bailie.api.collector import Collector
from bailie.gateway.bootstrap import ADMIN_SOCKET
from bailie.gateway.publisher import Gateway
from bailie.routing.table import ReplicaEndpoint
from benchmarks import stack
from benchmarks.collectors import CALLS, FAILS, HANGS, REFUSES, THERE, collector
from benchmarks.figures import Figures
from benchmarks.laptop import seconds_until, until
from benchmarks.processes import ask, spawned
from benchmarks.routes import acknowledged, instant_server, models
from benchmarks.turns import State, Turns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from bailie.routing.table import RoutingTable

LEAST_RATE = 0.99
"""Of the requests a second with the collector there, in all turns in which it refuses or hangs."""
_WITHOUT, _AGAIN = "without", "there again"
_RATIOS = {"hundredth": 0.01, "every": 1.0}
_AWAY = (REFUSES, HANGS, FAILS)
_PATIENCE = 30.0


@dataclass(slots=True)
class Stage:
    """An Envoy in a folder, its gateway, and the collector behind a pipe."""

    folder: Path
    gateway: Gateway
    table: RoutingTable
    collector: Connection
    collector_port: int
    port: int = 0

    async def begin(self, ratio: float | None, told: str) -> None:
        """Has the collector do as told, and so many requests traced; returns when the Envoy has felt it."""
        target = None if ratio is None else Collector("127.0.0.1", self.collector_port, ratio)
        revision = self.gateway.publish(replace(self.table, collector=target))
        await acknowledged(self.gateway, revision)
        await asyncio.to_thread(ask, self.collector, told)
        if target is None:
            return
        before, any_state = await self.felt(told), State(_nothing)

        async def more() -> bool:
            await any_state.asked(self.port, 0.1)
            return await self.felt(told) > before

        await until(more, f"the Envoy feels that its collector {told}", _PATIENCE)

    async def felt(self, told: str) -> int:
        """Returns how often the Envoy has felt what the collector does."""
        if told in {THERE, FAILS}:
            calls: int = await asyncio.to_thread(ask, self.collector, CALLS)
            return calls
        return await self.counter("upstream_cx_connect_fail" if told == REFUSES else "upstream_rq_active")

    async def counter(self, name: str) -> int:
        """Returns a counter of the collector's cluster."""
        socket = plain_http.unix_transport(uds=str(self.folder / ADMIN_SOCKET))
        async with httpx.AsyncClient(transport=socket, base_url="http://envoy", timeout=_PATIENCE) as http:
            text = (await http.get("/stats", params={"filter": f"^cluster[.]traces[.]{name}$"})).text
        return int(text.rpartition(": ")[2] or 0)

    async def seen_after(self) -> float:
        """Returns the seconds from the answer to one request until its span has come."""
        await asyncio.sleep(random.uniform(1.5, 2.5))
        before = await self.felt(THERE)
        async with plain_http.async_client(timeout=_PATIENCE) as http:
            answer = await http.post(f"http://127.0.0.1:{self.port}/v2/models/model-7/infer", content=b"{}")
            answer.raise_for_status()

        async def more() -> bool:
            return await self.felt(THERE) > before

        return await seconds_until(more, "the span of a request that comes alone", _PATIENCE)


async def _nothing() -> None:
    pass


def _states(stage: Stage) -> dict[str, State]:
    states = {_WITHOUT: State(partial(stage.begin, None, REFUSES))}
    for part, ratio in _RATIOS.items():
        states |= {f"{part}, {told}": State(partial(stage.begin, ratio, told)) for told in (THERE, *_AWAY)}
        states[f"{part}, {_AGAIN}"] = states[f"{part}, {THERE}"]
    return states


async def measure(seconds: float, rounds: int) -> Figures:
    """Takes the turns, and returns rates and processor time beside those without traces, or a collector."""
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        stage = await _staged(running, folder)
        turns = Turns(_states(stage))
        await turns.take(stage.port, folder, seconds, rounds)
        await stage.begin(1.0, THERE)
        late = [await stage.seen_after() for _ in range(10)]
    found = _figures(turns)
    found.note("a trace is seen after, median", statistics.median(late), " s")
    found.note("a trace is seen after, at most", max(late), " s")
    return found


async def _staged(running: AsyncExitStack, folder: Path) -> Stage:
    server = await running.enter_async_context(instant_server(folder))
    table = models(100, ReplicaEndpoint("instant-0", "127.0.0.1", server, server))
    port = free_port()
    pipe, _ = running.enter_context(spawned(collector, port))
    stage = Stage(folder, Gateway(), table, pipe, port)
    revision = stage.gateway.publish(table)
    envoy = stack.bailie_envoy(folder, stage.gateway, workers=1, change={"stats_sinks": []})
    stage.port = await running.enter_async_context(envoy)
    await acknowledged(stage.gateway, revision)
    return stage


def _figures(turns: Turns) -> Figures:
    found = Figures()
    found.note("without, req/s", turns.median(_WITHOUT, "rate"))
    found.note("without, CPU", turns.median(_WITHOUT, "spent"), " us")
    for part in _RATIOS:
        there = f"{part}, {THERE}"
        found.note(f"{there}: CPU, more than without", turns.more(there, _WITHOUT, "spent"), " us")
        found.note(f"{there}: req/s, of those without", turns.ratios(there, _WITHOUT, "rate")[1])
        for told in (_AGAIN, *_AWAY):
            state = f"{part}, {told}"
            low, middle, high = turns.ratios(state, there, "rate")
            found.note(f"{state}: req/s of those {THERE}, quartiles {low:.3f} {high:.3f}", middle)
            low, middle, high = turns.ratios(there, state, "spent")
            found.note(f"{state}: the same by processor time, quartiles {low:.3f} {high:.3f}", middle)
        gone = turns.ratios(f"{part}, {REFUSES}", there, "rate", f"{part}, {HANGS}")[1]
        found.figure(f"{part}, gone: req/s of those {THERE}", gone, LEAST_RATE, least=True)
    return found


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks traces", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one turn")
    parser.add_argument("--rounds", type=int, default=40, help="turns in each state")
    options = parser.parse_args(arguments)
    found = asyncio.run(measure(options.seconds, options.rounds))
    print("\n".join(found.lines), flush=True)
    if found.missed:
        sys.exit(1)
