"""Names that another mesh answers for: two real Envoys, each with a gateway of its own, before one server."""

import asyncio
import json
import os
import time
from contextlib import AsyncExitStack

import grpc
import httpx
import pytest
from tests.support import plain_http
from tests.support.dataplane import backend, control_plane, encoded, envoy, opened, took, until
from tests.support.matching import Forward, OfNamespace, PassedOn, match, once_only
from tests.support.ports import free_port

from bailie._gen import inference_pb2 as pb
from bailie._gen import inference_pb2_grpc as pb_grpc
from bailie.gateway import endpoint_files, meshes
from bailie.gateway.listener import AGENTS
from bailie.gateway.publisher import Gateway
from bailie.gateway.resources import CLUSTER_URL, ENDPOINTS_URL, Encoder
from bailie.manifests.endpoints import endpoints_file
from bailie.routing import refusal
from bailie.routing.table import Backend, Elsewhere, NotReady, Route, RoutingTable
from bailie.wellknown import headers

OPENAI = b'{"model": "llama", "messages": []}'


@pytest.fixture
async def world(tmp_path):
    """The new mesh with its gateway, the old one with its own, and a replica behind both."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend("mlserver-0"))
        gateway, port = await stack.enter_async_context(control_plane())
        new = await stack.enter_async_context(envoy(tmp_path, port, name="new"))
        before, port = await stack.enter_async_context(control_plane())
        old = await stack.enter_async_context(envoy(tmp_path, port, name="old"))
        yield gateway, new, before, old, one


def served(one, *names):
    return {name: Route((Backend(f"{name}_1", 1, (one.replica,)),)) for name in names}


def on_fallback(old, one, *names):
    """The new mesh's table: `names` are answered elsewhere, `here` is not."""
    mesh = Elsewhere("127.0.0.1", old.port)
    slow = {"slow": NotReady("Loading", "mlserver-0 is loading it")}
    return RoutingTable("ns", dict.fromkeys(names, mesh) | served(one, "here") | slow)


REST = [
    {"path": "/v2/models/iris/infer"},
    {"path": "/v2/models/iris"},
    {"path": "/v2/models/iris?a=b/c&d=%20"},
    {"path": "/v2/models/iris/ready"},
    {"path": "/v2/models/iris/versions/3/infer?x=1"},
    {"path": "/v2/models/iris/infer/"},
    {"path": "/v2/models/other/infer", "model": "iris"},
    {"path": "/v2/models/iris/infer", "model": "here"},
    {"path": "/v2/models/here/infer", "model": "iris"},
    {"path": "/v2/models/iris/infer", "model": "nope"},
    {"path": "/v2/models/unknown-there/infer"},
    {"path": "/v2/models/slow/infer"},
    {"path": "/v2/models/nope/infer"},
    {"path": "/v2/health/live", "model": "iris"},
    {"path": "/v2/other", "model": "iris"},
    {"path": "/latest/meta-data", "model": "iris"},
    {"path": "/v1/other", "model": "iris"},
]


def own_loopback_address():
    """An address of this process alone: the ports are fixed."""
    return f"127.90.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"


@pytest.mark.parametrize("port", AGENTS)
async def test_an_envoy_of_before_may_ask_at_the_ports_of_its_agents(tmp_path, port):
    """While names come over; by the name that the caller gave, whatever that Envoy calls the version."""
    theirs = {headers.INTERNAL_MODEL: "iris_7", headers.MODEL: "iris"}
    address = own_loopback_address()
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend("mlserver-0"))
        gateway, xds = await stack.enter_async_context(control_plane())
        await stack.enter_async_context(envoy(tmp_path, xds, address=address))
        http = await stack.enter_async_context(plain_http.async_client(base_url=f"http://{address}:{port}"))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"{address}:{port}"))
        await took(gateway, RoutingTable("ns", served(one, "iris")))
        with pytest.raises(httpx.ConnectError):
            await http.get("/v2/models/iris")
        await took(gateway, RoutingTable("ns", served(one, "iris"), takes_over=True))
        answer = await http.post("/v2/models/iris/infer", headers=theirs, json={})
        assert (answer.status_code, answer.headers["x-seldon-route"]) == (200, ":iris_1:")
        call = pb_grpc.GRPCInferenceServiceStub(channel).ModelInfer(
            pb.ModelInferRequest(model_name="iris"), metadata=list(theirs.items())
        )
        assert (await call).model_name == "iris_1"
        refused = await http.get("/v2/models/iris", headers={**theirs, headers.MODEL: "nope"})
        assert refused.status_code == 404


def comparable(answer):
    """What an answer says, without what differs from call to call."""
    said = answer.json()
    own = {headers.PASSED_ON, "x-request-id", "host", "x-envoy-expected-rq-timeout-ms", "seldon-model"}
    if "headers" in said:
        said["headers"] = {key: value for key, value in said["headers"].items() if key not in own}
    return answer.status_code, said, answer.headers.get("x-seldon-route")


async def test_rest_goes_on_as_it_came(world):
    gateway, new, before, old, one = world
    routes = on_fallback(old, one, "iris", "unknown-there", "llama")
    await took(before, RoutingTable("ns", served(one, "iris", "llama")))
    await took(gateway, routes)
    for case in REST:
        named = {"seldon-model": case["model"]} if "model" in case else {}
        answer = await new.http.post(case["path"], headers=named, content=b"{}")
        expected = match(routes, **case)
        if isinstance(expected, PassedOn):
            directly = await old.http.post(case["path"], headers=named, content=b"{}")
            assert comparable(answer) == comparable(directly), case
        elif isinstance(expected, OfNamespace):
            assert answer.json() == {"live": True}, case
        elif isinstance(expected, Forward):
            assert answer.json()["path"] == expected.path(expected.backends[0]), case
        else:
            assert (answer.status_code, answer.json()) == (expected.status, expected.body()), case


async def test_the_passing_on_is_told_to_the_mesh_and_not_to_its_servers(world):
    gateway, new, before, old, one = world
    await took(before, RoutingTable("ns", served(one, "iris")))
    await took(gateway, on_fallback(old, one, "iris"))
    told = (await new.http.post("/v2/models/iris/infer", content=b"{}")).json()["headers"]
    assert headers.PASSED_ON not in told
    assert told["seldon-model"] == "iris"
    assert told["host"] == f"127.0.0.1:{new.port}", "the host stays as the caller has it"


@pytest.mark.parametrize("way", ["/v1/chat/completions", "/v2/models/llama/infer/chat/completions"])
async def test_calls_of_openai_go_on(world, way):
    gateway, new, before, old, one = world
    await took(before, RoutingTable("ns", served(one, "llama")))
    await took(gateway, on_fallback(old, one, "llama"))
    for named in ({}, {"seldon-model": "llama"}):
        answer = await new.http.post(way, headers=named, content=OPENAI)
        directly = await old.http.post(way, headers=named, content=OPENAI)
        assert comparable(answer) == comparable(directly)
        assert answer.json()["model"] == "llama_1"


async def test_grpc_goes_on_with_the_name_in_header_or_message(world):
    gateway, new, before, old, one = world
    await took(before, RoutingTable("ns", served(one, "iris")))
    await took(gateway, on_fallback(old, one, "iris"))
    by_header = await new.stub.ModelInfer(
        pb.ModelInferRequest(model_name="other"), metadata=(("seldon-model", "iris"),)
    )
    by_message = await new.stub.ModelInfer(pb.ModelInferRequest(model_name="iris"))
    assert by_header.model_name == by_message.model_name == "iris_1"
    assert (await new.stub.ModelReady(pb.ModelReadyRequest(name="iris"))).ready

    async def messages():
        for number in range(3):
            yield pb.ModelInferRequest(model_name="iris", id=str(number))

    streamed = [each async for each in new.stub.ModelStreamInfer(messages())]
    assert [(each.model_name, each.id) for each in streamed] == [("iris_1", str(n)) for n in range(3)]
    method = new.channel.unary_unary("/inference.GRPCInferenceService/ModelDestroy")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await method(b"", metadata=(("seldon-model", "iris"),))
    assert refused.value.details() == refusal.not_served("ns", grpc=True).message


async def test_two_meshes_that_name_each_other_pass_nothing_round(world):
    gateway, new, before, old, one = world
    await took(before, on_fallback(new, one, "iris"))
    routes = on_fallback(old, one, "iris")
    await took(gateway, routes)
    expected = once_only(routes, match(routes, path="/v2/models/iris/infer"))
    for path in ("/v2/models/iris/infer", "/v2/models/iris", "/v2/models/iris/versions/2/ready"):
        answer = await new.http.post(path, content=b"{}")
        assert (answer.status_code, answer.json()) == (503, expected.body())
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await new.stub.ModelInfer(pb.ModelInferRequest(model_name="iris"))
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.UNAVAILABLE, expected.message)


async def test_a_stranger_who_says_passed_on_gets_a_refusal_only_for_names_of_another_mesh(world):
    gateway, new, before, old, one = world
    await took(before, RoutingTable("ns", served(one, "iris")))
    await took(gateway, on_fallback(old, one, "iris"))
    said = {headers.PASSED_ON: "anything"}
    here = await new.http.post("/v2/models/here/infer", headers=said, content=b"{}")
    assert here.status_code == 200
    assert headers.PASSED_ON not in here.json()["headers"]
    refused = await new.http.post("/v2/models/iris/infer", headers=said, content=b"{}")
    assert refused.json()["reason"] == refusal.PASSED_ON_ALREADY


async def test_a_mesh_that_does_not_answer_is_named(world):
    gateway, new, *_ = world
    gone = Elsewhere("127.0.0.1", free_port())
    await took(gateway, RoutingTable("ns", {"iris": gone}))
    begun = time.monotonic()
    answer = await new.http.post("/v2/models/iris/infer", content=b"{}")
    assert answer.status_code == 503
    assert answer.json()["model"] == "iris"
    assert f"mesh/{gone}, which answers until then, gave no answer: " in answer.json()["error"]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await new.stub.ModelInfer(pb.ModelInferRequest(model_name="iris"))
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert f"mesh/{gone}" in refused.value.details()
    assert time.monotonic() - begun < 10


async def test_a_mesh_of_a_laptop_is_found_by_the_nodes_file(tmp_path):
    mesh = Elsewhere("seldon-mesh.old.svc", 80)
    path = tmp_path / "endpoints" / "old" / "seldon-mesh.json"
    async with (
        backend() as one,
        control_plane() as (before, old_port),
        envoy(tmp_path, old_port, name="old") as old,
        control_plane(Gateway(mesh_file=endpoint_files.finder(tmp_path / "endpoints"))) as (gateway, port),
        envoy(tmp_path, port, name="new") as new,
    ):
        await took(before, RoutingTable("ns", served(one, "iris")))
        await took(gateway, RoutingTable("ns", {"iris": mesh}))
        answer = await new.http.post("/v2/models/iris/infer", content=b"{}")
        assert answer.status_code == 503
        assert f"mesh/{mesh}" in answer.json()["error"]
        written = path.with_suffix(".new")
        written.write_text(json.dumps(endpoints_file("seldon-mesh", ["127.0.0.1"], old.port)))
        written.replace(path)

        async def answers():
            return (await new.http.post("/v2/models/iris/infer", content=b"{}")).status_code == 200

        await until(answers, "the mesh is found")


async def test_a_name_moves_here_and_back_without_a_failed_request(world):
    gateway, new, before, old, one = world
    await took(before, RoutingTable("ns", served(one, "iris")))
    away, home = on_fallback(old, one, "iris"), RoutingTable("ns", served(one, "here", "iris"))
    await took(gateway, away)
    ended, failed, count = asyncio.Event(), [], 0

    async def calls():
        nonlocal count
        while not ended.is_set():
            answer = await new.http.post("/v2/models/iris/infer", content=b"{}")
            replied = await new.stub.ModelInfer(pb.ModelInferRequest(model_name="iris"))
            count += 2
            if answer.status_code != 200 or replied.model_name != "iris_1":
                failed.append((answer.text, replied))

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(calls())
        for _ in range(5):
            await took(gateway, home)
            await took(gateway, away)
        ended.set()
    assert not failed
    assert count > 10


def test_one_cluster_for_all_names_of_a_mesh_and_none_without(golden):
    mesh = Elsewhere("seldon-mesh.old.svc", 80)
    encoder = Encoder()
    found = encoded(encoder, RoutingTable("ns", {f"m-{i}": mesh for i in range(50)}), 1).resources
    assert list(found[CLUSTER_URL]) == ["mesh/seldon-mesh.old.svc:80"]
    assert not found[ENDPOINTS_URL]
    golden.check("cluster-mesh", opened(found[CLUSTER_URL][meshes.cluster_name(mesh)]))
    later = encoded(encoder, RoutingTable("ns", {"m-0": NotReady("Loading", "soon")}), 2).resources
    assert not later[CLUSTER_URL]
