"""Does every request find an answer on a server with memory for a third of its models, and at what price?

`bailie up` with two servers of one MLServer each: `crowded` has memory for 10 models, twice as much again by
overcommit, and 30 models, of which each answers what no other does; `mlserver` has 10 models and memory for
all. Random requests over REST and gRPC go to all 30 at once; each must be answered, and rightly. Then two
models that are in memory, one on each server, are asked in turn, and their latencies are compared. Ends
everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import httpx
from tests.support import plain_http

from bailie._gen import inference_pb2 as pb
from bailie._gen import inference_pb2_grpc
from bailie.api.kinds import MODEL, SERVER
from bailie.kube.client import Client
from bailie.local.explanation import explanation
from bailie.local.readiness import condition
from benchmarks import load
from benchmarks.failover import lines
from benchmarks.laptop import NAMESPACE, Laptop, laptop, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
    from pathlib import Path

    Ask = dict[str, Callable[[], Awaitable[object]]]

CROWDED, ROOMY = "crowded", "mlserver"
MEMORY_MIB = 10
WARM_UP = 200
"""Pairs of requests that are not counted."""
BLOCK = 250
"""Pairs of requests that give one ratio."""
ROW = [5.1, 3.5, 1.4, 0.2]
CLASSES = 3
"""Of iris: model number n answers CLASSES * n for `ROW`."""
TRAIN = """
import sys
from pathlib import Path
import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
x, y = load_iris(return_X_y=True)
for number in range(int(sys.argv[1])):
    folder = Path(sys.argv[2]) / str(number)
    folder.mkdir(parents=True)
    joblib.dump(LogisticRegression(max_iter=1000).fit(x, y + 3 * number), folder / "model.joblib")
"""


def request(name: str) -> pb.ModelInferRequest:
    """Returns the request for gRPC."""
    contents = pb.InferTensorContents(fp64_contents=ROW)
    tensor = pb.ModelInferRequest.InferInputTensor(name="x", shape=[1, 4], datatype="FP64", contents=contents)
    return pb.ModelInferRequest(model_name=name, inputs=[tensor])


def body() -> bytes:
    """Returns the request for REST."""
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [ROW]}
    return json.dumps({"inputs": [tensor]}).encode()


@dataclass(slots=True)
class Seen:
    """What callers have seen: seconds of each answer, and what went wrong."""

    rest: list[float] = field(default_factory=list)
    grpc: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class World:
    """The namespace under test."""

    def __init__(self, client: Client, models: Path) -> None:
        self._client, self._models = client, models

    async def crowd(self, models: int) -> None:
        """Adds the server that has memory for so many models, and room for three times as many."""
        memory = {"requests": {"memory": f"{models * MEMORY_MIB}Mi"}}
        agent = {"name": "agent", "env": [{"name": "SELDON_OVERCOMMIT_PERCENTAGE", "value": "200"}]}
        pod = {"containers": [agent, {"name": "mlserver", "resources": memory}]}
        await self._create(SERVER, CROWDED, {"serverConfig": "mlserver", "replicas": 1, "podSpec": pod})

        async def ready() -> bool:
            found = await self._client.get(SERVER, CROWDED, NAMESPACE)
            return bool(condition(found, "Ready")["status"] == "True")

        await until(ready, "the server ready")

    async def add(self, server: str, number: int) -> str:
        """Adds a model to a server; returns its name."""
        name = f"{server}-{number}"
        spec = {
            "storageUri": str(self._models / str(number)),
            "requirements": ["sklearn"],
            "memory": f"{MEMORY_MIB}Mi",
            "server": server,
        }
        await self._create(MODEL, name, spec)
        return name

    async def _create(self, kind: Any, name: str, spec: dict[str, Any]) -> None:
        metadata = {"name": name, "namespace": NAMESPACE}
        await self._client.create(
            {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}
        )

    async def ready(self, names: list[str]) -> None:
        """Waits until all of them are ready."""

        async def look() -> bool:
            models = (await self._client.list(MODEL, NAMESPACE)).items
            found = {
                each["metadata"]["name"] for each in models if condition(each, "Ready")["status"] == "True"
            }
            return found >= set(names)

        await until(look, "all models ready", 300)

    async def in_memory(self, name: str) -> bool:
        """Says whether the model is in memory."""
        found = (await explanation(self._client, NAMESPACE, name))["detail"].get("standings", [])
        return [each["state"] for each in found] == ["Loaded"]


@dataclass(slots=True, kw_only=True)
class Callers:
    """Ask random models, each caller the next as soon as it has its answer, until the time is over."""

    names: list[str]
    urls: dict[str, str]
    ends: float
    seen: Seen = field(default_factory=Seen)

    async def run(self) -> None:
        """Four callers by REST and two by gRPC, each on a connection of its own."""
        async with asyncio.TaskGroup() as group:
            for seed in range(4):
                group.create_task(self._by_rest(random.Random(seed)))
            for seed in range(4, 6):
                group.create_task(self._by_grpc(random.Random(seed), seed))

    async def _by_rest(self, chance: random.Random) -> None:
        content, url = body(), f"{self.urls['http']}/v2/models"
        async with plain_http.async_client(timeout=120) as http:
            while time.monotonic() < self.ends:
                number = chance.randrange(len(self.names))
                began = time.perf_counter()
                try:
                    answer = await http.post(f"{url}/{self.names[number]}/infer", content=content)
                    got = answer.json()["outputs"][0]["data"][0] if answer.is_success else answer.text
                except httpx.HTTPError as error:
                    got = repr(error)
                self.seen.rest.append(time.perf_counter() - began)
                self._check("REST", number, got)

    async def _by_grpc(self, chance: random.Random, seed: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("bench.number", seed)]
        async with grpc.aio.insecure_channel(self.urls["grpc"], options) as channel:
            stub: Any = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
            while time.monotonic() < self.ends:
                number = chance.randrange(len(self.names))
                name, began = self.names[number], time.perf_counter()
                try:
                    answer = await stub.ModelInfer(
                        request(name), metadata=(("seldon-model", name),), timeout=120
                    )
                    got: Any = answer.outputs[0].contents.int64_contents[0]
                except grpc.aio.AioRpcError as error:
                    got = f"{error.code().name} {error.details()}"
                self.seen.grpc.append(time.perf_counter() - began)
                self._check("gRPC", number, got)

    def _check(self, protocol: str, number: int, got: object) -> None:
        if got != CLASSES * number:
            self.seen.failures.append(f"{protocol} {self.names[number]}: {got}")


async def compare(names: dict[str, str], urls: dict[str, str], pairs: int) -> dict[str, dict[str, float]]:
    """Returns, by protocol, both p50 in milliseconds, and the median of the ratios of all blocks.

    The two take turns request by request: whatever the machine does besides falls on both alike.
    """
    found: dict[str, dict[str, float]] = {}
    for protocol, clients in (("REST", _rest_clients), ("gRPC", _grpc_clients)):
        latencies: dict[str, list[float]] = {which: [] for which in names}
        async with clients(names, urls) as ask:
            for number in range(WARM_UP + pairs):
                for which in random.sample(sorted(names), len(names)):
                    began = time.perf_counter()
                    await ask[which]()
                    if number >= WARM_UP:
                        latencies[which].append(1e3 * (time.perf_counter() - began))
        p50 = {which: statistics.median(each) for which, each in latencies.items()}
        found[protocol] = {**p50, "ratio": statistics.median(_ratios(latencies))}
    return found


def _ratios(latencies: dict[str, list[float]]) -> list[float]:
    """The ratio of both p50 for each BLOCK of pairs: a busy moment spoils one block and not the whole."""
    starts = range(0, len(latencies[CROWDED]), BLOCK)
    p50 = {
        which: [statistics.median(each[start : start + BLOCK]) for start in starts]
        for which, each in latencies.items()
    }
    return [ours / theirs for ours, theirs in zip(p50[CROWDED], p50[ROOMY], strict=True)]


@asynccontextmanager
async def _rest_clients(names: dict[str, str], urls: dict[str, str]) -> AsyncIterator[Ask]:
    """A bare connection for each: the time of a client in Python would hide what is looked for."""
    port = int(urls["http"].rpartition(":")[2])
    found: Ask = {}
    writers = []
    for which, name in names.items():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        head = f"POST /v2/models/{name}/infer HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        content = f"{head}Content-Length: {len(body())}\r\n\r\n".encode() + body()
        found[which] = partial(_exchange, reader, writer, content)
    try:
        yield found
    finally:
        for writer in writers:
            writer.close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(content)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))


@asynccontextmanager
async def _grpc_clients(names: dict[str, str], urls: dict[str, str]) -> AsyncIterator[Ask]:
    async with AsyncExitStack() as stack:
        found: Ask = {}
        for which, name in names.items():
            options = [("grpc.use_local_subchannel_pool", 1), ("bench.name", which)]
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(urls["grpc"], options))
            call = channel.unary_unary(load.INFER, None, None)
            content, metadata = request(name).SerializeToString(), (("seldon-model", name),)
            found[which] = partial(call, content, metadata=metadata)
        yield found


async def measure(laptop: Laptop, options: argparse.Namespace) -> dict[str, Any]:
    """Returns what came of it."""
    async with Client.from_kubeconfig(laptop.kubeconfig) as client:
        world, third = World(client, laptop.models), options.models // 3
        await world.crowd(third)
        roomy = [await world.add(ROOMY, number) for number in range(third)]
        started = time.monotonic()
        crowded = [await world.add(CROWDED, number) for number in range(options.models)]
        await world.ready([*roomy, *crowded])
        print(f"{options.models} models ready after {time.monotonic() - started:.1f} s", flush=True)
        urls, before = laptop.inference(), _counted(laptop.state)
        callers = Callers(names=crowded, urls=urls, ends=time.monotonic() + options.seconds)
        await callers.run()
        seen = callers.seen
        moved = {what: count - before[what] for what, count in _counted(laptop.state).items()}
        print(f"{len(seen.rest) + len(seen.grpc)} requests, {len(seen.failures)} failed", flush=True)
        hot = await _hot(world, crowded, urls)
        compared = await compare({CROWDED: hot, ROOMY: roomy[0]}, urls, options.pairs)
        if not await world.in_memory(hot):
            raise RuntimeError(f"{hot} left memory while it was measured")
    return {"seen": seen, "moved": moved, "compared": compared}


async def _hot(world: World, names: list[str], urls: dict[str, str]) -> str:
    """Returns a model that is in memory on the crowded server, and has its own route again."""
    async with plain_http.async_client(timeout=120) as http:
        (await http.post(f"{urls['http']}/v2/models/{names[0]}/infer", content=body())).raise_for_status()
    await until(lambda: world.in_memory(names[0]), f"{names[0]} in memory")
    await asyncio.sleep(1.0)  # the acknowledgement of its route
    return names[0]


def _counted(state: Path) -> dict[str, int]:
    """Returns how often models left the crowded server's memory and came back, by the agent's log."""
    count = {"evicted": 0, "loaded": 0}
    for _, event, pairs in lines(state / "logs" / NAMESPACE / f"{CROWDED}-0" / "agent.log"):
        if event == "model moved" and pairs["state"] in count:
            count[pairs["state"]] += 1
    return count


def told(result: dict[str, Any]) -> Iterator[str]:
    """Yields the figures as lines."""
    seen: Seen = result["seen"]
    count, moved = len(seen.rest) + len(seen.grpc), result["moved"]
    yield f"{count} requests ({len(seen.rest)} REST, {len(seen.grpc)} gRPC): {len(seen.failures)} failed"
    yield f"evictions {moved['evicted']}, returns {moved['loaded']}"
    for protocol, latencies in (("REST", seen.rest), ("gRPC", seen.grpc)):
        quick = statistics.quantiles(latencies, n=100)
        yield (
            f"{protocol}: median {1e3 * quick[49]:.0f} ms, p90 {1e3 * quick[89]:.0f} ms, "
            f"p99 {1e3 * quick[98]:.0f} ms, worst {1e3 * max(latencies):.0f} ms"
        )
    for protocol, each in result["compared"].items():
        yield (
            f"{protocol}, in memory, p50: {each[CROWDED]:.3f} ms with overcommit, {each[ROOMY]:.3f} without; "
            f"ratio {each['ratio']:.3f}"
        )
    yield f"first failures: {seen.failures[:3]}"
    yield f"load average: {os.getloadavg()}"


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks overcommit", description=__doc__)
    parser.add_argument("--models", type=int, default=30, help="on a server with memory for a third of them")
    parser.add_argument("--seconds", type=float, default=60.0, help="of random requests")
    parser.add_argument("--pairs", type=int, default=5000, help="requests to each, in turn, for its p50")
    options = parser.parse_args(arguments)
    with laptop(training=("-c", TRAIN, str(options.models))) as running:
        result = asyncio.run(measure(running, options))
    print("\n".join(told(result)), flush=True)
    if result["seen"].failures:
        raise SystemExit("a request was not answered, or not by its model")
