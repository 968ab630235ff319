"""How does the operator grow with its namespaces: memory, time to reconcile, requests to the API at rest?

The real operator process with the rights of a scoped installation, against the embedded API in a process of
its own, with a SeldonRuntime and a Server in each namespace. Workloads are simulated: StatefulSets and
Deployments are reported ready as soon as they are seen. Namespaces are added live, so it is one operator
throughout.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from tests.support import plain_http
from tests.support.api import running_api
from tests.support.controllers import cluster_controllers
from tests.support.manifests import manifest_of
from tests.support.operators import Audit, grant, install, operator, own_address, put_list, user_of

from bailie.api.kinds import SELDON_RUNTIME, SERVER
from bailie.kube.client import Client
from bailie.local.readiness import condition
from benchmarks.laptop import seconds_until
from benchmarks.processes import ask, spawned
from benchmarks.results import add_json, keep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

HOME = "platform"
ADDRESS = own_address()
MIB = 2**20


def serve_api(folder: Path, pipe: Connection) -> None:
    """The embedded API with its audit log; its kubeconfigs are asked for through the pipe."""
    with running_api(folder, audit_log=folder / "audit.jsonl") as api:
        pipe.send(str(api.kubeconfig))
        while True:
            account, path = pipe.recv()
            token = api.service_account_token(*account.split("/"))
            pipe.send(str(api.kubeconfig_for(token, Path(path))))


def serve_controllers(kubeconfig: str, pipe: Connection) -> None:
    """What makes workloads ready."""

    async def run() -> None:
        async with Client.from_kubeconfig(kubeconfig) as client, cluster_controllers(client):
            pipe.send("ready")
            await asyncio.Event().wait()

    asyncio.run(run())


class RemoteApi:
    """What `tests.support.operators` needs to know of an API in another process."""

    def __init__(self, kubeconfig: Path, pipe: Connection) -> None:
        self.kubeconfig = kubeconfig
        self._pipe = pipe

    def service_account_token(self, namespace: str, name: str) -> str:
        """Returns what `kubeconfig_for` takes."""
        return f"{namespace}/{name}"

    def kubeconfig_for(self, token: str, path: Path) -> Path:
        """Writes a kubeconfig of the service account."""
        return Path(ask(self._pipe, token, str(path)))


async def provision(client: Client, namespaces: Sequence[str]) -> None:
    """Makes a runtime and a server in each."""
    for namespace in namespaces:
        for kind, name, spec in (
            ("SeldonRuntime", "seldon", {"seldonConfig": "default"}),
            ("Server", "mlserver", {"serverConfig": "mlserver"}),
        ):
            manifest = manifest_of(kind, name, spec, namespace)
            del manifest["metadata"]["uid"]
            await client.create(manifest)


async def all_ready(client: Client, namespaces: Sequence[str]) -> bool:
    """Says whether every runtime and server is."""
    for kind in (SELDON_RUNTIME, SERVER):
        for item in (await client.list(kind)).items:
            wanted = item["metadata"]["namespace"] in namespaces
            if wanted and condition(item, "Ready")["status"] != "True":
                return False
    return True


async def reconcile(client: Client, namespace: str, number: int) -> float:
    """Scales a Server; returns the seconds until its workload is scaled and its status says so."""
    replicas = 1 + number % 2
    changed = await client.patch(SERVER, "mlserver", namespace, {"spec": {"replicas": replicas}})
    generation = changed["metadata"]["generation"]
    started = time.monotonic()
    while True:
        server = await client.get(SERVER, "mlserver", namespace)
        status = server.get("status") or {}
        done = status.get("observedGeneration") == generation and status.get("replicas") == replicas
        if done and condition(server, "Ready")["status"] == "True":
            return time.monotonic() - started
        await asyncio.sleep(0.005)


async def own_seconds() -> tuple[float, float]:
    """Returns how long the operator's own reconciliations took in all, and how many they were."""
    async with plain_http.async_client() as http:
        text = (await http.get(f"http://{ADDRESS}:9006/metrics")).text
    values = {"sum": 0.0, "count": 0.0}
    for line in text.splitlines():
        for field in values:
            if line.startswith(f'bailie_reconcile_seconds_{field}{{controller="servers"}}'):
                values[field] = float(line.rpartition(" ")[2])
    return values["sum"], values["count"]


async def figures_of(
    client: Client,
    process: psutil.Process,
    namespaces: Sequence[str],
    *,
    options: argparse.Namespace,
    audit: Audit,
) -> dict[str, Any]:
    """Measures at rest and under change."""
    await asyncio.sleep(2)
    before, cpu = len(_requests(audit)), sum(process.cpu_times()[:2])
    await asyncio.sleep(options.rest)
    requests, spent = len(_requests(audit)) - before, sum(process.cpu_times()[:2]) - cpu
    seconds, count = await own_seconds()
    taken = [
        await reconcile(client, namespaces[number % len(namespaces)], number // len(namespaces) + 1)
        for number in range(options.samples)
    ]
    after, total = await own_seconds()
    return {
        "namespaces": len(namespaces),
        "RSS, MiB": process.memory_info().rss / MIB,
        "reconciled, median s": statistics.median(taken),
        "reconciled, 95 % s": sorted(taken)[int(len(taken) * 0.95)],
        "own time, s": (after - seconds) / max(total - count, 1),
        "requests at rest, 1/s": requests / options.rest,
        "CPU at rest, %": 100 * spent / options.rest,
    }


def _requests(audit: Audit) -> list[dict[str, Any]]:
    return [line for line in audit.lines() if line["user"] == user_of(HOME)]


async def measure(api: RemoteApi, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Grows the scope of one operator."""
    audit = Audit(folder / "audit.jsonl")
    found = []
    await install(api, HOME, [])
    with operator(api, HOME, folder, address=ADDRESS) as started:
        process = psutil.Process(started.pid)
        async with Client.from_kubeconfig(api.kubeconfig) as client:
            for before, size in pairwise([0, *options.sizes]):
                names = [f"team-{number}" for number in range(size)]
                took = await grow(api, client, names, before)
                measured = await figures_of(client, process, names, options=options, audit=audit)
                found.append({**measured, "added": size - before, "served and ready after, s": took})
    return found


async def grow(api: RemoteApi, client: Client, names: Sequence[str], before: int) -> float:
    """Adds the namespaces after the first `before`; returns the seconds until what is in them is ready."""
    await grant(api, HOME, names[before:])
    await provision(client, names[before:])
    await put_list(client, HOME, names)
    return await seconds_until(lambda: all_ready(client, names), f"{len(names)} namespaces ready", 300)


@contextmanager
def surroundings(folder: Path) -> Iterator[RemoteApi]:
    """Runs the API and the controllers."""
    with spawned(serve_api, folder) as (pipe, _):
        kubeconfig = pipe.recv()
        with spawned(serve_controllers, kubeconfig) as (controllers, _):
            controllers.recv()
            yield RemoteApi(Path(kubeconfig), pipe)


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks operator", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 10, 50], help="numbers of namespaces")
    parser.add_argument("--samples", type=int, default=100, help="reconciliations measured at each size")
    parser.add_argument("--rest", type=float, default=20.0, help="seconds at rest")
    add_json(parser)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name, surroundings(Path(name)) as api:
        found = asyncio.run(measure(api, Path(name), options))
    for figures in found:
        print(", ".join(f"{key} {_shown(value)}" for key, value in figures.items()), flush=True)
    print(f"load average: {os.getloadavg()}")
    keep(options, found)


def _shown(value: float) -> str:
    return f"{value:.3f}" if isinstance(value, float) and value < 10 else f"{value:.0f}"
