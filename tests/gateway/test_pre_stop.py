"""The end of an Envoy: callers are led away, and none of them loses a request by it. Real Envoy."""

import asyncio
import json
import os
import shutil
import sys
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
from tests.support import plain_http
from tests.support.dataplane import answers, backend, control_plane, envoy, took, until

from bailie._gen import inference_pb2 as pb
from bailie.routing.table import Backend, Route, RoutingTable

POD = "seldon-envoy-0"


@pytest.fixture
async def mesh(tmp_path):
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend())
        gateway, port = await stack.enter_async_context(control_plane())
        made = await stack.enter_async_context(envoy(tmp_path, port, name=POD))
        await took(gateway, RoutingTable("ns", {"m": Route((Backend("m_1", 1, (one.replica,)),))}))
        await until(lambda: answers(made), "the port opens")
        yield made


@asynccontextmanager
async def leaving(folder, seconds):
    """The hook, as a container runs it: in the folder in which Envoy was started."""
    folder = folder / POD
    folder.mkdir(exist_ok=True)
    if (folder / "bootstrap.json").exists():
        shutil.copy(folder / "bootstrap.json", folder / f"envoy-{POD}.json")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bailie.gateway.pre_stop",
        str(seconds),
        cwd=folder,
        env={"POD_NAME": POD, "PATH": os.defpath},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        await process.wait()


def probe(folder):
    """Where a kubelet would ask whether Envoy is ready."""
    listener = json.loads((folder / POD / "bootstrap.json").read_text())["static_resources"]["listeners"][0]
    place = listener["address"]["socket_address"]
    return f"{place['address']}:{place['port_value']}"


async def ask(client, connection=""):
    answer = await client.get("/v2/models/m")
    assert answer.status_code == 200
    return answer.headers.get("connection", "") == connection


async def test_connections_are_closed_with_their_next_answer_and_new_ones_are_taken(mesh, tmp_path):
    assert await ask(mesh.http)
    async with leaving(tmp_path, 2) as hook:
        await until(lambda: ask(mesh.http, "close"), "Envoy closes connections")
        for _ in range(20):
            assert await ask(mesh.http, "close")
        assert hook.returncode is None
        async with plain_http.async_client() as client:
            assert (await client.get(f"http://{probe(tmp_path)}/ready")).status_code == 503


async def test_calls_go_on_while_their_connection_is_closed(mesh, tmp_path):
    done, failed = [], []

    async def call():
        while not over.is_set():
            try:
                await mesh.stub.ModelInfer(pb.ModelInferRequest(), metadata=(("seldon-model", "m"),))
                done.append(1)
            except grpc.aio.AioRpcError as error:
                failed.append(error.details())

    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        callers = [group.create_task(call()) for _ in range(4)]
        await until(lambda: len(done) > 20, "calls are answered")
        async with leaving(tmp_path, 1):
            pass
        before = len(done)
        await until(lambda: len(done) > before + 20, "calls are answered afterwards, too")
        over.set()
        await asyncio.wait(callers)
    assert failed == []


@pytest.mark.parametrize("bootstrap", [None, "", "{"])
async def test_an_envoy_that_cannot_be_told_gets_the_time_all_the_same(tmp_path, bootstrap):
    if bootstrap is not None:
        (tmp_path / POD).mkdir()
        (tmp_path / POD / "bootstrap.json").write_text(bootstrap)
    async with leaving(tmp_path, 0) as hook:
        assert b"callers are not led away" in await hook.stderr.read()
        assert await hook.wait() == 0
