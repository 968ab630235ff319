"""Hundreds of simulated server replicas in a process of their own, which notes when each was told what.

Run by `scheduler` and `simulated_hand_over`. They speak the agents' protocol and report as agents do; there
is nothing behind them.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from typing import TYPE_CHECKING, Any

import grpc
from tests.support.simulator import SimulatedReplica

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

NAMESPACE = "bench"
REPLICAS = 4
GIB = 2**30


class TimedReplica(SimulatedReplica):
    """Notes when each load command came; tries the schedulers in turn, as agents do."""

    def __init__(
        self, ports: Sequence[int], *args: Any, times: dict[str, list[float]], **fields: Any
    ) -> None:
        super().__init__(ports[0], *args, **fields)
        self._ports = itertools.cycle(ports)
        self._times = times

    async def _connect(self) -> None:
        self.port = next(self._ports)
        await super()._connect()

    async def _load(self, load: Any) -> None:
        self._times.setdefault(load.version.name, []).append(time.monotonic())
        await super()._load(load)


def fleet_process(ports: Sequence[int], servers: int, pipe: Connection) -> None:
    """Runs all replicas. `times` asks when models were last commanded, `lose` ends a server."""

    async def main() -> None:
        times: dict[str, list[float]] = {}
        fields: dict[str, Any] = {"memory": 64 * GIB, "namespace": NAMESPACE, "times": times}
        replicas = [
            TimedReplica(ports, server_name(number), index, **fields)
            for number in range(servers)
            for index in range(REPLICAS)
        ]
        for replica in replicas:
            replica.credentials = {"namespace": NAMESPACE}  # their scheduler may be at home elsewhere
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            tasks = {replica: group.create_task(replica.run()) for replica in replicas}
            group.create_task(_say_status(replicas))

            def answer() -> None:
                verb, *rest = pipe.recv()
                if verb == "lose":
                    lost = [replica for replica in replicas if replica.server == rest[0]]
                    for replica in lost:
                        tasks[replica].cancel()
                    pipe.send({name.rpartition("_")[0] for replica in lost for name in replica.loaded})
                else:
                    pipe.send(dict(times))

            loop.add_reader(pipe.fileno(), answer)

    asyncio.run(main())


async def _say_status(replicas: Sequence[TimedReplica]) -> None:
    """As agents do; a session without a word for 30 s ends."""
    while True:
        for replica in replicas:
            await asyncio.sleep(10 / len(replicas))
            if replica.session is not None:
                with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    await replica.say_status()


def server_name(number: int) -> str:
    """Returns the name of a server."""
    return f"server-{number:03}"
