"""How does the scheduler grow: first placement of all models, one more, a lost server, memory.

The real scheduler process (API informers, agents' gRPC, status writes, encoding for Envoy) against the
embedded API and simulated replicas, each in a process of its own: 100 models for each server of four
replicas. And `place()` alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import tempfile
import time
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import structlog
from tests.support.agents import TOKEN
from tests.support.api import running_api
from tests.support.ports import free_port

from bailie.api.kinds import MODEL, SERVER
from bailie.gateway.resources import Encoder
from bailie.kube.client import Client
from bailie.kube.informer import Informer
from bailie.placement import Demand, Replica, Server, Snapshot, VersionId, place
from bailie.scheduler.run import run
from bailie.scheduler.settings import SchedulerSettings
from benchmarks.fleet import GIB, NAMESPACE, REPLICAS, fleet_process, server_name
from benchmarks.processes import ask, spawned
from benchmarks.results import add_json, keep
from benchmarks.stack import answers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from multiprocessing.connection import Connection

    from bailie.kube.tenants import Tenants
    from bailie.routing.requests import RecentRequests, RequestOutcomes, RequestTotals
    from bailie.routing.table import Asleep, Publisher, RoutingTable

MODELS_PER_SERVER = 100
CENTRAL = "central"
"""Namespace of a scheduler that may serve the benchmark's, too."""
MIB = 2**20


SETTLED_SECONDS = 10.0
"""After a failover, until what the new leader writes is counted."""


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
        self.whole = True
        self.refusal = ""
        self.kept: frozenset[Asleep] = frozenset()

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

    def requests(self, models: Iterable[str]) -> Mapping[str, RecentRequests]:  # noqa: ARG002 - no requests
        return {}

    def totals(self, models: Iterable[str]) -> Mapping[str, RequestTotals]:  # noqa: ARG002 - no requests
        return {}

    def outcomes(self, routes: Collection[str]) -> Mapping[str, Mapping[str, RequestOutcomes]]:  # noqa: ARG002
        return {}


def api_process(folder: Path, pipe: Connection) -> None:
    """Runs the embedded API until the pipe says something; tells where its kubeconfig is."""
    with running_api(folder) as api:
        for name in (NAMESPACE, CENTRAL):
            api.namespace(name)
        pipe.send(str(api.kubeconfig))
        pipe.recv()


@dataclass(frozen=True)
class Ports:
    """Where one scheduler listens."""

    number: int
    agents: int
    health: int
    namespace: str = NAMESPACE

    @property
    def pod(self) -> str:
        """The scheduler's name."""
        return f"seldon-scheduler-{self.number}"


def scheduler_process(kubeconfig: str, token: Path, ports: Ports, pipe: Connection) -> None:
    """Runs a scheduler; answers each message with the longest time that its loop was held since the last."""
    log = (token.parent / f"{ports.pod}.log").open("w")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=log))

    async def main() -> None:
        heartbeat = Heartbeat()
        settings = SchedulerSettings(
            namespace=ports.namespace,
            pod_name=ports.pod,
            address="127.0.0.1",
            token_file=token,
            log_level="info",
            agent_port=ports.agents,
            http_port=ports.health,
        )
        client = Client.from_kubeconfig(Path(kubeconfig))
        loop = asyncio.get_running_loop()

        def answer() -> None:
            pipe.recv()
            pipe.send(heartbeat.take())

        loop.add_reader(pipe.fileno(), answer)
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(heartbeat.run())
            scheduler = group.create_task(run(settings, client, data_plane, data_plane))
            loop.add_signal_handler(signal.SIGTERM, scheduler.cancel)
            with suppress(asyncio.CancelledError):
                await scheduler
            beating.cancel()

    @asynccontextmanager
    async def data_plane(_: Tenants | str, _leads: Callable[[], bool]) -> AsyncIterator[Publisher]:
        publisher = EncodingPublisher()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(publisher.run())
            try:
                yield publisher
            finally:
                task.cancel()

    asyncio.run(main())


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


@dataclass
class Bench:
    """Everything of one size: the API with all objects, the replicas, and room for two schedulers."""

    client: Client
    fleet: Connection
    kubeconfig: str
    folder: Path
    ports: tuple[Ports, Ports]
    figures: Figures

    def scheduler(self, number: int) -> AbstractContextManager[tuple[Connection, int]]:
        """Runs one of the schedulers; the value is its pipe and its pid."""
        return spawned(scheduler_process, self.kubeconfig, self.folder / "token", self.ports[number])


@asynccontextmanager
async def bench(models: int, figures: Figures) -> AsyncIterator[Bench]:
    """Applies everything; no scheduler runs yet."""
    servers = max(1, models // MODELS_PER_SERVER)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "token").write_text(TOKEN)
        api, _ = stack.enter_context(spawned(api_process, folder))
        kubeconfig = api.recv()
        first, second = (Ports(number, free_port(), free_port()) for number in range(2))
        async with Client.from_kubeconfig(Path(kubeconfig)) as client:
            started = time.monotonic()
            await apply(client, models, servers)
            figures["applying all, s"] = time.monotonic() - started
            dialled = (first.agents, second.agents)
            fleet, _ = stack.enter_context(spawned(fleet_process, dialled, servers))
            ask(fleet, "times")
            yield Bench(client, fleet, kubeconfig, folder, (first, second), figures)


async def apply(client: Client, models: int, servers: int) -> None:
    """Creates Servers and Models."""
    spec = {"serverConfig": "mlserver", "replicas": REPLICAS}
    await create(client, [manifest("Server", server_name(number), spec) for number in range(servers)])
    for number in range(servers):
        running_now = {"status": {"selector": "", "loadedModels": 0, "replicas": REPLICAS}}
        await client.patch(SERVER, server_name(number), NAMESPACE, running_now, subresource="status")
    await create(client, [model(name) for name in sorted(_names(models))])


def _names(models: int) -> set[str]:
    return {f"model-{number}" for number in range(models)}


async def measure(models: int, more: int, say: Callable[[str], None]) -> dict[str, float]:
    """Runs everything at one size and returns the figures."""
    figures = Figures(say)
    figures["place() alone, s"] = place_alone(models)
    async with bench(models, figures) as found:
        started = time.monotonic()
        with found.scheduler(0) as (held, pid):
            await first_placement(found, held, models, started)
            await additions(found, held, more)
            figures["scheduler RSS, MiB"] = psutil.Process(pid).memory_info().rss / MIB
            await failover(found, pid)
    figures["load average"] = os.getloadavg()[0]
    return figures


async def first_placement(found: Bench, held: Connection, models: int, started: float) -> None:
    """From the start of the process until every Model is ready."""
    figures = found.figures
    figures["start to last load command, s"] = await commanded(found.fleet, _names(models), started)
    figures["loop held at most while placing all, s"] = ask(held)
    await quiet(found.client, models)
    figures["start to last status Ready, s"] = time.monotonic() - started
    figures["loop held at most while writing statuses, s"] = ask(held)


async def additions(found: Bench, held: Connection, more: int) -> None:
    """One more Model, again and again."""
    figures = found.figures
    times = await one_more(found.client, found.fleet, more)
    figures["one more to load command, p50 ms"] = statistics.median(times) * 1000
    figures["one more to load command, p99 ms"] = sorted(times)[int(len(times) * 0.99)] * 1000
    figures["one more to load command, worst ms"] = max(times) * 1000
    figures["loop held at most while adding, s"] = ask(held)


async def loss_of_a_server(found: Bench, held: Connection) -> None:
    """All replicas of a server go at once."""
    lost_at = time.monotonic()
    lost = ask(found.fleet, "lose", server_name(0))
    found.figures["server lost to last load command, s"] = await commanded(found.fleet, lost, lost_at)
    found.figures["models on the lost server"] = len(lost)
    found.figures["loop held at most while moving, s"] = ask(held)


async def failover(found: Bench, leader: int) -> None:
    """The leader is killed while a standby runs; a Model is applied at that moment. Then a server goes."""
    figures = found.figures
    with found.scheduler(1) as (held, pid):
        ready = f"http://127.0.0.1:{found.ports[1].health}/ready"
        await answers(ready, found.folder / f"{found.ports[1].pod}.log")
        before = await _versions(found.client)
        ask(held)
        os.kill(leader, signal.SIGKILL)
        killed = time.monotonic()
        await found.client.create(model("after-the-kill"))
        figures["leader killed to next load command, s"] = await commanded(
            found.fleet, {"after-the-kill"}, killed
        )
        await quiet(found.client, len(before) + 1)
        figures["leader killed to that model Ready, s"] = time.monotonic() - killed
        await asyncio.sleep(SETTLED_SECONDS)
        figures["loop held at most while taking over, s"] = ask(held)
        after, times = await _versions(found.client), ask(found.fleet, "times")
        figures["models written by the new leader"] = sum(after[name] != before[name] for name in before)
        figures["models commanded again"] = sum(max(times.get(name, (0.0,))) > killed for name in before)
        figures["new leader RSS, MiB"] = psutil.Process(pid).memory_info().rss / MIB
        await loss_of_a_server(found, held)


async def _versions(client: Client) -> dict[str, str]:
    listed = await client.list(MODEL, NAMESPACE)
    return {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in listed.items}


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scheduler", description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[1000, 10000], help="sizes to measure")
    parser.add_argument("--more", type=int, default=100, help="models that are timed from apply to command")
    add_json(parser)
    options = parser.parse_args(arguments)
    results = {}
    for models in options.models:
        print(f"-- {models} models", flush=True)
        results[models] = asyncio.run(measure(models, options.more, lambda line: print(line, flush=True)))
    keep(options, results)
