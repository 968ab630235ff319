"""Real Envoys before small real servers, on loopback: what the tests of the gateway stand on."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route as Path_
from tests.support import plain_http
from tests.support.ports import free_port
from tests.support.waiting import DEADLINE

from bailie._gen import inference_pb2 as pb
from bailie._gen import inference_pb2_grpc as pb_grpc
from bailie.gateway import ads, descriptors, payload_log
from bailie.gateway.bootstrap import ADMIN_SOCKET, EnvoySettings
from bailie.gateway.envoy import command, write_bootstrap
from bailie.gateway.envoy_calls import EnvoyPlane
from bailie.gateway.listener import Address
from bailie.gateway.publisher import Gateway
from bailie.kube.tenants import Tenants
from bailie.kube.token import judged
from bailie.routing.table import ReplicaEndpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TOKEN = "the token of the namespace"
LARGEST_MESSAGE = 1_048_576_000
"""Bytes that a server takes, as MLServer has it by default here (manifests/defaults.py)."""
SERVER_LIMIT = [("grpc.max_receive_message_length", LARGEST_MESSAGE), ("grpc.max_send_message_length", -1)]
NO_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@dataclass
class KnownToken:
    """Satisfies `bailie.kube.token.Token` with a text."""

    text: str

    def read(self) -> str:
        return self.text

    def check(self, metadata):
        return judged(metadata, self.read)


async def until(condition, what: str, deadline: float = DEADLINE):
    """Waits for `condition()` (may be async) to return something true, and returns it."""
    async with asyncio.timeout(deadline):
        while True:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.005)
    raise AssertionError(what)


class Servicer(pb_grpc.GRPCInferenceServiceServicer):
    """Says in `id` what it was asked, and counts; `outputs` has large answers by the name of the model."""

    def __init__(self, name: str) -> None:
        self.name, self.calls, self.status, self.metadata = name, 0, None, {}
        self.asked: list[str] = []
        self.outputs: dict[str, bytes] = {}

    async def _begin(self, context) -> None:
        self.calls += 1
        self.metadata = dict(context.invocation_metadata())
        if self.status is not None:
            await context.abort(self.status, "as the test wants it")

    async def ModelInfer(self, request, context):  # noqa: N802
        await self._begin(context)
        self.asked.append(request.model_name)
        size = sum(map(len, request.raw_input_contents))
        output = self.outputs.get(request.model_name)
        return pb.ModelInferResponse(
            model_name=request.model_name,
            model_version=request.model_version,
            id=f"{self.name} {size}",
            raw_output_contents=[] if output is None else [output],
        )

    async def ModelStreamInfer(self, requests, context):  # noqa: N802
        await self._begin(context)
        async for request in requests:
            self.asked.append(request.model_name)
            yield pb.ModelInferResponse(model_name=request.model_name, id=request.id)

    async def ModelReady(self, request, context):  # noqa: N802
        await self._begin(context)
        return pb.ModelReadyResponse(ready=request.name.endswith("_1") and not request.version)

    async def ModelMetadata(self, request, context):  # noqa: N802
        await self._begin(context)
        return pb.ModelMetadataResponse(name=request.name)


@dataclass(slots=True)
class Backend:
    """A server replica: an HTTP and a gRPC server that say what they were asked."""

    replica: ReplicaEndpoint
    grpc: Servicer
    calls: int = 0
    status: int = 200
    live: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    held: asyncio.Event | None = None
    seen: list | None = None
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    _stop: list = field(default_factory=list)

    async def openai(self, path: str, asked: dict, headers: dict):
        """Answers as servers of OpenAI's API do; a stream goes on when `go_on` is set."""
        said = {"path": path, "asked": asked, "headers": headers, "model": asked["model"]}
        if not asked.get("stream"):
            return JSONResponse(said)

        async def events():
            yield f"data: {json.dumps(said)}\n\n"
            await self.go_on.wait()
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    async def stop(self) -> None:
        for stop in self._stop:
            await stop()
        self._stop.clear()


class _Web(uvicorn.Server):
    """A server that leaves the signals of the tests' process alone."""

    @contextmanager
    def capture_signals(self):
        yield


@asynccontextmanager
async def backend(name: str = "mlserver-0") -> AsyncIterator[Backend]:
    """Runs a replica until the block ends or it is stopped."""
    http = socket.create_server(("127.0.0.1", 0))
    server = grpc.aio.server(options=SERVER_LIMIT)
    servicer = Servicer(name)
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    made = Backend(ReplicaEndpoint(name, "127.0.0.1", http.getsockname()[1], grpc_port), servicer)

    async def answer(request):
        if request.url.path == "/v2/health/live":
            return JSONResponse({}, status_code=200 if made.live else 500)
        made.calls += 1
        if made.held:
            await made.held.wait()
        body = await request.body()
        if made.seen is not None:
            made.seen.append(
                (
                    str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""),
                    dict(request.headers),
                    body,
                )
            )
        if request.url.path.startswith("/v1/"):
            return await made.openai(request.url.path, json.loads(body), dict(request.headers))
        path = request.scope["raw_path"].decode()
        query = request.url.query
        content = {
            "path": f"{path}?{query}" if query else path,
            "method": request.method,
            "headers": dict(request.headers),
            "size": len(body),
            "replica": name,
        }
        return JSONResponse(content, status_code=made.status, headers=made.headers)

    app = Starlette(routes=[Path_("/{path:path}", answer, methods=["GET", "POST"])])
    config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", access_log=False)
    web = _Web(config)
    task = asyncio.get_running_loop().create_task(web.serve(sockets=[http]))

    async def stop_http():
        web.should_exit = web.force_exit = True
        await task
        http.close()

    made._stop.extend([lambda: server.stop(0), stop_http])
    await until(lambda: web.started, "the backend listens")
    try:
        yield made
    finally:
        await made.stop()


@dataclass(slots=True)
class Mesh:
    """An Envoy that runs, and what speaks to it."""

    process: subprocess.Popen
    port: int
    probe: int
    http: httpx.AsyncClient
    channel: grpc.aio.Channel
    log: Path

    @property
    def stub(self):
        return pb_grpc.GRPCInferenceServiceStub(self.channel)

    def admin(self) -> httpx.AsyncClient:
        """Speaks to the admin interface by way of its socket."""
        transport = plain_http.unix_transport(uds=str(self.log.parent / ADMIN_SOCKET))
        return httpx.AsyncClient(base_url="http://admin", transport=transport)


@contextmanager
def process_of(arguments: list[str], log: Path, **variables: str):
    """Runs a process in the folder of `log`, where its output goes, until the block ends."""
    with log.open("wb") as output:
        set_variables = ["env", *(f"{name}={value}" for name, value in variables.items())]
        process = subprocess.Popen([*set_variables, *arguments], stdout=output, stderr=output, cwd=log.parent)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def envoy(
    folder: Path,
    xds_port: int,
    *,
    name: str = "seldon-envoy-0",
    token: str = TOKEN,
    address: str = "127.0.0.1",
    change: dict | None = None,
    points: int | None = None,
    **limits: int,
):
    """Runs an Envoy that asks 127.0.0.1:`xds_port` for its configuration, and listens on `address`.

    `limits` are of EnvoySettings; `change` are other values of its bootstrap, `points` how many series are
    in one part of its reports.
    """
    folder = folder / name
    folder.mkdir(exist_ok=True)
    port, probe = free_port(), free_port()
    settings = EnvoySettings(
        pod=name,
        namespace="ns",
        listen=(Address(address, port),),
        probe=Address("127.0.0.1", probe),
        scheduler_host="127.0.0.1",
        scheduler_port=xds_port,
        scheduler_endpoints=None,
        token=token,
        **limits,
    )
    path, log = folder / "bootstrap.json", folder / "log"
    write_bootstrap(settings, path)
    if change or points:
        bootstrap = json.loads(path.read_text()) | (change or {})
        if points:
            bootstrap["stats_sinks"][0]["typed_config"]["max_data_points_per_request"] = points
        path.write_text(json.dumps(bootstrap))
    mark = {payload_log.MARK: payload_log.mark(token)}
    with process_of(command(path, concurrency=1), log, **mark) as process:
        async with (
            plain_http.async_client(base_url=f"http://{address}:{port}", timeout=60) as http,
            grpc.aio.insecure_channel(f"{address}:{port}", options=NO_LIMIT) as channel,
        ):
            yield Mesh(process, port, probe, http, channel, log)


@asynccontextmanager
async def control_plane(gateway: Gateway | None = None, port: int = 0, leads=lambda: True):
    """Serves a gateway; the value is the gateway and the port of its ADS."""
    gateway = gateway or Gateway()
    tenants, planes = Tenants("ns", {"ns": KnownToken(TOKEN)}), {"ns": EnvoyPlane(gateway, leads)}
    async with ads.serve(tenants, planes, "127.0.0.1", port) as bound:
        yield gateway, bound


async def took(gateway: Gateway, table) -> int:
    """Publishes `table` and waits until every Envoy has it."""
    revision = gateway.publish(table)
    await until(lambda: gateway.acknowledged >= revision, f"revision {revision} is acknowledged", 20)
    return revision


async def answers(mesh: Mesh) -> bool:
    """Returns whether the Envoy's data port is open."""
    with suppress(httpx.TransportError):
        await mesh.http.get("/")
        return True
    return False


def encoded(encoder, table, revision):
    """The snapshot of a table, without the pauses on the way to it."""
    *_, snapshot = encoder.work(table, revision)
    return snapshot


def opened(resource):
    """The message of a resource as JSON data."""
    message = descriptors.message_class(resource.message.resource.type_url.rpartition("/")[2])()
    message.ParseFromString(resource.message.resource.value)
    return plain(message)


def plain(message):
    """A message as JSON data, in the order of its keys."""
    return json.loads(json.dumps(descriptors.to_dict(message), sort_keys=True))
