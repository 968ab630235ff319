"""How long do callers suffer from a model server or an Envoy that hangs, and when is it restarted?

`bailie up` with a server of two replicas and one of a single replica, each with a model that gets requests at
a steady rate. MLServer of one of the two is stopped (SIGSTOP), then that of the single one, and is left so.
At last one of two Envoys is stopped, while each request goes by a connection of its own to a ready one, as a
Service on a cluster has it. Ends everything that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx
from tests.support import plain_http

from bailie.api.kinds import MODEL, POD, SELDON_RUNTIME, SERVER
from bailie.kube.client import Client
from bailie.local.demo import model_manifest
from bailie.local.readiness import condition, process_id
from bailie.wellknown.names import ENVOY
from benchmarks.calls import Call, Stream, caller, failed, outcomes, send
from benchmarks.laptop import NAMESPACE, Laptop, laptop, until
from benchmarks.results import add_json, keep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

PATIENCE_SECONDS = 150.0
LONG_SECONDS = 5.0
"""An answer that takes longer is one that the hung server held up."""
STEADY_SECONDS = 6.0
"""Requests before the signal: by then Envoy looks at servers as often as it does under load."""
REPLICAS = {"twins": 2, "single": 1}


async def prepare(client: Client, running: Laptop) -> None:
    """Makes both servers, each with a model of its name on all of its replicas."""
    for name, replicas in REPLICAS.items():
        metadata = {"name": name, "namespace": NAMESPACE}
        kind = {"apiVersion": SERVER.api_version, "kind": SERVER.kind}
        spec = {"serverConfig": "mlserver", "replicas": replicas}
        await client.create({**kind, "metadata": metadata, "spec": spec})
        model = model_manifest(NAMESPACE, name, running.models, artifact="iris")
        model["spec"] |= {"server": name, "replicas": replicas}
        await client.create(model)
    await until(lambda: _available(client, REPLICAS), "both models on all replicas")


async def _available(client: Client, wanted: dict[str, int]) -> bool:
    found = {name: await client.get(MODEL, name, NAMESPACE) for name in wanted}
    return all(
        each.get("status", {}).get("availableReplicas") == wanted[name] for name, each in found.items()
    )


async def process(client: Client, server: str) -> int:
    """Returns the pid of MLServer of the first replica; 0 while it does not run."""
    pod = await client.get(POD, f"{server}-0", NAMESPACE)
    found = [each for each in pod["status"]["containerStatuses"] if each["name"] == "mlserver"]
    return process_id(found[0]) or 0


async def seconds_until(look: Callable[[], Awaitable[bool]], what: str, began: float) -> float:
    """Looks four times a second, not to take the time that is measured; returns the seconds since `began`."""

    async def slowly() -> bool:
        await asyncio.sleep(0.25)
        return await look()

    await until(slowly, what, PATIENCE_SECONDS)
    return time.monotonic() - began


async def stop(client: Client, running: Laptop, server: str, rate: float) -> dict[str, Any]:
    """Stops one MLServer for good; returns what callers saw until all replicas served again."""
    body = running.expectation(server, "iris").request()
    done = asyncio.Event()
    async with caller(running.inference()["http"], PATIENCE_SECONDS) as calling, asyncio.TaskGroup() as group:
        asking = group.create_task(send(calling, Stream(server, rate, lambda _: body), done))
        asked_since = time.monotonic()
        await asyncio.sleep(STEADY_SECONDS)
        before = await process(client, server)
        began = time.monotonic()
        os.kill(before, signal.SIGSTOP)

        async def unready() -> bool:
            model = await client.get(MODEL, server, NAMESPACE)
            if REPLICAS[server] == 1:
                return bool(condition(model, "Ready")["status"] == "False")
            return bool(model["status"]["availableReplicas"] < REPLICAS[server])

        async def restarted() -> bool:
            return await process(client, server) not in {0, before}

        moments = {
            "status says so": await seconds_until(unready, "the status", began),
            "restarted": await seconds_until(restarted, "another process", began),
            "all serve again": await seconds_until(
                lambda: _available(client, REPLICAS), "the models back", began
            ),
        }
        await asyncio.sleep(2)
        done.set()
        await asyncio.wait([asking])
    return {**_seen(asking.result(), began - asked_since), "seconds until": moments}


def _seen(calls: list[Call], offset: float) -> dict[str, Any]:
    """Counts from the moment of the signal."""
    hurt = [each for each in calls if each.outcome != "200" or each.took > LONG_SECONDS]
    held = [each for each in calls if each.took > LONG_SECONDS]
    return {
        "outcomes": outcomes(calls),
        "failed": len(failed(calls)),
        "held up": len(held),
        "last one held up was sent after, s": max((each.sent for each in held), default=offset) - offset,
        "last one hurt was sent after, s": max((each.sent for each in hurt), default=offset) - offset,
        "longest wait for an answer, s": max(each.took for each in calls),
    }


async def stop_envoy(client: Client, running: Laptop, rate: float) -> dict[str, Any]:
    """Stops one of two Envoys for good; returns what callers of the ready ones saw until both were ready."""
    overrides = [{"name": ENVOY, "replicas": 2}]
    await client.patch(SELDON_RUNTIME, "seldon", NAMESPACE, {"spec": {"overrides": overrides}})
    await until(lambda: _both(client), "two ready Envoys")
    path, body = "/v2/models/twins/infer", running.expectation("twins", "iris").request()
    ready = dict(await _both(client))
    calls: list[Call] = []

    async def call(http: httpx.AsyncClient, number: int, began: float) -> None:
        sent = time.monotonic()
        url = f"http://{list(ready)[number % len(ready)]}:9000{path}"
        try:
            outcome = str((await http.post(url, json=body)).status_code)
        except httpx.HTTPError as error:
            outcome = type(error).__name__
        calls.append(Call(number, sent - began, time.monotonic() - sent, outcome))

    async def follow() -> None:
        while True:
            found = dict(await _ready_envoys(client))
            ready.clear()
            ready.update(found)
            await asyncio.sleep(0.1)

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    http = plain_http.async_client(timeout=PATIENCE_SECONDS, limits=limits)
    async with http, asyncio.TaskGroup() as group:
        following, begun = group.create_task(follow()), time.monotonic()
        pid = next(iter(ready.values()))
        asking = group.create_task(_steadily(group, rate, lambda number: call(http, number, begun)))
        await asyncio.sleep(STEADY_SECONDS)
        signalled = time.monotonic()
        os.kill(pid, signal.SIGSTOP)

        async def back() -> bool:
            found = await _both(client)
            return bool(found) and pid not in dict(found).values()

        restarted = await seconds_until(back, "both Envoys ready again", signalled)
        await asyncio.sleep(2)
        asking.cancel()
        following.cancel()
    return {**_seen(calls, signalled - begun), "seconds until": {"both are ready again": restarted}}


async def _steadily(group: asyncio.TaskGroup, rate: float, call: Callable[[int], Any]) -> None:
    began = time.monotonic()
    for number in count():
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        group.create_task(call(number))


async def _ready_envoys(client: Client) -> list[tuple[str, int]]:
    """Returns address and pid of each."""
    pods = (await client.list(POD, NAMESPACE, labels=f"app.kubernetes.io/name={ENVOY}")).items
    return [
        (pod["status"]["podIP"], process_id(pod["status"]["containerStatuses"][0]) or 0)
        for pod in pods
        if condition(pod, "Ready").get("status") == "True"
    ]


async def _both(client: Client) -> list[tuple[str, int]]:
    found = await _ready_envoys(client)
    return found if len(found) == 2 else []


async def measure(running: Laptop, rate: float) -> dict[str, Any]:
    """Plays all three."""
    async with Client.from_kubeconfig(running.kubeconfig) as client:
        await prepare(client, running)
        figures = {server: await stop(client, running, server, rate) for server in REPLICAS}
        return {**figures, "envoys": await stop_envoy(client, running, rate)}


def main(arguments: Sequence[str]) -> None:
    """Runs the benchmark; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks hung", description=__doc__)
    parser.add_argument("--rate", type=float, default=50.0, help="requests per second")
    add_json(parser)
    options = parser.parse_args(arguments)
    with laptop() as running:
        figures = asyncio.run(measure(running, options.rate))
    for server, found in figures.items():
        print(f"{server} (1 of {REPLICAS.get(server, 2)} stopped)")
        for name, value in found.items():
            print(f"  {name}: {value}")
    keep(options, figures)
