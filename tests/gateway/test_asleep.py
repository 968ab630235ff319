"""A real Envoy keeps requests for versions that are on no server, and goes on with each when it can."""

import asyncio
from contextlib import AsyncExitStack

import grpc
import pytest
from tests.support.dataplane import backend, control_plane, envoy, took, until

from bailie._gen import inference_pb2 as pb
from bailie.gateway.asleep import kept_key, sleep_of
from bailie.routing.table import Asleep, Backend, Route, RoutingTable

IRIS, ROSE = Asleep("iris_3", 7), Asleep("rose_1", 7)
INFER = "/v2/models/iris/infer"


@pytest.fixture
async def world(tmp_path):
    """A gateway whose Models sleep, an Envoy that has this table, and a replica for later."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend("mlserver-0"))
        gateway, port = await stack.enter_async_context(control_plane())
        mesh = await stack.enter_async_context(envoy(tmp_path, port))
        await took(gateway, table())
        yield gateway, mesh, one


def table(iris=IRIS, rose=ROSE):
    return RoutingTable("ns", {"iris": iris, "rose": rose})


def awake(one, version="iris_3"):
    return Route((Backend(version, 1, (one.replica,)),))


async def grpc_call(mesh):
    return await mesh.stub.ModelInfer(
        pb.ModelInferRequest(model_name="x"), metadata=(("seldon-model", "iris"),)
    )


async def kept(gateway, *entries):
    await until(lambda: set(entries) <= gateway.kept, "Envoy says that it keeps requests")


NAMES = {
    "iris_3@7": IRIS,
    "/v2/models/iris_3@7": IRIS,
    "*": None,
    "@": None,
    "iris": None,
    "iris_3": None,
    "iris_3@": None,
    "@7": None,
    "iris_3@-7": None,
    "iris_3@x": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_which_version_sleeps(name):
    assert sleep_of(name) == NAMES[name]


@pytest.mark.parametrize("key", ["iris", "/v2/models/iris"])
def test_an_entry_is_found_by_its_key(key):
    assert sleep_of(kept_key(key, IRIS)) == IRIS


async def test_every_request_is_answered_once_by_the_version_that_wakes(world):
    gateway, mesh, one = world
    assert gateway.kept == frozenset()
    async with asyncio.TaskGroup() as callers:
        small = [callers.create_task(mesh.http.post(INFER, json={"id": i})) for i in range(50)]
        large = callers.create_task(mesh.http.post(INFER, content=b"x" * 24_000_000))
        described = callers.create_task(mesh.http.get("/v2/models/iris"))
        called = [callers.create_task(grpc_call(mesh)) for _ in range(50)]
        await kept(gateway, IRIS)
        assert gateway.kept == {IRIS}
        await took(gateway, table(iris=awake(one)))
    assert {each.result().status_code for each in (*small, large)} == {200}
    assert {each.result().json()["path"] for each in (*small, large)} == {"/v2/models/iris_3/infer"}
    assert large.result().json()["size"] == 24_000_000
    assert (described.result().status_code, described.result().json()["path"]) == (200, "/v2/models/iris_3")
    assert {each.result().model_name for each in called} == {"iris_3"}
    assert (one.calls, one.grpc.calls) == (52, 50)


async def test_each_sleep_is_another_one(world):
    gateway, mesh, one = world
    for period in (7, 8, 9):
        await took(gateway, table(iris=Asleep("iris_3", period)))
        asked = asyncio.get_running_loop().create_task(mesh.http.post(INFER, json={}))
        await kept(gateway, Asleep("iris_3", period))
        assert not asked.done()
        await took(gateway, table(iris=awake(one)))
        assert (await asked).status_code == 200
        assert (await mesh.http.post(INFER, json={})).status_code == 200
    assert one.calls == 6


async def test_a_question_whether_it_is_ready_wakes_nothing(world):
    gateway, mesh, one = world
    assert (await mesh.http.get("/v2/models/iris/ready")).status_code == 200
    assert (await mesh.http.get("/v2/health/live", headers={"seldon-model": "iris"})).status_code == 200
    assert (await mesh.http.post("/v2/models/nobody/infer", json={})).status_code == 404
    asked = asyncio.get_running_loop().create_task(mesh.http.post("/v2/models/rose/infer", json={}))
    await kept(gateway, ROSE)
    assert gateway.kept == {ROSE}
    await took(gateway, table(rose=awake(one, "rose_1")))
    assert (await asked).status_code == 200


async def test_a_caller_who_leaves_is_forgotten(world):
    gateway, mesh, one = world
    left = asyncio.get_running_loop().create_task(mesh.http.post(INFER, json={}))
    await kept(gateway, IRIS)
    left.cancel()
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await mesh.stub.ModelInfer(
            pb.ModelInferRequest(model_name="x"), metadata=(("seldon-model", "iris"),), timeout=0.3
        )
    assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await took(gateway, table(iris=awake(one)))
    assert (await mesh.http.post(INFER, json={})).status_code == 200
    assert (one.calls, one.grpc.calls) == (1, 0)


async def test_another_leader_goes_on(tmp_path):
    async with backend("mlserver-0") as one, AsyncExitStack() as former:
        gateway, port = await former.enter_async_context(control_plane())
        async with envoy(tmp_path, port) as mesh:
            await took(gateway, table())
            asked = asyncio.get_running_loop().create_task(mesh.http.post(INFER, json={}))
            await kept(gateway, IRIS)
            await former.aclose()
            async with control_plane(port=port) as (gateway, _):
                await took(gateway, table())
                await kept(gateway, IRIS)
                await took(gateway, table(iris=awake(one)))
                assert (await asked).status_code == 200
        assert one.calls == 1


async def test_models_that_come_sleep_and_go_leave_nothing_behind(tmp_path):
    """An Envoy tells another leader of the requests that it keeps, and of nothing else in its life."""
    async with AsyncExitStack() as former:
        gateway, port = await former.enter_async_context(control_plane())
        async with envoy(tmp_path, port) as mesh:
            for number in range(30):
                brief = Asleep(f"brief{number}_1", number)
                await took(gateway, RoutingTable("ns", {f"brief{number}": brief, "iris": IRIS}))
                asked = [
                    asyncio.get_running_loop().create_task(mesh.http.post(f"/v2/models/{name}/infer"))
                    for name in (f"brief{number}", *(f"unknown-{number}-{each}" for each in range(10)))
                ]
                await kept(gateway, brief)
                await took(gateway, RoutingTable("ns", {"iris": IRIS}))
                assert [(await each).status_code for each in asked] == [503] + 10 * [404]
            still = asyncio.get_running_loop().create_task(mesh.http.post(INFER))
            await kept(gateway, IRIS)
            await former.aclose()
            async with backend("mlserver-0") as one, control_plane(port=port) as (gateway, _):
                await took(gateway, table())
                await kept(gateway, IRIS)
                assert gateway.kept == {IRIS}
                await took(gateway, table(iris=awake(one)))
                assert (await still).status_code == 200
