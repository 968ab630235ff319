"""The part of `scaling` about a Server without replicas. Called by `scaling`.

*asleep*: a Server that has no pod ten seconds after the last request, and a hundred callers at once, half of
them by REST and half by gRPC, by whom it is woken; in the last round the leading scheduler is killed as they
come. Printed are the seconds from the callers until the slowest answer, the part of them that is neither the
pod's start, the model's load nor the time of a hundred callers of a model in memory, the pods that were
started, and the requests that failed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack
from statistics import median
from typing import TYPE_CHECKING

import grpc
import httpx
from tests.support import plain_http

from bailie._gen import inference_pb2_grpc
from bailie.api.kinds import MODEL, POD, SERVER
from bailie.inference.codec import to_protobuf
from bailie.kube.clock import utc_now
from bailie.local.demo import model_manifest
from benchmarks import failover
from benchmarks.failover import lines
from benchmarks.laptop import NAMESPACE, Laptop, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bailie.kube.client import Client

    Judge = Callable[[str, bool, str], None]

SERVER_NAME, NAME = "dozing", "dozer"
CALLERS = 100
BESIDE_SECONDS = 0.5
"""The time that a wake may take beside the start of the pod and the load of the model."""


class SleepingServer:
    """A Server that sleeps, its Model, and the callers."""

    def __init__(self, client: Client, running: Laptop, judged: Judge) -> None:
        self._client, self._running, self._judged = client, running, judged
        self._inference = running.inference()
        self._failed = 0

    async def measure(self, rounds: int) -> None:
        """Has it woken so often, and once more while the leading scheduler is killed."""
        annotations = {"bailie.io/scale-to-zero": "10s"}
        spec = {"serverConfig": "mlserver", "minReplicas": 0, "maxReplicas": 1}
        metadata = {"name": SERVER_NAME, "namespace": NAMESPACE, "annotations": annotations}
        kind = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Server"}
        await self._client.create({**kind, "metadata": metadata, "spec": spec})
        model = model_manifest(NAMESPACE, NAME, self._running.models, artifact="iris")
        model["metadata"]["annotations"] = annotations
        model["spec"]["server"] = SERVER_NAME
        await self._client.create(model)
        await until(lambda: self._pods(1), "the Server has a pod", 120)
        whole, in_memory, beside = list[float](), list[float](), list[float]()
        for number in range(rounds + 1):
            await until(lambda: self._pods(0), "the Server has no pod", 120)
            asked = utc_now()
            took = await self._wake(kill=number == rounds)
            if number < rounds:
                whole.append(took)
                in_memory.append(await self._wake(kill=False))
                beside.append(took - self._pod_seconds(asked) - in_memory[-1])
        detail = (
            f"medians of {rounds}: {median(whole):.1f} s, of which {median(beside):.2f} s beside;"
            f" {median(in_memory):.2f} s in memory"
        )
        held = median(beside) <= BESIDE_SECONDS
        self._judged("a Server without replicas costs its start + load + 0.5 s", held, detail)
        started = sum(
            event == "server scaled" and pairs["replicas"] == "1" for event, pairs in self._scaled()
        )
        self._judged("one pod for each wake", started == rounds + 1, f"{started} of {rounds + 1}")
        detail = f"{self._failed} failed, a killed leader included"
        self._judged("requests to a Server without replicas", not self._failed, detail)
        await self._client.delete(MODEL, NAME, NAMESPACE)
        await self._client.delete(SERVER, SERVER_NAME, NAMESPACE)

    async def _pods(self, count: int) -> bool:
        labels = f"seldon-server-name={SERVER_NAME}"
        return len((await self._client.list(POD, NAMESPACE, labels=labels)).items) == count

    async def _wake(self, *, kill: bool) -> float:
        """Asks a hundred times at once, on connections that are open; returns the seconds of the slowest."""
        request = self._running.expectation(NAME, "iris").request()
        limits = httpx.Limits(max_connections=CALLERS)
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(plain_http.async_client(timeout=120, limits=limits))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(self._inference["grpc"]))
            stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
            message, named = to_protobuf(NAME, request), (("seldon-model", NAME),)

            async def rest() -> bool:
                url = f"{self._inference['http']}/v2/models/{NAME}/infer"
                return (await http.post(url, json=request)).status_code == 200

            async def call() -> bool:
                try:
                    await stub.ModelInfer(message, metadata=named, timeout=120)
                except grpc.aio.AioRpcError:
                    return False
                return True

            began = time.monotonic()
            asked = asyncio.gather(*(each() for _ in range(CALLERS // 2) for each in (rest, call)))
            if kill:
                _, leader = await failover.Stack(self._client, self._running, 2).leader()
                os.kill(leader, signal.SIGKILL)
            self._failed += (await asked).count(False)
            return time.monotonic() - began

    def _pod_seconds(self, since: datetime) -> float:
        """Returns the seconds from the number that was written until the model was loaded, by the logs."""
        written = self._log("seldon-scheduler-*", "scheduler")
        scaled = min(at for at, event, _ in written if event == "server scaled" and at >= since)
        loaded = max(
            at
            for at, event, pairs in self._log(f"{SERVER_NAME}-0", "agent")
            if event == "model moved" and pairs["state"] == "loaded"
        )
        return (loaded - scaled).total_seconds()

    def _scaled(self) -> list[tuple[str, dict[str, str]]]:
        found = self._log("seldon-scheduler-*", "scheduler")
        return [(event, pairs) for _, event, pairs in found if pairs.get("name") == SERVER_NAME]

    def _log(self, pods: str, container: str) -> list[tuple[datetime, str, dict[str, str]]]:
        paths = (self._running.state / "logs").glob(f"{NAMESPACE}/{pods}/{container}.log")
        return [each for path in paths for each in lines(path)]
