"""A real scheduler process that serves two namespaces, and a holder of one's token who sends it anything.

Used by `benchmarks protocol-fuzz` and by tests/e2e/test_protocol.py. `central` is the scheduler's own
namespace, with an honest agent; the attacker has the token of `b` alone, which has an honest agent, too.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import math
import random
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import psutil
from google.protobuf.message import DecodeError
from tests.support import plain_http
from tests.support.agents import hello, report, status
from tests.support.api import Api, running_api
from tests.support.reports import name_of
from tests.support.simulator import SimulatedReplica

from bailie._gen import agent_pb2 as pb
from bailie.api.kinds import LEASE
from bailie.gateway import ads, descriptors, request_reports, xds_requests
from bailie.gateway.resources import CLUSTER_URL, ENDPOINTS_URL, LISTENER_URL, SCOPE_URL
from bailie.kube.client import Client
from bailie.manifests.rbac import central_manifests, namespace_manifests
from bailie.scope.claim import SCHEDULER_LEASE
from bailie.wellknown.names import NAMESPACES_KEY, SERVED_NAMESPACES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

TOKENS = {"central": "the-token-of-central", "b": "the-token-of-b"}
AGENTS = "/bailie.agent.v1.AgentService/Session"
XDS = f"/{ads.SERVICE}/DeltaAggregatedResources"
EXPORT = f"/{request_reports.SERVICE}/Export"
METADATA = (("authorization", f"Bearer {TOKENS['b']}"), ("bailie-namespace", "b"))
API_VERSION = "mlops.seldon.io/v1alpha1"
_PATIENCE = 30.0


@dataclass
class Ground:
    """The API, the scheduler's process and the two honest agents."""

    api: Api
    folder: Path
    address: str
    process: asyncio.subprocess.Process | None = None
    agents: dict[str, SimulatedReplica] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        return self.folder / "scheduler.log"

    async def start(self) -> None:
        """Starts the scheduler and waits until it leads."""
        environment = {
            "KUBECONFIG": str(self.folder / "scheduler.kubeconfig"),
            "POD_NAMESPACE": "central",
            "POD_NAME": "seldon-scheduler-0",
            "POD_IP": self.address,
            "BAILIE_TOKEN_FILE": str(self.folder / "token"),
        }
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bailie", "scheduler", env=environment, stdout=log, stderr=log
            )
        await self.until(self.ready, "the scheduler is ready")
        await self.until(self.holds, "the scheduler leads")

    async def kill(self) -> None:
        """Ends the scheduler without a word."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                while not await condition():  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"not within {_PATIENCE:.0f} s: {what}\n{self.tail()}") from None

    def tail(self) -> str:
        return self.log.read_text()[-4000:]

    async def answer(self, path: str) -> int:
        """Returns the HTTP status of one of the scheduler's answers, 0 for none within a second."""
        with contextlib.suppress(httpx.TransportError):
            async with plain_http.async_client(timeout=1.0) as http:
                return (await http.get(f"http://{self.address}:9006{path}")).status_code
        return 0

    async def ready(self) -> bool:
        return await self.answer("/ready") == 200

    async def lease(self) -> tuple[str, int]:
        """Returns who leads, and in which epoch."""
        async with Client.from_kubeconfig(self.api.kubeconfig) as client:
            spec = (await client.get(LEASE, SCHEDULER_LEASE, "central"))["spec"]
        return spec["holderIdentity"], spec["leaseTransitions"]

    async def holds(self) -> bool:
        return (await self.lease())[0] == "seldon-scheduler-0" and all(
            agent.session is not None for agent in self.agents.values()
        )

    async def model(self, namespace: str, name: str) -> None:
        """Applies a Model and waits until the namespace's agent has loaded it."""
        metadata = {"name": name, "namespace": namespace}
        body = {
            "apiVersion": API_VERSION,
            "kind": "Model",
            "metadata": metadata,
            "spec": {"storageUri": "/m"},
        }
        url = f"/apis/{API_VERSION}/namespaces/{namespace}/models"
        await asyncio.to_thread(self.api.request, "POST", url, json=body)

        async def loaded() -> bool:
            return f"{name}_1" in self.agents[namespace].loads

        await self.until(loaded, f"{namespace}/{name} is loaded")

    def resident(self) -> int:
        """Bytes of the scheduler's memory."""
        assert self.process is not None
        found: int = psutil.Process(self.process.pid).memory_info().rss
        return found


@contextlib.asynccontextmanager
async def ground(folder: Path, address: str) -> AsyncIterator[Ground]:
    """Everything at work while entered. `address`: a loopback address that nobody else listens on."""
    with running_api(folder / "api") as api:
        found = Ground(api, folder, address)
        await _furnish(found)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(agent.run()) for agent in found.agents.values()]
            tasks.append(group.create_task(_speak(found.agents.values())))
            try:
                await found.start()
                yield found
            finally:
                for task in tasks:
                    task.cancel()
                if found.process is not None and found.process.returncode is None:
                    await found.kill()


async def _speak(agents: Iterable[SimulatedReplica]) -> None:
    """Reports, as agents do however little there is to say."""
    while True:
        for agent in agents:
            if agent.session is not None:
                await agent.session.say(status(memory=agent.memory))
        await asyncio.sleep(5)


async def _furnish(made: Ground) -> None:
    api, folder = made.api, made.folder
    (folder / "token").write_text(TOKENS["central"])
    async with Client.from_kubeconfig(api.kubeconfig) as admin:
        for name, token in TOKENS.items():
            api.namespace(name)
            data = {"token": base64.b64encode(token.encode()).decode()}
            metadata = {"name": "seldon-control-plane", "namespace": name}
            await admin.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
            server = {"name": "mlserver", "namespace": name}
            spec = {"serverConfig": "mlserver", "replicas": 1}
            await admin.create(
                {"apiVersion": API_VERSION, "kind": "Server", "metadata": server, "spec": spec}
            )
            agent = SimulatedReplica(9005, namespace=name)
            agent.host, agent.credentials = made.address, {"token": token, "namespace": name}
            made.agents[name] = agent
        listed = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": SERVED_NAMESPACES, "namespace": "central"},
            "data": {NAMESPACES_KEY: "b\n"},
        }
        rights = (*namespace_manifests("central", "nowhere"), *central_manifests("b", "central"))
        for manifest in (*rights, listed):
            await admin.create(manifest)
    account = api.service_account_token("central", "seldon-scheduler")
    api.kubeconfig_for(account, folder / "scheduler.kubeconfig")


NUMBERS = (0, 1, 2, 7, 2**16, 2**31 - 2, 2**31 - 1, 2**31, 2**32 - 1)
LONG_NUMBERS = (*NUMBERS, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
FLOATS = (math.nan, math.inf, -math.inf, -1.0, 0.0, 0.5, 9000.0, 65536.0, 1e18, 1e308)
TEXTS = ("", "iris", "mlserver", "mlserver-0", "a/b\n", "\x00", "ü" * 40, "x" * 300, "%s{}'\"", "..", "*")
ADDRESSES = (
    "127.70.0.1",
    "127.9.9.9",
    "10.0.0.1",
    "::1",
    "fe80::1%lo",
    "0.0.0.0",
    "localhost",
    "",
    "x" * 999,
)
LARGE = "y" * 2**20


class Wild:
    """Messages from a seed: valid ones with wild fields, and what is left of them after a mishap."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def agent(self) -> list[bytes]:
        """Returns the messages of one session."""
        first = pb.AgentMessage(hello=self._hello()).SerializeToString()
        later = [self._later().SerializeToString() for _ in range(self.random.randrange(12))]
        return [self._damaged(message) for message in (first, *later)]

    def envoy(self) -> list[bytes]:
        """Returns the requests of one stream."""
        count = self.random.randrange(1, 12)
        return [self._damaged(self._request().SerializeToString()) for _ in range(count)]

    def export(self) -> bytes:
        """Returns one report of request metrics."""
        request = descriptors.message_class(request_reports.REQUEST)()
        scope = request.resource_metrics.add().instrumentation_library_metrics.add()
        for _ in range(self.random.randrange(20)):
            metric = scope.metrics.add(name=name_of(model=self._text()) if self._is(0.8) else self._text())
            point = metric.sum.data_points.add(time_unix_nano=self.random.choice((0, 1, 2**64 - 1)))
            if self._is(0.5):
                point.as_double = self.random.choice(FLOATS)
            else:
                point.as_int = self.random.choice((-(2**63), -1, 0, 1, 2**63 - 1))
        data: bytes = request.SerializeToString()
        return self._damaged(data)

    def _hello(self) -> pb.Hello:
        server = self._text() if self._is(0.1) else self.random.choice(("mlserver", "zz"))
        number = self._number() if self._is(0.2) else self.random.randrange(40)
        changes: dict[str, Any] = {"namespace": "b"}
        if self._is(0.3):
            changes["epoch"] = self.random.choice(LONG_NUMBERS)
        if self._is(0.1):
            changes["namespace"] = self.random.choice(("central", self._text()))
        if self._is(0.05):
            changes["pod"] = self._text()
        if self._is(0.2):
            ports = {name: self._number() for name in ("http_port", "grpc_port", "held_http_port")}
            changes["endpoint"] = pb.Endpoint(address=self.random.choice(ADDRESSES), **ports)
        if self._is(0.3):
            changes["capabilities"] = [self._text() for _ in range(self.random.randrange(90))]
        if self._is(0.4):
            changes["inventory"] = [self._report() for _ in range(self.random.randrange(60))]
        changes["status"] = self._status()
        return hello(server, number, **changes)

    def _later(self) -> pb.AgentMessage:
        if self._is(0.1):
            return pb.AgentMessage(hello=self._hello())
        if self._is(0.3):
            return pb.AgentMessage(status=self._status())
        return pb.AgentMessage(report=self._report())

    def _status(self) -> pb.ReplicaStatus:
        number = self.random.choice(LONG_NUMBERS)
        return status(number, overcommit_percent=self._number(), resident_bytes=number)

    def _report(self) -> pb.ModelReport:
        fields = {name: self.random.choice(LONG_NUMBERS) for name in ("declared_bytes", "measured_bytes")}
        state = self.random.randrange(12)
        return report(
            self._text(), self._text(), self._number(), state,
            reason=self._text(), message=self._text(), workers=self._number(), eviction=self._number(),
            **fields,
        )  # fmt: skip

    def _request(self) -> Any:
        urls = (CLUSTER_URL, ENDPOINTS_URL, LISTENER_URL, SCOPE_URL)
        names = [self._text() for _ in range(self.random.randrange(30))]
        request = descriptors.message_class(xds_requests.REQUEST)(
            type_url=self._text() if self._is(0.05) else self.random.choice(urls),
            resource_names_subscribe=names,
            response_nonce=self._text(),
        )
        request.node.id = self._text()
        request.resource_names_unsubscribe.extend(names[::2])
        request.initial_resource_versions.update({name: self._text() for name in names[::3]})
        listen = request.node.metadata.fields[xds_requests.LISTEN].list_value
        for _ in range(self.random.choice((1, 1, 1, 2, 40))):
            entry = listen.values.add().struct_value.fields
            wild = self._is(0.1)
            entry["address"].string_value = self.random.choice(ADDRESSES) if wild else "127.70.0.1"
            entry["port"].number_value = self.random.choice(FLOATS) if wild else 9000.0
        if self._is(0.2):
            request.error_detail.message = self._text()
            request.response_nonce = str(self.random.randrange(1, 6))
        return request

    def _damaged(self, data: bytes) -> bytes:
        found = bytearray(data)
        if self._is(0.8) or not found:
            return data
        for _ in range(self.random.randrange(1, 6)):
            at = self.random.randrange(len(found) + 1)
            kind = self.random.randrange(4)
            if kind == 0 and at < len(found):
                found[at] = self.random.randrange(256)
            elif kind == 1:
                del found[at : at + self.random.randrange(1, 9)]
            elif kind == 2:
                found[at:at] = self.random.randbytes(self.random.randrange(1, 9))
            else:
                found[at:at] = found[: self.random.randrange(40)]
        return bytes(found)

    def _text(self) -> str:
        return LARGE if self._is(0.002) else self.random.choice(TEXTS)

    def _number(self) -> int:
        return self.random.choice(NUMBERS)

    def _is(self, share: float) -> bool:
        return self.random.random() < share


@dataclass
class Tally:
    """What became of it all."""

    sent: dict[str, int] = field(default_factory=dict)
    messages: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    slowest_live: float = 0.0
    resident: list[int] = field(default_factory=list)
    """Bytes of the scheduler's memory, four times a second."""

    def note(self, kind: str, messages: int, code: Any) -> None:
        self.sent[kind] = self.sent.get(kind, 0) + 1
        self.messages += messages
        name = code.name if isinstance(code, grpc.StatusCode) else str(code)
        self.answers[name] = self.answers.get(name, 0) + 1


async def attack(at: Ground, seed: int, seconds: float, tally: Tally, *, jobs: int = 4) -> None:
    """Sends wild messages for so long, and asks all along whether the scheduler lives."""
    ends = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(_watch(at, tally))
        async with asyncio.TaskGroup() as wild:
            for job in range(jobs):
                wild.create_task(_send(at, Wild(seed * 1_000 + job), ends, tally))
        watch.cancel()


async def _watch(at: Ground, tally: Tally) -> None:
    while True:
        began = time.monotonic()
        assert await at.answer("/live") == 200, f"/live does not answer\n{at.tail()}"
        tally.slowest_live = max(tally.slowest_live, time.monotonic() - began)
        tally.resident.append(at.resident())
        await asyncio.sleep(0.25)


async def _send(at: Ground, wild: Wild, ends: float, tally: Tally) -> None:
    alone = (("grpc.use_local_subchannel_pool", 1),)
    async with (
        grpc.aio.insecure_channel(f"{at.address}:9005", options=alone) as agents,
        grpc.aio.insecure_channel(f"{at.address}:9002", options=alone) as envoys,
    ):
        while time.monotonic() < ends:
            kind = wild.random.choice(("agent", "agent", "envoy", "export"))
            if kind == "export":
                call = envoys.unary_unary(EXPORT)(wild.export(), metadata=METADATA)
                tally.note(kind, 1, await call.code())
                continue
            channel, path = (agents, AGENTS) if kind == "agent" else (envoys, XDS)
            messages = wild.agent() if kind == "agent" else wild.envoy()
            tally.note(kind, len(messages), await stream(channel, path, messages))


async def stream(channel: grpc.aio.Channel, path: str, messages: list[bytes], seconds: float = 0.2) -> Any:
    """Sends messages, hears what there is for a moment, and returns how the stream ended."""
    call = channel.stream_stream(path)(metadata=METADATA)
    try:
        async with asyncio.timeout(seconds):
            for message in messages:
                await call.write(message)
            await call.done_writing()
            while await call.read() is not grpc.aio.EOF:
                pass
        return await call.code()
    except grpc.aio.AioRpcError as error:
        return error.code()
    except asyncio.InvalidStateError:
        return await call.code()
    except TimeoutError:
        call.cancel()
        return "left"


async def wild_hellos(at: Ground, count: int) -> None:
    """Hellos that make sense but for their epochs and replicas, one after the other."""
    wild = random.Random(count)
    async with grpc.aio.insecure_channel(f"{at.address}:9005") as channel:
        for number in range(count):
            said = hello("zz", number, namespace="b", epoch=wild.choice(LONG_NUMBERS))
            await stream(channel, AGENTS, [pb.AgentMessage(hello=said).SerializeToString()])


def readable(data: bytes) -> bool:
    """Says whether bytes are a message of an agent; for the tests of `Wild` itself."""
    try:
        pb.AgentMessage.FromString(data)
    except DecodeError:
        return False
    return True


def faults(at: Ground) -> list[str]:
    """Returns the lines of the scheduler's log that no caller may cause."""
    lines = at.log.read_text().splitlines()
    marks = ("Traceback", "Exception", "ERROR", "[error", "raised")
    return [line for line in lines if any(mark in line for mark in marks)]


def figures(tally: Tally) -> str:
    return json.dumps({"streams": tally.sent, "answers": dict(sorted(tally.answers.items()))})
