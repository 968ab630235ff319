"""Callers who leave, by a real Envoy: each counts once, for the version that was chosen, as no failure."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

import grpc
import httpx
import pytest
import pytest_asyncio
from benchmarks import raw_http2
from tests.gateway.test_request_metrics import TOTAL, series
from tests.support.dataplane import backend, control_plane, envoy, took, until

from bailie._gen import inference_pb2 as pb
from bailie.gateway.request_labels import counted_code
from bailie.routing.table import Backend, Route, RoutingTable

NAME = "flower.experiment"
STAYS = {"rose": ("x-seldon-route", ":rose_2:"), "iris": ("x-seldon-route", ":iris_1:")}
SHORT = 0.3
"""Seconds until an impatient caller leaves."""
CALLS = 200
"""Calls whose deadline the server sees pass at the moment at which their callers leave; after 250 that are
left within a second Envoy closes a connection."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    """An Envoy before the versions of an experiment: `rose_2` hangs, `iris_1` answers."""
    async with AsyncExitStack() as stack:
        rose = await stack.enter_async_context(backend("mlserver-0"))
        iris = await stack.enter_async_context(backend("mlserver-1"))
        gateway, port = await stack.enter_async_context(control_plane())
        mesh = await stack.enter_async_context(envoy(tmp_path_factory.mktemp("envoy"), port))
        entry = Route(
            (Backend("rose_2", 1, (rose.replica,)), Backend("iris_1", 1, (iris.replica,))), sticky=True
        )
        alone = Route((Backend("lily_3", 1, (iris.replica,)),))
        await took(gateway, RoutingTable("ns", {NAME: entry, "lily": alone}))
        gateway.outcomes([NAME])
        rose.held = asyncio.Event()
        yield gateway, mesh, rose, iris
        rose.held.set()


async def counted(mesh):
    """The requests by version, protocol and code, as the scheduler makes them of Envoy's series."""
    found = Counter()
    for labels, value in (await series(mesh)).get(TOTAL, []):
        code = counted_code(labels["method_type"], labels["code"], labels.get("flags", ""))
        version = labels["model_internal"].strip(":").removesuffix(":pinned")
        found[version, labels["method_type"], code] += int(value)
    return found


async def grows(mesh, before, version, method, code, by=1):
    """Waits until just these requests have been counted since."""
    await until(
        lambda: _is(mesh, before + Counter({(version, method, code): by})),
        f"{version} {method} {code} is counted",
    )


async def _is(mesh, expected):
    return await counted(mesh) == expected


def stream(mesh, model="rose", timeout=None):
    """A call whose server answers each of its messages and waits for the next."""
    metadata = (("seldon-model", NAME), STAYS[model])
    return mesh.stub.ModelStreamInfer(metadata=metadata, timeout=timeout)


@pytest.mark.parametrize("model", ["rose", "iris"])
async def test_rest_before_the_headers(world, model):
    _, mesh, rose, iris = world
    server, version = {"rose": (rose, "rose_2"), "iris": (iris, "iris_1")}[model]
    iris.held = asyncio.Event()
    before, calls = await counted(mesh), server.calls
    async with asyncio.TaskGroup() as group:
        call = mesh.http.post(f"/v2/models/{NAME}/infer", content=b"{}", headers=dict([STAYS[model]]))
        calling = group.create_task(call)
        await until(lambda: server.calls > calls, "the server has it")
        calling.cancel()
    await grows(mesh, before, version, "rest", "499")
    iris.held.set()
    iris.held = None


async def test_rest_after_the_headers(world):
    _, mesh, _, iris = world
    before = await counted(mesh)
    request = {"model": NAME, "stream": True}
    async with mesh.http.stream(
        "POST", "/v1/chat/completions", json=request, headers=dict([STAYS["iris"]])
    ) as answer:
        await anext(answer.aiter_bytes())
    iris.go_on.set()
    await grows(mesh, before, "iris_1", "rest", "499")


async def test_grpc_before_the_headers(world):
    _, mesh, rose, _ = world
    before, calls = await counted(mesh), rose.grpc.calls
    call = stream(mesh)
    await until(lambda: rose.grpc.calls > calls, "the server has it")
    call.cancel()
    await grows(mesh, before, "rose_2", "grpc", "Canceled")


async def test_grpc_after_the_headers(world):
    _, mesh, _, _ = world
    before = await counted(mesh)
    call = stream(mesh)
    await call.write(pb.ModelInferRequest(id="1"))
    assert (await call.read()).id == "1"
    call.cancel()
    await grows(mesh, before, "rose_2", "grpc", "Canceled")


async def test_deadlines_that_pass_are_no_failures(world):
    _, mesh, _, _ = world
    before = await counted(mesh)

    async def impatient():
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream(mesh, timeout=SHORT).read()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLS):
            group.create_task(impatient())
    await until(lambda: _some(mesh, before, CALLS), "all are counted")
    found = await counted(mesh) - before
    assert {(version, method) for version, method, _ in found} == {("rose_2", "grpc")}
    assert {code for *_, code in found} <= {"Canceled", "DeadlineExceeded"}, found


async def _some(mesh, before, number):
    return (await counted(mesh)).total() - before.total() == number


async def test_a_connection_that_breaks_is_a_caller_who_left(world):
    _, mesh, rose, _ = world
    before, calls = await counted(mesh), rose.grpc.calls
    async with grpc.aio.insecure_channel(
        f"127.0.0.1:{mesh.port}", [("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        call = type(mesh.stub)(channel).ModelStreamInfer(metadata=(("seldon-model", NAME), STAYS["rose"]))
        await until(lambda: rose.grpc.calls > calls, "the server has it")
        del call
    await grows(mesh, before, "rose_2", "grpc", "Canceled")


async def test_a_caller_who_breaks_the_protocol_is_no_failure(world):
    _, mesh, rose, _ = world
    before, calls = await counted(mesh), rose.grpc.calls
    path = "/inference.GRPCInferenceService/ModelStreamInfer"
    async with raw_http2.connection(mesh.port) as connection:
        connection.begin(raw_http2.grpc_headers(path, NAME, STAYS["rose"]))
        await until(lambda: rose.grpc.calls > calls, "the server has it")
        connection.write(raw_http2.frame(raw_http2.DATA, 0, 0, b"data of no stream"))
        await grows(mesh, before, "rose_2", "grpc", "Canceled")


async def test_a_failure_stays_one(world):
    _, mesh, rose, iris = world
    before = await counted(mesh)
    rose.grpc.status = grpc.StatusCode.UNKNOWN
    with pytest.raises(grpc.aio.AioRpcError):
        await stream(mesh).read()
    rose.grpc.status = None
    await grows(mesh, before, "rose_2", "grpc", "Unknown")
    before, iris.status = await counted(mesh), 500
    await mesh.http.post(f"/v2/models/{NAME}/infer", content=b"{}", headers=dict([STAYS["iris"]]))
    iris.status = 200
    await grows(mesh, before, "iris_1", "rest", "500")


async def test_of_one_version_the_answer_says_which(world):
    _, mesh, _, iris = world
    before = await counted(mesh)
    await mesh.http.post("/v2/models/lily/infer", content=b"{}")
    await grows(mesh, before, "lily_3", "rest", "200")
    before, iris.held = await counted(mesh), asyncio.Event()
    with suppress(httpx.TimeoutException):
        await mesh.http.post("/v2/models/lily/infer", content=b"{}", timeout=SHORT)
    await grows(mesh, before, "", "rest", "499")
    iris.held.set()
    iris.held = None


async def test_a_server_that_is_gone_fails_for_its_version(world):
    gateway, mesh, rose, iris = world
    before = await counted(mesh)
    gone = Backend("rose_7", 1, (replace(rose.replica, http_port=1, grpc_port=1),))
    both = Route((gone, Backend("iris_1", 1, (iris.replica,))), sticky=True)
    await took(gateway, RoutingTable("ns", {NAME: both}))
    answer = await mesh.http.post(
        f"/v2/models/{NAME}/infer", content=b"{}", headers={"x-seldon-route": ":rose_7:"}
    )
    assert answer.status_code == 503
    await grows(mesh, before, "rose_7", "rest", "503")


async def test_the_scheduler_knows_of_each_request_once(world):
    gateway, mesh, _, _ = world
    expected = await counted(mesh)

    def outcomes():
        found = gateway.outcomes([NAME])[NAME].get("rose_2")
        return found and (found.cancelled, found.others, found.failures, found.pinned)

    left = sum(
        number for (version, _, code), number in expected.items() if version == "rose_2" and code != "Unknown"
    )
    words = f"{left} who had named the version and left, and a failure"
    await until(lambda: outcomes() == (0, left, 1, 1), words, 20)
