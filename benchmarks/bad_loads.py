"""Do models that hang or die harm the others of their server?

`bailie up` with one MLServer and 20 models that answer, asked without a pause throughout. Beside them: a
load that sleeps for ten minutes, one that does so without giving the event loop back, four downloads that
hang, a model whose `predict` sleeps for ten minutes, and one that ends the server's process in its load.
Meanwhile small models are applied, each of which should be
ready within two seconds. Ends everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx
from tests.support import plain_http

from bailie.api.kinds import MODEL
from bailie.kube.client import Client
from bailie.local.readiness import condition
from benchmarks.laptop import NAMESPACE, Laptop, laptop, seconds_until, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

PAUSE_SECONDS = 0.01
"""Between two requests."""
SETTLED_SECONDS = 5.0
DEATH_SECONDS = 30.0
"""How long the callers are watched after a model has ended the server."""
HEAD = """
import asyncio, os, time
from mlserver import MLModel
from mlserver.types import InferenceResponse
class Model(MLModel):
    async def predict(self, payload):
        time.sleep(payload.inputs[0].data[0])
        return InferenceResponse(model_name=self.name, outputs=[])
    async def load(self):
        {load}
        return True
"""
LOADS = {
    "good": "pass",
    "awaits": "await asyncio.sleep(600)",
    "sleeps": "time.sleep(600)",
    "exits": "os._exit(3)",
}


def asking(seconds: int) -> dict[str, Any]:
    """Returns a request that keeps its model's thread for so long."""
    return {"inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "data": [seconds]}]}


NONE = asking(0)


@dataclass(slots=True)
class Seen:
    """What the callers of the 20 have seen: failures by the time of their answers, and the longest answer."""

    answers: int = 0
    longest: float = 0.0
    failures: list[tuple[float, str]] = field(default_factory=list)

    def since(self, begun: float) -> tuple[int, float]:
        """Returns how many failed from a moment on, and the seconds between the first and the last."""
        times = [when for when, _ in self.failures if when >= begun]
        return len(times), (max(times) - min(times) if times else 0.0)


class Namespace:
    """The models under test."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client, self._folder = client, folder
        for name, load in LOADS.items():
            (folder / name).mkdir(parents=True)
            (folder / name / "model.py").write_text(HEAD.replace("{load}", load))
        self._numbers = count(1)

    async def add(self, name: str, load: str, uri: str = "") -> None:
        """Applies a Model with such a load, or with an artifact elsewhere."""
        spec = {"storageUri": uri or str(self._folder / load), "requirements": ["python"], "memory": "1Mi"}
        metadata = {"name": name, "namespace": NAMESPACE}
        await self._client.create(
            {"apiVersion": MODEL.api_version, "kind": MODEL.kind, "metadata": metadata, "spec": spec}
        )

    async def condition(self, name: str) -> dict[str, Any]:
        """Returns what its status says of its readiness."""
        return dict(condition(await self._client.get(MODEL, name, NAMESPACE), "ModelReady"))

    async def said(self, name: str, *words: str) -> str:
        """Waits until the condition has these words; returns it."""

        async def look() -> str:
            found = await self.condition(name)
            text = f"{found.get('reason')}: {found.get('message')}"
            return text if all(word in text for word in words) else ""

        return await until(look, f"{name} says {words}")

    async def ready(self, name: str) -> float:
        """Returns the seconds until it is ready."""

        async def look() -> bool:
            return bool((await self.condition(name)).get("status") == "True")

        return await seconds_until(look, f"{name} ready")

    async def small(self) -> float:
        """Returns how long a new small model takes to be ready."""
        name = f"small-{next(self._numbers)}"
        await self.add(name, "good")
        return await self.ready(name)


@asynccontextmanager
async def asked(names: Sequence[str], url: str) -> AsyncIterator[Seen]:
    """Asks one model after the other while the block runs."""
    seen, going = Seen(), True

    async def run(mine: Sequence[str]) -> None:
        async with plain_http.async_client(timeout=60) as http:
            while going:
                for name in mine:
                    await _ask(http, f"{url}/v2/models/{name}/infer", seen)

    async with asyncio.TaskGroup() as group:
        for start in range(4):
            group.create_task(run(names[start::4]))
        yield seen
        going = False


async def _ask(http: httpx.AsyncClient, url: str, seen: Seen) -> None:
    begun = time.monotonic()
    try:
        answer = await http.post(url, json=NONE)
        failure = "" if answer.is_success else f"{answer.status_code} {answer.text}"
    except httpx.HTTPError as error:
        failure = repr(error)
    seen.answers += 1
    seen.longest = max(seen.longest, time.monotonic() - begun)
    if failure:
        seen.failures.append((time.monotonic(), failure))
    await asyncio.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    """Listens and takes connections while the block runs, and says nothing; yields the port."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in held:
            writer.close()


async def hang(models: Namespace, port: int) -> list[str]:
    """Applies what hangs, and small models beside it; returns what it cost, line by line."""
    lines = [f"small model ready after {await models.small():.2f} s before anything hangs"]
    for name in ("awaits", "sleeps"):
        await models.add(name, name)
    for number in range(4):
        await models.add(f"downloads-{number}", "good", f"http://127.0.0.1:{port}/{number}")
    lines.append(f"small model ready after {await models.small():.2f} s, applied with all that hangs")
    await models.said("awaits", "ModelProgressing", "loading since")
    await models.said("sleeps", "ModelProgressing", "loading since")
    await asyncio.sleep(SETTLED_SECONDS)
    took = [await models.small() for _ in range(5)]
    lines.append(f"five small models, later: {', '.join(f'{each:.2f} s' for each in took)}")
    hanging = ("awaits", "sleeps", "downloads-0")
    return lines + [f"{name}: {await models.said(name, 'since')}" for name in hanging]


async def stall(models: Namespace, url: str, seen: Seen) -> list[str]:
    """Has a model hang in its `predict`; returns what it cost, line by line."""
    await models.add("stalls", "good")
    await models.ready("stalls")
    begun, answers = time.monotonic(), seen.answers
    async with plain_http.async_client(timeout=300) as http, asyncio.TaskGroup() as group:
        asked = group.create_task(http.post(f"{url}/v2/models/stalls/infer", json=asking(600)))
        await asyncio.sleep(SETTLED_SECONDS)
        took = [await models.small() for _ in range(5)]
        told = await models.said("stalls", "ModelNotResponding")
        took += [await models.small()]
        back = await models.ready("stalls")
        answer = await asked
    failed, _ = seen.since(begun)
    return [
        f"one that hangs in predict: {failed} of {seen.answers - answers} requests to the others failed",
        f"six small models meanwhile: {', '.join(f'{each:.2f} s' for each in took)}",
        f"stalls: {told}; ready again {back:.1f} s later",
        f"its caller got {answer.status_code} {answer.text}",
    ]


async def die(models: Namespace, seen: Seen) -> list[str]:
    """Applies what ends the server; returns what it cost, line by line."""
    begun = time.monotonic()
    await models.add("exits", "exits")
    told = await models.said("exits", "ServerCrashed")
    await asyncio.sleep(DEATH_SECONDS)
    failed, lasted = seen.since(begun)
    took = await models.small()
    return [
        f"exits: {told}",
        f"one that ends the server: {failed} requests failed, within {lasted:.1f} s",
        f"small model ready after {took:.2f} s, after that",
    ]


async def measure(laptop: Laptop, options: argparse.Namespace) -> Seen:
    """Prints what comes of it; returns what the callers saw."""
    async with Client.from_kubeconfig(laptop.kubeconfig) as client, black_hole() as port:
        models = Namespace(client, laptop.state.parent / "bad")
        names = [f"good-{number}" for number in range(options.models)]
        for name in names:
            await models.add(name, "good")
        for name in names:
            await models.ready(name)
        url = laptop.inference()["http"]
        async with asked(names, url) as seen:
            print("\n".join(await hang(models, port)), flush=True)
            print("\n".join(await stall(models, url, seen)), flush=True)
            hung = Seen(seen.answers, seen.longest, list(seen.failures))
            count = f"{hung.answers} requests, {len(hung.failures)} failed"
            print(f"meanwhile {count}, longest {hung.longest:.2f} s", flush=True)
            print("\n".join(await die(models, seen)), flush=True)
    print(f"first failures: {json.dumps([each for _, each in seen.failures[:2]])}")
    print(f"load average: {os.getloadavg()}", flush=True)
    return hung


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks bad-loads", description=__doc__)
    parser.add_argument("--models", type=int, default=20, help="that answer, on the same server")
    with laptop() as running:
        hung = asyncio.run(measure(running, parser.parse_args(arguments)))
    if hung.failures:
        raise SystemExit("a model that hangs failed requests to other models")
