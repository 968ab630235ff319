"""How does the scheduler grow: first placement of all models, one more, a lost server, memory.

The real scheduler process (API informers, agents' gRPC, status writes, encoding for Envoy) against the
embedded API and simulated replicas, each in a process of its own: 100 models for each server of four
replicas. And `place()` alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import psutil
import structlog
from tests.support.agents import TOKEN
from tests.support.api import running_api
from tests.support.simulator import SimulatedReplica

from bailie.api.kinds import MODEL, SERVER
from bailie.gateway.resources import Encoder
from bailie.kube.client import Client
from bailie.kube.informer import Informer
from bailie.placement import Demand, Replica, Server, Snapshot, VersionId, place
from bailie.scheduler.run import run
from bailie.scheduler.settings import SchedulerSettings
from benchmarks.processes import ask, spawned
from benchmarks.stack import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from multiprocessing.connection import Connection

    from bailie.routing.table import RoutingTable

NAMESPACE = "bench"
REPLICAS = 4
MODELS_PER_SERVER = 100
MIB = 2**20
GIB = 2**30


class Heartbeat:
    """The longest time for which the event loop did not come round."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def run(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            self.worst = max(self.worst, time.monotonic() - before - 0.005)

    def take(self) -> float:
        worst, self.worst = self.worst, 0.0
        return worst


class EncodingPublisher:
    """Encodes tables as for an Envoy, the newest each time, and has them taken over at once."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        self._callbacks: list[Callable[[int], None]] = []
        self._table: RoutingTable | None = None
        self._revision = 0
        self._some = asyncio.Event()
        self.acknowledged = 0

    def publish(self, table: RoutingTable) -> int:
        self._table, self._revision = table, self._revision + 1
        self._some.set()
        return self._revision

    async def run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            if self._table is not None:
                revision = self._revision
                for _ in self._encoder.work(self._table, revision):
                    await asyncio.sleep(0)
                self.acknowledged = revision
            for callback in self._callbacks:
                callback(self.acknowledged)

    def on_acknowledged(self, callback: Callable[[int], None]) -> None:
        self._callbacks.append(callback)

    def on_used(self, callback: Callable[[Collection[str]], None]) -> None:
        """Nobody asks for anything here."""


def api_process(folder: Path, pipe: Connection) -> None:
    """Runs the embedded API until the pipe says something; tells where its kubeconfig is."""
    with running_api(folder) as api:
        api.namespace(NAMESPACE)
        pipe.send(str(api.kubeconfig))
        pipe.recv()


def scheduler_process(kubeconfig: str, token: Path, port: int, pipe: Connection) -> None:
    """Runs a scheduler; answers each message with the longest time that its loop was held since the last."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=token.with_suffix(".log").open("w")))

    async def main() -> None:
        heartbeat = Heartbeat()
        settings = SchedulerSettings(
            namespace=NAMESPACE,
            pod_name="seldon-scheduler-0",
            address="127.0.0.1",
            token_file=token,
            log_level="info",
            agent_port=port,
            http_port=free_port(),
        )
        client = Client.from_kubeconfig(Path(kubeconfig))
        loop = asyncio.get_running_loop()

        def answer() -> None:
            pipe.recv()
            pipe.send(heartbeat.take())

        loop.add_reader(pipe.fileno(), answer)
        async with asyncio.TaskGroup() as group:
            group.create_task(heartbeat.run())
            group.create_task(run(settings, client, data_plane))

    @asynccontextmanager
    async def data_plane(_leads: object) -> Any:
        publisher = EncodingPublisher()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(publisher.run())
            try:
                yield publisher
            finally:
                task.cancel()

    asyncio.run(main())


class TimedReplica(SimulatedReplica):
    """Notes when each load command came."""

    def __init__(self, *args: Any, times: dict[str, list[float]], **fields: Any) -> None:
        super().__init__(*args, **fields)
        self._times = times

    async def _load(self, load: Any) -> None:
        self._times.setdefault(load.version.name, []).append(time.monotonic())
        await super()._load(load)


def fleet_process(port: int, servers: int, pipe: Connection) -> None:
    """Runs all replicas. `times` asks when models were last commanded, `lose` ends a server."""

    async def main() -> None:
        times: dict[str, list[float]] = {}
        fields: dict[str, Any] = {"memory": 64 * GIB, "namespace": NAMESPACE, "times": times}
        replicas = [
            TimedReplica(port, server_name(number), index, **fields)
            for number in range(servers)
            for index in range(REPLICAS)
        ]
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


def manifest(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Returns an object of ours in the benchmark's namespace."""
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def model(name: str) -> dict[str, Any]:
    """Returns a Model of 100 MiB."""
    return manifest("Model", name, {"storageUri": "/m", "memory": "100Mi", "requirements": ["sklearn"]})


async def create(client: Client, objects: Sequence[dict[str, Any]]) -> None:
    """Creates objects, eight at a time."""
    todo = iter(objects)

    async def work() -> None:
        for each in todo:
            await client.create(each)

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(work())


async def commanded(pipe: Connection, names: set[str], since: float, seconds: float = 300.0) -> float:
    """Waits until every model had a load command after `since`; returns the seconds to the last
    of these; that a command is repeated does not count."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        times = ask(pipe, "times")
        first = [min((at for at in times.get(name, ()) if at > since), default=None) for name in names]
        found = [at for at in first if at is not None]
        if len(found) == len(names):
            return max(found, default=since) - since
        await asyncio.sleep(0.05)
    raise TimeoutError(f"not all of {len(names)} models were commanded within {seconds:.0f} s")


async def quiet(client: Client, count: int, seconds: float = 600.0) -> None:
    """Waits until so many models are ready; watches, for a list of thousands holds the API up."""
    informer = Informer(client, MODEL, NAMESPACE)
    async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
        task = group.create_task(informer.run())
        while sum(_answers(each) for each in informer.store.values()) < count:  # noqa: ASYNC110
            await asyncio.sleep(1.0)
        task.cancel()


def _answers(manifest: dict[str, Any]) -> bool:
    return int((manifest.get("status") or {}).get("availableReplicas", 0)) > 0


async def one_more(client: Client, pipe: Connection, count: int) -> list[float]:
    """Returns the seconds from apply to load command, model by model."""
    found = []
    for number in range(count):
        name = f"more-{number}"
        started = time.monotonic()
        await client.create(model(name))
        found.append(await commanded_quickly(pipe, name, started))
        await asyncio.sleep(0.05)
    return found


async def commanded_quickly(pipe: Connection, name: str, started: float) -> float:
    """As `commanded` for one model, without asking so often that it disturbs."""
    await asyncio.sleep(0.2)
    return await commanded(pipe, {name}, started)


def place_alone(models: int) -> float:
    """Returns the seconds of one `place()` from nothing."""
    capabilities = frozenset({"sklearn"})
    replicas = tuple(Replica(index=index, memory_bytes=64 * GIB) for index in range(REPLICAS))
    servers = tuple(
        Server(name=server_name(n), capabilities=capabilities, replicas=replicas, wanted_replicas=REPLICAS)
        for n in range(max(1, models // MODELS_PER_SERVER))
    )
    demands = tuple(
        Demand(version=VersionId(f"model-{n}", "x"), requirements=("sklearn",), memory_bytes=100 * MIB)
        for n in range(models)
    )
    started = time.monotonic()
    place(Snapshot(demands=demands, servers=servers))
    return time.monotonic() - started


class Figures(dict[str, float]):
    """Says each figure as it comes."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def __setitem__(self, name: str, value: float) -> None:
        super().__setitem__(name, value)
        self._say(f"{name}: {value:.3f}")


async def measure(models: int, more: int, say: Callable[[str], None]) -> dict[str, float]:
    """Runs everything at one size and returns the figures."""
    servers, port = max(1, models // MODELS_PER_SERVER), free_port()
    figures = Figures(say)
    figures["place() alone, s"] = place_alone(models)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        token = folder / "token"
        token.write_text(TOKEN)
        api, _ = stack.enter_context(spawned(api_process, folder))
        kubeconfig = api.recv()
        client = Client.from_kubeconfig(Path(kubeconfig))
        names = {f"model-{number}" for number in range(models)}
        spec = {"serverConfig": "mlserver", "replicas": REPLICAS}
        started = time.monotonic()
        await create(client, [manifest("Server", server_name(n), spec) for n in range(servers)])
        for number in range(servers):
            running_now = {"status": {"selector": "", "loadedModels": 0, "replicas": REPLICAS}}
            await client.patch(SERVER, server_name(number), NAMESPACE, running_now, subresource="status")
        await create(client, [model(name) for name in sorted(names)])
        figures["applying all, s"] = time.monotonic() - started
        fleet, _ = stack.enter_context(spawned(fleet_process, port, servers))
        ask(fleet, "times")
        started = time.monotonic()
        held, pid = stack.enter_context(spawned(scheduler_process, kubeconfig, token, port))
        running = psutil.Process(pid)
        figures["start to last load command, s"] = await commanded(fleet, names, started)
        figures["loop held at most while placing all, s"] = ask(held)
        await quiet(client, models)
        figures["start to last status Ready, s"] = time.monotonic() - started
        figures["loop held at most while writing statuses, s"] = ask(held)
        times = await one_more(client, fleet, more)
        figures["one more to load command, p50 ms"] = statistics.median(times) * 1000
        figures["one more to load command, p99 ms"] = sorted(times)[int(len(times) * 0.99)] * 1000
        figures["one more to load command, worst ms"] = max(times) * 1000
        figures["loop held at most while adding, s"] = ask(held)
        lost_at = time.monotonic()
        lost = ask(fleet, "lose", server_name(0))
        figures["server lost to last load command, s"] = await commanded(fleet, lost, lost_at)
        figures["models on the lost server"] = len(lost)
        figures["loop held at most while moving, s"] = ask(held)
        figures["scheduler RSS, MiB"] = running.memory_info().rss / MIB
        await client.aclose()
    return figures


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scheduler", description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[1000, 10000], help="sizes to measure")
    parser.add_argument("--more", type=int, default=100, help="models that are timed from apply to command")
    parser.add_argument("--json", type=Path, help="write the results here too")
    options = parser.parse_args(arguments)
    results = {}
    for models in options.models:
        print(f"-- {models} models", flush=True)
        results[models] = asyncio.run(measure(models, options.more, lambda line: print(line, flush=True)))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
