"""How much memory do requests take that wait in an agent for their model?

    python -m benchmarks held-calls [--calls 40] [--mebibytes 8]

A process with an agent's ports for evicted models, and as many requests of that length at once, over REST and
then over gRPC. Printed is by how much the process has grown once all of them wait.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import psutil
from tests.support import plain_http
from tests.support.held_calls import Gate, agent_settings
from tests.support.ports import free_port

from bailie._gen import inference_pb2 as pb
from bailie._gen import inference_pb2_grpc as pb_grpc
from bailie.agent.waiting.grpc import serve_grpc
from bailie.agent.waiting.http import serve_http
from bailie.agent.waiting.requests import WaitingRequests
from bailie.wellknown.headers import VERSION
from benchmarks.laptop import until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

NAME = "iris_1"
_SETTLED_SECONDS = 1.0
_HOLD_SECONDS = 120.0


def _agent(http: int, rpc: int) -> None:
    settings = agent_settings(held_http_port=http, held_grpc_port=rpc, hold_seconds=_HOLD_SECONDS)

    async def serve() -> None:
        # The gate is that of a model that does not come into memory.
        waiting = WaitingRequests(Gate(), settings)  # type: ignore[arg-type]
        async with serve_http(waiting, settings), serve_grpc(waiting, settings):
            await asyncio.Event().wait()

    asyncio.run(serve())


async def _rest(port: int, length: int) -> None:
    async with plain_http.async_client(timeout=None) as http:
        await http.post(f"http://127.0.0.1:{port}/v2/models/{NAME}/infer", content=bytes(length))


async def _grpc(port: int, length: int) -> None:
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        request = pb.ModelInferRequest(model_name=NAME, raw_input_contents=[bytes(length)])
        with suppress(grpc.aio.AioRpcError):
            await pb_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, metadata=((VERSION, NAME),))


async def _growth(
    process: psutil.Process, ask: Callable[[], Coroutine[None, None, None]], calls: int
) -> float:
    """Returns the most mebibytes by which the process grew for so many requests, until it grows no more."""
    before = process.memory_info().rss
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask()) for _ in range(calls)]
        peaks = [0, before]
        while peaks[-1] != peaks[-2]:
            await asyncio.sleep(_SETTLED_SECONDS)
            peaks.append(_peak(process))
        for task in tasks:
            task.cancel()
    return (peaks[-1] - before) / 2**20


def _peak(process: psutil.Process) -> int:
    """Returns the most bytes that the process has had in memory."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) << 10


async def _listens(process: psutil.Process) -> bool:
    return sum(each.status == "LISTEN" for each in process.net_connections()) == 2


async def measure(calls: int, length: int) -> None:
    """Prints the growth for each protocol."""
    http, rpc = free_port(), free_port()
    started = multiprocessing.get_context("spawn").Process(target=_agent, args=(http, rpc))
    started.start()
    try:
        process = psutil.Process(started.pid)
        await until(partial(_listens, process), "the agent listens")
        for name, ask in (("REST", partial(_rest, http, length)), ("gRPC", partial(_grpc, rpc, length))):
            grown = await _growth(process, ask, calls)
            print(f"{name}: {calls} requests of {length / 2**20:.0f} MiB take {grown:.0f} MiB", flush=True)
    finally:
        started.terminate()
        started.join()


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks held-calls", description=__doc__)
    parser.add_argument("--calls", type=int, default=40, help="requests at once")
    parser.add_argument("--mebibytes", type=int, default=8, help="of each")
    options = parser.parse_args(arguments)
    asyncio.run(measure(options.calls, options.mebibytes << 20))
