"""Stands for upstream's agent: loads the models of the file LOADED into MLServer, and is the proxy before it.

Listens on POD_IP: 9001 (REST) and 9501 (gRPC) hand requests on to the model that `seldon-internal-model`
names; 9008 answers `/ready` once the models are loaded; on 9006 nothing is said.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from pathlib import Path

import grpc
import httpx2

from bailie._gen import inference_pb2 as pb
from bailie._gen import inference_pb2_grpc as pb_grpc

SETTINGS = os.environ  # noqa: TID251 - a program of its own

HEADER = "seldon-internal-model"
_MODEL = re.compile(rb"^(\S+ /v2/models/)[^/? ]+(?:/versions/[^/? ]+)?")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_INTERNAL = re.compile(rb"\r\nseldon-internal-model: *([^\r]+)", re.IGNORECASE)
_LARGEST = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


async def load(host: str, models: dict[str, dict[str, str]], folder: Path) -> None:
    """Writes the models and has MLServer load them, when it lives."""
    for name, files in models.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / name / file).write_text(text)
        settings = folder / name / "model-settings.json"
        settings.write_text(json.dumps({"name": name, **json.loads(settings.read_text())}))
    async with httpx2.AsyncClient(base_url=f"http://{host}:9000", timeout=60, trust_env=False) as server:
        await _until_live(server)
        for name in models:
            answer = await server.post(f"/v2/repository/models/{name}/load")
            answer.raise_for_status()


async def _until_live(server: httpx2.AsyncClient) -> None:
    """Waits until MLServer answers; the pod's probes bound that."""
    while True:
        try:
            if (await server.get("/v2/health/live")).is_success:
                return
        except httpx2.TransportError:
            await asyncio.sleep(0.1)


class RestProxy:
    """Each caller's connection has one of its own to MLServer."""

    def __init__(self, host: str) -> None:
        self._host = host

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers = None
        try:
            answers, asked = await asyncio.open_connection(self._host, 9000)
            while True:
                asked.write(named(await message(reader)))
                writer.write(await message(answers))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            if answers is not None:
                asked.close()


async def message(reader: asyncio.StreamReader) -> bytes:
    """Returns one HTTP message with a Content-Length, or without content."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return head + (await reader.readexactly(int(length[1])) if length else b"")


def named(request: bytes) -> bytes:
    """Returns the request for the model that its header names."""
    internal = _INTERNAL.search(request.partition(b"\r\n\r\n")[0])
    return _MODEL.sub(rb"\g<1>" + internal[1], request, count=1) if internal else request


class RpcProxy(pb_grpc.GRPCInferenceServiceServicer):
    """The methods that upstream's agent knows."""

    def __init__(self, server: pb_grpc.GRPCInferenceServiceStub) -> None:
        self._server = server

    async def ModelInfer(self, request, context):  # noqa: N802
        request.model_name, request.model_version = await _asked(context), ""
        return await _handed_on(context, self._server.ModelInfer(request))

    async def ModelReady(self, request, context):  # noqa: N802
        return await _handed_on(
            context, self._server.ModelReady(pb.ModelReadyRequest(name=await _asked(context)))
        )

    async def ModelMetadata(self, request, context):  # noqa: N802
        asked = pb.ModelMetadataRequest(name=await _asked(context))
        return await _handed_on(context, self._server.ModelMetadata(asked))


async def _asked(context) -> str:
    found = dict(context.invocation_metadata()).get(HEADER)
    if found is None:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"no header {HEADER}")
    return found


async def _handed_on(context, call):
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        await context.abort(error.code(), error.details())


async def _ready(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def main(host: str, models: dict[str, dict[str, str]], folder: Path) -> None:
    """Loads, then serves until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    channel = grpc.aio.insecure_channel(f"{host}:9500", options=_LARGEST)
    rpc = grpc.aio.server(options=_LARGEST)
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(
        RpcProxy(pb_grpc.GRPCInferenceServiceStub(channel)), rpc
    )
    rpc.add_insecure_port(f"{host}:9501")
    await load(host, models, folder)
    await rpc.start()
    servers = [await asyncio.start_server(RestProxy(host), host, 9001, limit=2**26)]
    servers += [await asyncio.start_server(_ready, host, 9008)]
    await stop.wait()
    await rpc.stop(1)
    for server in servers:
        server.close()


if __name__ == "__main__":
    told = json.loads(Path(SETTINGS["LOADED"]).read_text())
    asyncio.run(main(SETTINGS["POD_IP"], told, Path(SETTINGS["FOLDER"])))
