"""A rolling update under load: does a request fail, and do the answers switch once?

`bailie up` with two servers and one model that gets 200 requests a second over REST and 50 over gRPC, on
connections that note the order of their answers. Again and again the model is replaced by one that answers
differently: on the server where it is, then on the other one. Each connection must see old answers, then new
ones and never an old one again; nothing may fail; and afterwards nothing of the old version may be left on a
server. Ends everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL, SERVER
from bailie.kube.client import Client
from bailie.local.explanation import explanation
from bailie.local.readiness import condition, is_current
from benchmarks.laptop import NAMESPACE, Laptop, laptop, until
from benchmarks.results import add_json, keep
from benchmarks.witnesses import Task, overlap, switched_once, witnesses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.witnesses import Witnesses

NAME = "rolling"
SERVERS = ("mlserver", "mlserver-other")
ANSWERS = {"iris": (0, 1, 2), "reversed": (2, 1, 0)}
"""What each artifact answers to `REQUEST`."""
REQUEST = {
    "inputs": [
        {
            "name": "predict",
            "shape": [3, 4],
            "datatype": "FP64",
            "data": [5.1, 3.5, 1.4, 0.2, 5.0, 2.0, 3.5, 1.0, 6.3, 3.3, 6.0, 2.5],
        }
    ]
}
TRAIN = """
import sys
from pathlib import Path
import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
x, y = load_iris(return_X_y=True)
for name, labels in {"iris": y, "reversed": 2 - y}.items():
    folder = Path(sys.argv[1]) / name
    folder.mkdir(parents=True)
    joblib.dump(LogisticRegression(max_iter=1000).fit(x, labels), folder / "model.joblib")
"""
AFTER_SECONDS = 2.0
"""How long the new version is watched after it is ready."""


@dataclass(frozen=True, slots=True)
class Version:
    """What the Model asks for."""

    artifact: str
    server: str

    @property
    def answer(self) -> tuple[float, ...]:
        """Returns what it answers."""
        return ANSWERS[self.artifact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What came of one update."""

    where: str
    ready_seconds: float
    overlap_seconds: float
    gone_seconds: float
    slowest_seconds: float
    answers: int
    failures: list[str]
    disorder: list[str]


class Rolling:
    """The model under test."""

    def __init__(self, client: Client, models: Path) -> None:
        self._client, self._models = client, models

    async def apply(self, version: Version) -> None:
        """Applies the Model and waits until this generation is ready."""
        manifest = {
            "apiVersion": MODEL.api_version,
            "kind": MODEL.kind,
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {
                "storageUri": str(self._models / version.artifact),
                "requirements": ["sklearn"],
                "memory": "10Mi",
                "server": version.server,
            },
        }
        await self._client.apply(manifest, field_manager="rollout", force=True)

        async def ready() -> bool:
            model = await self._client.get(MODEL, NAME, NAMESPACE)
            return condition(model, "Ready")["status"] == "True" and is_current(model)

        await until(ready, f"{version} ready")

    async def alone(self, version: Version) -> None:
        """Waits until servers have nothing of the model but this version."""

        async def look() -> bool:
            found = (await explanation(self._client, NAMESPACE, NAME))["detail"].get("standings", [])
            return [(each["replica"], each["state"]) for each in found] == [(f"{version.server}-0", "Loaded")]

        await until(look, f"nothing left but {version}")

    async def server(self, name: str) -> None:
        """Adds a Server and waits until it is ready."""
        spec = {"serverConfig": "mlserver", "replicas": 1}
        metadata = {"name": name, "namespace": NAMESPACE}
        body = {"apiVersion": SERVER.api_version, "kind": SERVER.kind, "metadata": metadata, "spec": spec}
        await self._client.create(body)

        async def ready() -> bool:
            found = await self._client.get(SERVER, name, NAMESPACE)
            return bool(condition(found, "Ready")["status"] == "True")

        await until(ready, f"server {name} ready")


async def update(rolling: Rolling, seen: Witnesses, before: Version, after: Version) -> Round:
    """Replaces one version by another under the witnesses' load."""
    await asyncio.sleep(AFTER_SECONDS / 2)
    started = time.monotonic()
    await rolling.apply(after)
    ready = time.monotonic() - started
    await asyncio.sleep(AFTER_SECONDS)
    await rolling.alone(after)
    gone = time.monotonic() - started
    notes = seen.take()
    return Round(
        where="the same server" if before.server == after.server else "another server",
        ready_seconds=ready,
        overlap_seconds=overlap(notes, before.answer, after.answer),
        gone_seconds=gone,
        slowest_seconds=max(each.answered - each.sent for note in notes for each in note.seen),
        answers=sum(len(note.seen) for note in notes),
        failures=[failure for note in notes for failure in note.failures],
        disorder=switched_once(notes, before.answer, after.answer),
    )


def versions() -> Iterator[Version]:
    """The same server, another one, the same, another one, …"""
    artifact, server = 0, 0
    names = tuple(ANSWERS)
    for number in range(sys.maxsize):
        yield Version(names[artifact], SERVERS[server])
        artifact = 1 - artifact
        server = 1 - server if number % 2 else server


async def measure(laptop: Laptop, options: argparse.Namespace) -> tuple[list[Round], float]:
    """Returns what came of each update, and how many answers there were per second."""
    async with Client.from_kubeconfig(laptop.kubeconfig) as client:
        rolling = Rolling(client, laptop.models)
        await rolling.server(SERVERS[1])
        wanted = versions()
        before = next(wanted)
        await rolling.apply(before)
        where = laptop.inference()
        task = Task(
            http=where["http"],
            grpc=where["grpc"],
            model=NAME,
            request=REQUEST,
            rest_per_second=options.rate,
            grpc_per_second=options.grpc_rate,
        )
        rounds = []
        with witnesses(task) as seen:
            await _warm(seen)
            started = time.monotonic()
            for _ in range(2 * options.rounds):
                after = next(wanted)
                rounds.append(await update(rolling, seen, before, after))
                before = after
            spent = time.monotonic() - started
    return rounds, sum(each.answers for each in rounds) / spent


async def _warm(seen: Witnesses) -> None:
    """The first requests open connections; they are not counted."""

    silent = set(range(len(seen.take())))

    async def answered() -> bool:
        silent.difference_update(number for number, each in enumerate(seen.take()) if each.seen)
        return not silent

    await until(answered, "an answer on every connection")


def told(rounds: Sequence[Round], rate: float) -> Iterator[str]:
    """Yields the figures as lines."""
    for where in ("the same server", "another server"):
        of = [each for each in rounds if each.where == where]
        failed, answers = sum(len(each.failures) for each in of), sum(each.answers for each in of)
        yield f"{len(of)} updates to {where}: {failed} requests failed of {failed + answers}"
        for what, values in (
            ("apply to ready, s", [each.ready_seconds for each in of]),
            ("first new answer to last request of the old, s", [each.overlap_seconds for each in of]),
            ("slowest answer, s", [each.slowest_seconds for each in of]),
        ):
            yield f"  {what}: median {statistics.median(values):.3f}, worst {max(values):.3f}"
    disorder = [line for each in rounds for line in each.disorder]
    yield f"connections that did not switch once: {len(disorder)} {disorder[:3]}"
    yield f"first failures: {[failure for each in rounds for failure in each.failures][:3]}"
    yield f"answers per second: {rate:.0f}; load average: {os.getloadavg()}"


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks rollout", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="updates to each: same server, another one")
    parser.add_argument("--rate", type=float, default=200.0, help="REST requests per second")
    parser.add_argument("--grpc-rate", type=float, default=50.0, help="gRPC requests per second")
    add_json(parser)
    options = parser.parse_args(arguments)
    with laptop(training=("-c", TRAIN)) as running:
        rounds, rate = asyncio.run(measure(running, options))
    print("\n".join(told(rounds, rate)), flush=True)
    keep(options, {"per second": rate, "rounds": [_data(each) for each in rounds]})
    if any(each.failures or each.disorder for each in rounds):
        raise SystemExit("a request failed, or an answer came out of order")


def _data(found: Round) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__slots__}
