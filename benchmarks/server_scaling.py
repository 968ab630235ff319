"""The parts of `scaling` about Servers and about Models that sleep. Called by `scaling`.

*servers*: a Server of one replica, which may have four, and a Model under a tenfold burst that needs three
of them. Printed are the seconds from the burst until the first new replica of the Model answers, without the
start of the new pod, the most replicas that the Server was given, and the requests that failed, the way back
included: five minutes for the Model and five for the Server, whose SeldonRuntime packs models on fewer
replicas. *zero*: a Model that leaves memory after ten seconds without a request; then one caller wakes it, or
a hundred at once, who are compared with a hundred callers of the Model in memory. Printed are the slowest
answers, the loads, and the requests that failed.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import httpx
from tests.support import plain_http

from bailie.api.kinds import MODEL, POD, SELDON_RUNTIME, SERVER
from bailie.local.bootstrap import RUNTIME_NAME
from bailie.local.demo import model_manifest
from bailie.local.readiness import condition
from bailie.workloads.replicas import is_ready
from benchmarks.failover import lines
from benchmarks.laptop import NAMESPACE, Laptop, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.kube.client import Client
    from benchmarks.steady import Steady

    Judge = Callable[[str, bool, str], None]

SERVER_NAME = "mlserver"
USUAL, BURST, TARGET, NEEDED = 15.0, 150.0, 50, 3
MOST = 4
AFTER_POD_SECONDS = 5.0
HOLD_SECONDS = 300.0
BUSY_SECONDS = 420.0
"""How much longer a machine may take that does other work: a gap in the figures begins the wait anew."""
SLEEPER = "sleeper"
CALLERS = 100
WAKE_SECONDS = 0.5
"""The time that a sleeping Model may cost a hundred callers beside its load."""


class GrowingServer:
    """A Model whose load needs more replicas than its Server has."""

    def __init__(self, client: Client, running: Laptop, requests: Steady, judged: Judge) -> None:
        self._client, self._running, self._requests, self._judged = client, running, requests, judged
        self.most = 1
        self.sent, self.failures = 0, list[str]()

    async def measure(self, *, short: bool) -> None:
        """Runs the burst, and unless `short` the way back."""
        packed = {"scalingConfig": {"servers": {"scaleDownPackingEnabled": True}}}
        await self._client.patch(SELDON_RUNTIME, RUNTIME_NAME, NAMESPACE, {"spec": {"config": packed}})
        await self._client.patch(
            SERVER, SERVER_NAME, NAMESPACE, {"spec": {"replicas": 1, "minReplicas": 1, "maxReplicas": MOST}}
        )
        model = model_manifest(NAMESPACE, "iris", self._running.models)
        model["metadata"]["annotations"] = {"bailie.io/scale": f"rps={TARGET}"}
        model["spec"] |= {"maxReplicas": MOST}
        await self._client.create(model)
        await until(self._ready, "the Model is ready")
        self._ask(USUAL)
        await asyncio.sleep(20)
        self._ask(BURST)
        burst = time.monotonic()
        made = await self._moment(self._pods(2), "a second pod")
        started = await self._moment(self._pods(2, ready=True), "a second pod that is ready")
        first = await self._moment(self._answering(2), "two replicas answer")
        await self._moment(self._answering(NEEDED), f"{NEEDED} replicas answer")
        beside = first - burst - (started - made)
        detail = f"{first - burst:.1f} s, of which the pod took {started - made:.1f} s"
        self._judged("a new pod answers within its start + 5 s", beside <= AFTER_POD_SECONDS, detail)
        await asyncio.sleep(15)
        await self._look()
        self._judged("the Server gets as many as are needed", self.most == NEEDED, f"{self.most} of {NEEDED}")
        if not short:
            await self._back()
        await self._requests.stop()
        self._count()
        detail = f"{len(self.failures)} of {self.sent} failed"
        self._judged("requests, new and ending pods included", not self.failures, detail)
        await self._client.delete(MODEL, "iris", NAMESPACE)

    async def _back(self) -> None:
        """Waits until the load is gone from Model and Server, while some requests go on."""
        self._ask(USUAL)
        gone = time.monotonic()
        fewer = await self._moment(
            self._wanted(1), "the Model wants one replica", HOLD_SECONDS + BUSY_SECONDS
        )
        told = f"{fewer - gone:.0f} s"
        self._judged("one replica of the Model after five minutes", fewer - gone >= HOLD_SECONDS, told)
        ended = await self._moment(
            self._pods(1, at_most=True), "one pod is left", HOLD_SECONDS + BUSY_SECONDS
        )
        told = f"{ended - fewer:.0f} s later"
        self._judged("one pod after five minutes more", ended - fewer >= HOLD_SECONDS, told)

    def _ask(self, rate: float) -> None:
        self._count()
        self._requests.send([self._running.expectation("iris", "iris")], rate)

    def _count(self) -> None:
        found = self._requests.take()
        self.sent += found.sent
        self.failures += found.failures
        for each in found.failures[:3]:
            print(f"     {each}")

    async def _moment(self, look: Callable[[], Any], what: str, seconds: float = 120) -> float:
        await until(look, what, seconds)
        return time.monotonic()

    async def _look(self) -> None:
        spec = (await self._client.get(SERVER, SERVER_NAME, NAMESPACE))["spec"]
        self.most = max(self.most, int(spec.get("replicas") or 1))

    async def _ready(self) -> bool:
        return bool(condition(await self._client.get(MODEL, "iris", NAMESPACE), "Ready")["status"] == "True")

    def _wanted(self, replicas: int) -> Callable[[], Any]:
        async def look() -> bool:
            found = await self._client.get(MODEL, "iris", NAMESPACE)
            return bool(found["status"].get("desiredReplicas") == replicas)

        return look

    def _answering(self, replicas: int) -> Callable[[], Any]:
        async def look() -> bool:
            await self._look()
            status = (await self._client.get(MODEL, "iris", NAMESPACE)).get("status") or {}
            return int(status.get("availableReplicas") or 0) >= replicas

        return look

    def _pods(self, count: int, *, ready: bool = False, at_most: bool = False) -> Callable[[], Any]:
        async def look() -> bool:
            await self._look()
            labels = f"seldon-server-name={SERVER_NAME}"
            pods = (await self._client.list(POD, NAMESPACE, labels=labels)).items
            found = sum(is_ready(each) or not ready for each in pods)
            return found <= count if at_most else found >= count

        return look


class Sleeper:
    """A Model that leaves memory, and its callers."""

    def __init__(self, client: Client, running: Laptop, judged: Judge) -> None:
        self._client, self._running, self._judged = client, running, judged
        self._url = running.inference()["http"]
        self.failed = 0

    async def measure(self, rounds: int) -> None:
        """Wakes it by one caller and by a hundred, in turn."""
        model = model_manifest(NAMESPACE, SLEEPER, self._running.models, artifact="iris")
        model["metadata"]["annotations"] = {"bailie.io/scale-to-zero": "10s"}
        await self._client.create(model)
        alone, together, in_memory = list[float](), list[float](), list[float]()
        for _ in range(rounds):
            for slowest, callers in ((alone, 1), (together, CALLERS)):
                await until(partial(self._says, "Asleep"), "the Model has left memory", 60)
                slowest.append(await self._wake(callers))
                await until(partial(self._says, "InMemory"), "the Model is back in memory", 60)
            in_memory.append(await self._wake(CALLERS))
        added = median(together) - median(in_memory)
        detail = (
            f"medians of {rounds}: {median(together):.2f} s asleep, {median(in_memory):.2f} s in memory;"
            f" one caller asleep {median(alone):.2f} s"
        )
        held = added <= median(alone) + WAKE_SECONDS
        self._judged("sleep costs a hundred callers no more than one + 0.5 s", held, detail)
        loads = self._loads()
        self._judged("one load for each wake", loads == 1 + 2 * rounds, f"{loads - 1} of {2 * rounds}")
        self._judged("requests to a Model out of memory", not self.failed, f"{self.failed} failed")
        await self._client.delete(MODEL, SLEEPER, NAMESPACE)

    async def _says(self, reason: str) -> bool:
        found = await self._client.get(MODEL, SLEEPER, NAMESPACE)
        return bool(condition(found, "ScaleToZero").get("reason") == reason)

    async def _wake(self, callers: int) -> float:
        """Asks so often at once, on connections that are open; returns the seconds of the slowest answer."""
        expected = self._running.expectation(SLEEPER, "iris")
        limits = httpx.Limits(max_connections=CALLERS, max_keepalive_connections=CALLERS)
        async with plain_http.async_client(timeout=60, limits=limits) as http:
            await asyncio.gather(*(http.get(f"{self._url}/v2/health/live") for _ in range(callers)))
            url, began = f"{self._url}/v2/models/{SLEEPER}/infer", time.monotonic()
            asked = (http.post(url, json=expected.request()) for _ in range(callers))
            answers = await asyncio.gather(*asked)
            took = time.monotonic() - began
        self.failed += sum(each.status_code != 200 for each in answers)
        return took

    def _loads(self) -> int:
        """Returns how often the Model came into memory, as its agents' logs say."""
        paths = (self._running.state / "logs").glob(f"{NAMESPACE}/*/agent.log")
        return sum(
            event == "model moved" and pairs["state"] == "loaded" and pairs["server_name"] == f"{SLEEPER}_1"
            for path in paths
            for _, event, pairs in lines(path)
        )
