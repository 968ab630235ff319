"""Server pods that end under load: does a request fail?

`bailie up` with a Server of three replicas and models of one replica whose load takes 3 s, in which MLServer
answers nobody. While 200 requests a second ask for them over REST and 50 over gRPC, the Server is scaled from
three replicas to one and back, a pod is deleted, one is deleted with a grace period as by the drain of a
node, and the Server's pods are replaced by a change of its template. Then, with models of two replicas on a
Server of two, and beside processes that take all they can get, one pod after the other ends. Nothing may
fail. Ends everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL, POD, SERVER
from bailie.kube.client import Client
from bailie.kube.errors import NotFound
from bailie.local.explanation import explanation
from bailie.local.readiness import condition, is_current
from bailie.workloads.replicas import is_ready
from benchmarks.laptop import NAMESPACE, Laptop, laptop, until
from benchmarks.processes import spawned
from benchmarks.results import add_json, keep
from benchmarks.witnesses import Task, witnesses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from benchmarks.witnesses import Witnesses

SERVER_NAME = "mlserver"
PATIENCE = 300.0
CONNECTIONS = 5
"""For each model, over REST."""
AFTER_SECONDS = 2.0
"""How long callers are watched after a change."""
MAKE = """
import json, sys
from pathlib import Path
folder = Path(sys.argv[1]) / "slow"
folder.mkdir(parents=True)
(folder / "model-settings.json").write_text(json.dumps({"name": "slow", "implementation": "slow.Slow"}))
(folder / "slow.py").write_text('''
import time
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput
class Slow(MLModel):
    async def load(self):
        time.sleep(SECONDS)
        return True
    async def predict(self, payload):
        output = ResponseOutput(name="y", shape=[1], datatype="INT64", data=[7])
        return InferenceResponse(model_name=self.name, outputs=[output])
'''.replace("SECONDS", "%s"))
"""
ANSWER = (7,)
REQUEST = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of one way to end pods."""

    way: str
    seconds: float
    answers: int
    slowest_seconds: float
    failures: list[str]


class Servers:
    """The Server under test, its pods and its models."""

    def __init__(self, client: Client, models: Path) -> None:
        self._client, self._models = client, models

    async def models(self, names: Sequence[str], replicas: int) -> None:
        """Applies Models and waits until all their replicas answer."""
        for name in names:
            spec = {
                "storageUri": str(self._models / "slow"),
                "requirements": ["mlserver"],
                "memory": "10Mi",
                "replicas": replicas,
            }
            metadata = {"name": name, "namespace": NAMESPACE}
            body = {"apiVersion": MODEL.api_version, "kind": MODEL.kind, "metadata": metadata, "spec": spec}
            await self._client.apply(body, field_manager="drain", force=True)
        for name in names:
            await until(partial(self.is_whole, name, replicas), f"{name} whole", PATIENCE)

    async def is_whole(self, name: str, replicas: int) -> bool:
        """Whether all replicas of a model answer."""
        model = await self._client.get(MODEL, name, NAMESPACE)
        ready = condition(model, "Ready")["status"] == "True" and is_current(model)
        return bool(ready and model["status"]["availableReplicas"] == replicas)

    async def change(self, spec: dict[str, Any], pods: int) -> None:
        """Patches the Server and waits until it has so many pods, all of them ready and none leaving."""
        await self._client.patch(SERVER, SERVER_NAME, NAMESPACE, {"spec": spec})
        await self.whole(pods)

    async def whole(self, pods: int) -> None:
        """Waits until the Server is as it is wanted, for a moment longer than a change takes to be seen."""

        async def look() -> bool:
            found = await self._pods()
            server = await self._client.get(SERVER, SERVER_NAME, NAMESPACE)
            settled = condition(server, "Ready")["status"] == "True" and is_current(server)
            return settled and len(found) == pods and all(map(is_ready, found))

        await until(look, f"{pods} pods of {SERVER_NAME} ready", PATIENCE)

    async def _pods(self) -> list[dict[str, Any]]:
        found = (await self._client.list(POD, NAMESPACE, labels=f"seldon-server-name={SERVER_NAME}")).items
        return list(found)

    async def busiest(self, models: Sequence[str]) -> str:
        """Returns the pod that answers for most of the models."""
        held: dict[str, int] = {}
        for name in models:
            for each in (await explanation(self._client, NAMESPACE, name))["detail"].get("standings", []):
                held[each["replica"]] = held.get(each["replica"], 0) + (each["state"] == "Loaded")
        return max(sorted(held), key=lambda name: held[name])

    async def end(self, pod: str, grace: int | None = None) -> None:
        """Deletes a pod and waits until another one of its name is ready.

        `grace`: in so many seconds, as who evicts it may say.
        """
        before = (await self._client.get(POD, pod, NAMESPACE))["metadata"]["uid"]
        await self._client.delete(POD, pod, NAMESPACE, grace_seconds=grace)

        async def another() -> bool:
            try:
                found = await self._client.get(POD, pod, NAMESPACE)
            except NotFound:
                return False
            return bool(found["metadata"]["uid"] != before and is_ready(found))

        await until(another, f"another {pod}", PATIENCE)


class Load:
    """The requests that go on meanwhile."""

    def __init__(self, seen: Sequence[Witnesses]) -> None:
        self._seen = seen

    async def begin(self) -> None:
        """Waits until each model has been answered; these first requests are not counted."""
        silent = set(range(len(self._seen)))

        async def answered() -> bool:
            silent.difference_update(
                number for number in tuple(silent) if any(note.seen for note in self._seen[number].take())
            )
            return not silent

        await until(answered, "an answer of each model")

    async def during(self, way: str, work: Awaitable[None]) -> Ended:
        """Returns what callers saw while something was done, and for a moment after it."""
        started = time.monotonic()
        await work
        seconds = time.monotonic() - started
        await asyncio.sleep(AFTER_SECONDS)
        notes = [note for each in self._seen for note in each.take()]
        answers = [each for note in notes for each in note.seen]
        wrong = [f"answered {each.outputs}" for each in answers if each.outputs != ANSWER]
        ended = Ended(
            way=way,
            seconds=seconds,
            answers=len(answers),
            slowest_seconds=max(each.answered - each.sent for each in answers),
            failures=[*wrong, *(failure for note in notes for failure in note.failures)],
        )
        print(told(ended), flush=True)
        return ended


@contextmanager
def load(where: dict[str, str], names: Sequence[str], rate: float, grpc_rate: float) -> Iterator[Load]:
    """Asks for all of the models, each of them as often as the others."""
    with ExitStack() as stack:
        seen = [
            stack.enter_context(
                witnesses(
                    Task(
                        http=where["http"],
                        grpc=where["grpc"],
                        model=name,
                        request=REQUEST,
                        rest_connections=CONNECTIONS,
                        rest_per_second=rate / len(names),
                        grpc_connections=2,
                        grpc_per_second=grpc_rate / len(names),
                    )
                )
            )
            for name in names
        ]
        yield Load(seen)


@contextmanager
def hogs(count: int) -> Iterator[None]:
    """Processes that take all the time that they can get."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(spawned(_hog))
        yield


def _hog(_: Connection) -> None:
    while True:
        pass


async def one_replica(servers: Servers, where: dict[str, str], options: argparse.Namespace) -> list[Ended]:
    """Every way in which pods end, while each model is on one replica."""
    names = [f"slow-{number}" for number in range(options.models)]
    await servers.change({"replicas": 3}, 3)
    await servers.models(names, 1)
    variable = {"name": "BAILIE_BENCHMARK", "value": str(time.time_ns())}
    template = {"podSpec": {"containers": [{"name": "mlserver", "env": [variable]}]}}
    ways: dict[str, Callable[[], Awaitable[None]]] = {
        "scaled from 3 to 1": lambda: servers.change({"replicas": 1}, 1),
        "scaled from 1 to 3": lambda: servers.change({"replicas": 3}, 3),
        "pod deleted": lambda: _end_busiest(servers, names),
        "pod evicted": lambda: _end_busiest(servers, names, grace=90),
        "template changed": lambda: servers.change(template, 3),
    }
    with load(where, names, options.rate, options.grpc_rate) as asking:
        await asking.begin()
        return [await asking.during(way, work()) for way, work in ways.items()]


async def _end_busiest(servers: Servers, names: Sequence[str], grace: int | None = None) -> None:
    await servers.end(await servers.busiest(names), grace)


async def two_replicas(servers: Servers, where: dict[str, str], options: argparse.Namespace) -> list[Ended]:
    """One pod of two after the other, on a machine that has no time."""
    names = [f"twice-{number}" for number in range(options.models)]
    await servers.change({"replicas": 2}, 2)
    await servers.models(names, 2)
    found = []
    with load(where, names, options.rate, options.grpc_rate) as asking, hogs(options.hogs):
        await asking.begin()
        for number in range(options.ends):
            pod = f"{SERVER_NAME}-{number % 2}"
            found.append(await asking.during(f"{pod} of two, {number + 1}", servers.end(pod)))
            for name in names:
                await until(partial(servers.is_whole, name, 2), f"{name} whole", PATIENCE)
    return found


def told(ended: Ended) -> str:
    """Returns one line."""
    failed = len(ended.failures)
    text = f"{ended.way}: {failed} requests failed of {failed + ended.answers}"
    text += f"; {ended.seconds:.1f} s; slowest answer {ended.slowest_seconds:.2f} s"
    return f"{text}; first failures: {ended.failures[:3]}" if failed else text


async def measure(laptop: Laptop, options: argparse.Namespace) -> list[Ended]:
    """Returns what came of each way."""
    async with Client.from_kubeconfig(laptop.kubeconfig) as client:
        servers, where = Servers(client, laptop.models), laptop.inference()
        found = await one_replica(servers, where, options) if options.ways else []
        return [*found, *(await two_replicas(servers, where, options) if options.ends else [])]


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks drain", description=__doc__)
    parser.add_argument("--models", type=int, default=4, help="models that are asked for")
    parser.add_argument("--load-seconds", type=float, default=3.0, help="how long the load of one takes")
    parser.add_argument("--rate", type=float, default=200.0, help="REST requests per second, all together")
    parser.add_argument("--grpc-rate", type=float, default=50.0, help="gRPC requests per second")
    parser.add_argument("--no-ways", dest="ways", action="store_false", help="only ends of one of two")
    parser.add_argument("--ends", type=int, default=20, help="ends of one of two replicas")
    parser.add_argument("--hogs", type=int, default=10, help="processes beside these ends")
    add_json(parser)
    options = parser.parse_args(arguments)
    with laptop(training=("-c", MAKE % options.load_seconds)) as running:
        found = asyncio.run(measure(running, options))
    failed, answers = sum(len(each.failures) for each in found), sum(each.answers for each in found)
    print(f"all: {failed} requests failed of {failed + answers}; load average: {os.getloadavg()}", flush=True)
    keep(options, [asdict(each) for each in found])
    if failed:
        raise SystemExit("a request failed")
