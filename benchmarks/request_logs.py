"""What access logs and payload logs of requests cost an Envoy and its callers, whatever the sink does.

    python -m benchmarks request-logs [--seconds 1] [--rounds 20] [--size 2]

One Envoy before a server that answers at once takes turns (`turns`), in which it logs nothing, failures, or
all requests to a file, while requests succeed or fail in one of the three classes of failures: far more
than their buckets have lines for. In others it sends every request of `size` bytes and its answer to a sink:
one that answers at once, one that takes connections and never answers, and one that is away. No request may
end otherwise. Requests that succeed and are not logged have two turns in each round: by what these differ is
the noise.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.ports import free_port

from bailie.api.payload_log import LOCAL, PayloadLog
from bailie.gateway.access_log import AccessLog
from bailie.gateway.envoy_calls import EnvoyPlane
from bailie.gateway.publisher import Gateway
from bailie.routing.table import ReplicaEndpoint, Route
from bailie.wellknown import logged
from benchmarks import stack
from benchmarks.figures import Figures
from benchmarks.routes import acknowledged, instant_server, models
from benchmarks.turns import State, Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bailie.routing.table import RoutingTable

_MODEL = "model-7"
_STATUSES = {"model-8": 400, "model-9": 503}
"""Of the server's answers for some models."""
_REQUESTS = {
    "succeeds": (_MODEL, 200),
    "asks for an unknown name": ("nobody", 404),
    "is refused by the server": ("model-8", 400),
    "meets a failing server": ("model-9", 503),
}
"""What requests of a kind ask for, and the status of their answers."""
_SINKS = ("answers", "hangs", "is away")
_NO_LOG, _AGAIN = "no log", "no log again"


@dataclass(slots=True)
class Stage:
    """An Envoy that has its configuration from another gateway in each turn, as after a scheduler's restart
    with other settings."""

    folder: Path
    table: RoutingTable
    sinks: dict[str, int]
    planes: dict[str, EnvoyPlane] = field(default_factory=dict)

    async def begin(self, gateway: Gateway, table: RoutingTable) -> None:
        """Has `gateway` speak to the Envoy, and waits until the table is there."""
        revision, before = gateway.publish(table), self.planes.get(stack.TENANT)
        if before is None or before.gateway is not gateway:
            self.planes[stack.TENANT] = EnvoyPlane(gateway)
            if before is not None:
                before.closing.set()
        if before is not None:
            await acknowledged(gateway, revision)

    def states(self, none: Gateway, body: bytes) -> dict[str, State]:
        """Returns all states; `none` is a gateway whose Envoys write nothing."""
        path = str(self.folder / "all.log")
        gateways = {
            _NO_LOG: none,
            "failures": Gateway(access_log=AccessLog()),
            "all": Gateway(access_log=AccessLog(logged.ALL, path)),
        }
        states = {}
        for kind, (model, status) in _REQUESTS.items():
            for what, gateway in gateways.items():
                begin = partial(self.begin, gateway, self.table)
                # Envoy hangs up on a caller whom it answers before the body has come.
                sent = b"" if status == HTTPStatus.NOT_FOUND else body
                states[_named(kind, what)] = State(begin, f"/v2/models/{model}/infer", sent, status)
        for does, port in self.sinks.items():
            begin = partial(self.begin, none, _logged(self.table, port))
            states[_payloads(does)] = State(begin, body=body)
        states[_named("succeeds", _AGAIN)] = states[_named("succeeds", _NO_LOG)]
        return states


async def measure(seconds: float, rounds: int, size: int) -> Figures:
    """Takes the turns, and returns rates, times and processor time beside those without logs."""
    async with AsyncExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        answers = {f"/v2/models/{name}_0/": status for name, status in _STATUSES.items()}
        server = await running.enter_async_context(instant_server(folder, answers))
        table = models(100, ReplicaEndpoint("instant-0", "127.0.0.1", server, server))
        hanging = await running.enter_async_context(_hanging_sink())
        stage = Stage(folder, table, dict(zip(_SINKS, (server, hanging, free_port()), strict=True)))
        none = Gateway(access_log=AccessLog(logged.NONE), local_sinks=True)
        await stage.begin(none, table)
        envoy = stack.envoy_of(folder, stage.planes, workers=1, change={"stats_sinks": []})
        port = await running.enter_async_context(envoy)
        turns = Turns(stage.states(none, b"x" * size))
        await turns.take(port, folder, seconds, rounds)
    return _figures(turns)


def _named(kind: str, what: str) -> str:
    return f"a request {kind}, {what}"


def _payloads(does: str) -> str:
    return f"payloads, the sink {does}"


def _figures(turns: Turns) -> Figures:
    found = Figures()
    for kind in _REQUESTS:
        base = _named(kind, _NO_LOG)
        beside = [_named(kind, what) for what in ("failures", "all")]
        beside += [_named(kind, _AGAIN), *map(_payloads, _SINKS)] if kind == "succeeds" else []
        for state in (base, *beside):
            middle = {name: turns.median(state, name) for name in ("rate", "p50", "p99", "spent")}
            figures = "{rate:6.0f} req/s, p50 {p50:.2f}, p99 {p99:.2f} ms, CPU {spent:.1f} us".format(
                **middle
            )
            found.lines.append(f"{state}: {figures}")
        for state in beside:
            low, rate, high = turns.ratios(state, base, "rate")
            found.note(f"{state}: req/s of those without, quartiles {low:.3f} {high:.3f}", rate)
            found.note(f"{state}: CPU, more than without", turns.more(state, base, "spent"), " us")
    return found


def _logged(table: RoutingTable, port: int) -> RoutingTable:
    """Returns the table with a payload log of one model, to a port of this machine."""
    route = table.entries[_MODEL]
    assert isinstance(route, Route)
    log = PayloadLog(_MODEL, LOCAL, port, "/v2/models/model-1_0/infer")
    backends = tuple(replace(each, payload_log=log) for each in route.backends)
    return replace(table, entries={**table.entries, _MODEL: replace(route, backends=backends)})


@asynccontextmanager
async def _hanging_sink() -> AsyncIterator[int]:
    """Takes connections, reads nothing and says nothing; the value is the port."""

    async def taken(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.append(writer)

    open_ones: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(taken, "127.0.0.1", 0, limit=1)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for each in open_ones:
            each.close()
        server.close()


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks request-logs", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one turn")
    parser.add_argument("--rounds", type=int, default=20, help="turns in each state")
    parser.add_argument("--size", type=int, default=2, help="bytes of each request")
    options = parser.parse_args(arguments)
    found = asyncio.run(measure(options.seconds, options.rounds, options.size))
    print("\n".join(found.lines), flush=True)
