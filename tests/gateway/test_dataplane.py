"""Envoy as the gateway configures it, before real servers, against the oracle of `tests.support.matching`."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import replace

import grpc
import pytest
from tests.support.dataplane import backend, control_plane, envoy, took, until
from tests.support.matching import Forward, OfNamespace, match

from bailie import __version__
from bailie._gen import inference_pb2 as pb
from bailie.kube.limits import Allowance
from bailie.routing.refusal import no_answer, no_list, no_list_request, not_decoded, not_served, unclear_path
from bailie.routing.table import Backend, NotReady, Route, RoutingTable


@pytest.fixture
async def world(tmp_path):
    """A gateway, an Envoy that has its first table, and two replicas."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend("mlserver-0"))
        two = await stack.enter_async_context(backend("mlserver-1"))
        gateway, port = await stack.enter_async_context(control_plane())
        mesh = await stack.enter_async_context(envoy(tmp_path, port))
        yield gateway, mesh, one, two


def table(one, two):
    both = (one.replica, two.replica)
    return RoutingTable(
        "ns",
        {
            "iris": Route((Backend("iris_1", 1, both),)),
            "only-one": Route((Backend("only-one_4", 1, (one.replica,)),)),
            "split": Route((Backend("split_1", 80, both), Backend("split_2", 20, (two.replica,)))),
            "slow": NotReady("Loading", 'mlserver-0 is loading "slow"'),
            "fraud.v2": Route((Backend("fraud.v2_1", 1, both),)),
            # Paths of the namespace have these words where a path of a model has the name.
            "live": Route((Backend("live_1", 1, both),)),
            "completions": Route((Backend("completions_1", 1, both),)),
            "flow.pipeline": Route((Backend("flow.pipeline_2", 1, both),)),
            "iris.pipeline": Route((Backend("iris.pipeline_3", 1, (two.replica,)),)),
            "slow.pipeline": NotReady("Loading", "no gateway has it", "pipeline slow"),
        },
    )


REST = [
    {"path": "/v2/models/iris/infer"},
    {"path": "/v2/models/iris"},
    {"path": "/v2/models/iris?a=b/c&d=%20"},
    {"path": "/v2/models/iris/ready"},
    {"path": "/v2/models/iris/versions/3/infer?x=1"},
    {"path": "/v2/models/iris/versions/3"},
    {"path": "/v2/models/iris/versions"},
    {"path": "/v2/models/iris/generate_stream"},
    {"path": "/v2/models/other/infer", "model": "iris"},
    {"path": "/v2/models/other/infer", "model": "only-one"},
    {"path": "/v2/models/iris/infer", "model": "nope"},
    {"path": "/v2/models/iris_1/infer"},
    {"path": "/v2/models/nope/infer"},
    {"path": "/v2/models/no%22pe%0a/infer"},
    {"path": "/v2/models/slow/infer"},
    {"path": "/v2/models/nope?a=1"},
    {"path": "/v2/models/iris/versions/3/ready", "model": "only-one"},
    {"path": "/v2/models/other/versions/3/ready", "model": "only-one"},
    {"path": "/v2/models/split/versions/3/infer", "model": "split"},
    {"path": "/v2/models/split/infer"},
    {"path": "/v2/models/" + "x" * 300 + "/infer"},
    {"path": "/v2/models"},
    {"path": "/v2/models/"},
    {"path": "/v2/models/fraud.v2/infer"},
    {"path": "/v2/models/other/infer", "model": "fraud.v2"},
    {"path": "/v2/models/live/infer"},
    {"path": "/v2/models/@/infer"},
    {"path": "/v2/models/iris/infer", "model": ".."},
    {"path": "/v2/models/iris/infer/"},
    {"path": "/v2/models/iris/infer/?a=b/"},
    {"path": "/v2/models/iris/"},
    {"path": "/v2/models/split/infer/"},
    {"path": "/v2/models/iris/versions/3/infer/"},
    {"path": "/v2/models/iris/infer/", "model": "only-one"},
    *({"path": path} for path in ("/v2", "/v2/", "/v2?a=1", "/v2/health/ready", "/v2/health/live")),
    *({"path": path} for path in ("/v2/health/live/", "/v2/health", "/v2/health/other", "/v1/other")),
    *({"path": path} for path in ("/", "/a/b/c", "/a/b/live", "/@/@/@", "/v2/models/@/@")),
    *({"path": "/v2/health/live", "model": model} for model in ("iris", "split", "slow", "nope")),
    *({"path": f"/v2/pipelines/{name}/infer"} for name in ("flow", "iris", "slow", "nope", "x" * 300, "@")),
    {"path": "/v2/pipelines/flow/ready?a=b/c"},
    {"path": "/v2/pipelines/flow/versions/3/infer/"},
    {"path": "/v2/pipelines/iris"},
    {"path": "/v2/pipelines/no%22pe/infer"},
    {"path": "/v2/pipelines/flow/infer", "model": "iris"},
    {"path": "/v2/pipelines/other/infer", "model": "flow.pipeline"},
    {"path": "/v2/models/flow.pipeline/infer"},
    {"path": "/v2/models/other/ready", "model": "iris.pipeline"},
    {"path": "/v2/pipelines"},
    {"path": "/v2/pipelines/"},
    {"path": "/v2/other", "model": "iris"},
    {"path": "/", "model": "slow"},
]
OWN_BODIES = {
    "/v2": {"name": "bailie", "version": __version__, "extensions": []},
    "/v2/health/live": {"live": True},
    "/v2/health/ready": {"ready": True},
}


async def test_rest_does_what_the_oracle_says(world):
    gateway, mesh, one, two = world
    routes = table(one, two)
    await took(gateway, routes)
    for case in REST:
        headers = {"seldon-model": case["model"]} if "model" in case else {}
        answer = await mesh.http.post(case["path"], headers=headers, content=b"{}")
        expected = match(routes, **case)
        if isinstance(expected, Forward):
            assert answer.status_code == 200, case
            served = answer.headers["x-seldon-route"].strip(":")
            (chosen,) = [b for b in expected.backends if b.name == served]
            assert answer.json()["path"] == expected.path(chosen), case
            assert answer.json()["headers"]["seldon-model"] == expected.model
            assert answer.json()["replica"] in {replica.name for replica in chosen.replicas}
        elif isinstance(expected, OfNamespace):
            assert (answer.status_code, answer.json()) == (200, OWN_BODIES[expected.asked]), case
            assert answer.headers["content-type"] == "application/json"
        else:
            assert answer.status_code == expected.status, case
            assert answer.headers["content-type"] == "application/json"
            assert json.loads(answer.text) == expected.body(), case
        assert answer.headers["x-request-id"]


GRPC = [
    {"path": "ModelInfer", "model": "iris"},
    {"path": "ModelInfer", "model": "only-one"},
    {"path": "ModelInfer", "model": "split"},
    {"path": "ModelInfer", "model": "fraud.v2"},
    {"path": "ModelInfer", "model": "nope"},
    {"path": "ModelInfer", "model": "slow"},
    *({"path": "ModelInfer", "named": name} for name in ("iris", "split", "fraud.v2", "slow", "nope")),
    *({"path": "ModelInfer", "named": name} for name in ("", "@", "..", "iris/x", "a\r\nb: c", "x" * 300)),
    {"path": "ModelInfer", "model": "only-one", "named": "iris"},
    *({"path": method, "model": "flow.pipeline"} for method in ("ModelStreamInfer", "ModelConfig")),
    *({"path": "ModelInfer", "named": name} for name in ("slow.pipeline", "no.pipeline")),
    {"path": "ModelStreamInfer", "named": "flow.pipeline"},
    {"path": "ModelInfer", "model": "flow.pipeline", "encoding": "gzip"},
    {"path": "ModelInfer", "model": "iris", "encoding": "gzip"},
    {"path": "ModelInfer", "named": "iris", "encoding": "gzip"},
    {"path": "RepositoryModelLoad", "model": "iris"},
    {"path": "RepositoryModelUnload"},
    {"path": "ModelConfig", "model": "iris"},
    {"path": "ModelConfig", "named": "iris"},
    {"path": "Nothing"},
]


async def test_grpc_does_what_the_oracle_says(world):
    gateway, mesh, one, two = world
    routes = table(one, two)
    await took(gateway, routes)
    for case in GRPC:
        metadata = (("seldon-model", case["model"]),) if "model" in case else ()
        path = f"/inference.GRPCInferenceService/{case['path']}"
        call = mesh.channel.unary_unary(
            path,
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        encoding = case.get("encoding", "identity")
        compression = grpc.Compression.Gzip if encoding == "gzip" else None
        named = case.get("named", "")
        request = pb.ModelInferRequest(model_name=named, model_version="7", id="x" * 2000)
        expected = match(routes, **{**case, "path": path}, grpc=True)
        if isinstance(expected, Forward):
            answer = await call(request, metadata=metadata, compression=compression)
            assert answer.model_name in {b.name for b in expected.backends}, case
            assert answer.model_version == ""
        else:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(request, metadata=metadata, compression=compression)
            assert (caught.value.code().value[0], caught.value.details()) == (
                expected.grpc_status,
                expected.message,
            ), case


@pytest.mark.parametrize("model", ["", "iris", "split", "slow", "nope"])
async def test_the_namespace_says_of_itself_that_it_serves(world, model):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    metadata = (("seldon-model", model),) if model else ()
    assert (await mesh.stub.ServerLive(pb.ServerLiveRequest(), metadata=metadata)).live
    assert (await mesh.stub.ServerReady(pb.ServerReadyRequest(), metadata=metadata)).ready
    found = await mesh.stub.ServerMetadata(pb.ServerMetadataRequest(), metadata=metadata)
    assert (found.name, found.version) == ("bailie", __version__)
    assert one.calls + two.calls + one.grpc.calls + two.grpc.calls == 0


@pytest.mark.parametrize("method", ["ModelReady", "ModelMetadata"])
async def test_every_method_takes_the_name_in_its_message(world, method):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    request = (
        pb.ModelReadyRequest(name="iris") if method == "ModelReady" else pb.ModelMetadataRequest(name="iris")
    )
    answer = await getattr(mesh.stub, method)(request)
    assert answer in (pb.ModelReadyResponse(ready=True), pb.ModelMetadataResponse(name="iris_1"))


async def test_a_stream_takes_the_name_in_its_first_message_and_waits_for_no_other(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    call = mesh.stub.ModelStreamInfer()
    for name, size in (("iris", 3), ("iris", 100_000), ("only-one", 1), ("", 0)):
        await call.write(pb.ModelInferRequest(model_name=name, id="i" * size))
        async with asyncio.timeout(60):
            answer = await call.read()
        assert (answer.model_name, len(answer.id)) == ("iris_1", size)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_a_large_message_is_read_for_its_name(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    for size in (2_000_000, 15_000_000):
        request = pb.ModelInferRequest(model_name="iris", raw_input_contents=[b"x" * size])
        answer = await mesh.stub.ModelInfer(request)
        assert (answer.model_name, answer.id.split()[1]) == ("iris_1", str(size))


async def test_the_namespace_lists_its_models(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    rows = {
        ("completions", "1", "READY", ""),
        ("fraud.v2", "1", "READY", ""),
        ("iris", "1", "READY", ""),
        ("live", "1", "READY", ""),
        ("only-one", "4", "READY", ""),
        ("slow", "", "UNAVAILABLE", 'Loading: mlserver-0 is loading "slow"'),
        ("flow.pipeline", "2", "READY", ""),
        ("iris.pipeline", "3", "READY", ""),
        ("slow.pipeline", "", "UNAVAILABLE", "Loading: no gateway has it"),
        ("split", "1", "READY", ""),
        ("split", "2", "READY", ""),
    }
    ready = {row for row in rows if row[2] == "READY"}
    fields = ("name", "version", "state", "reason")
    for only_ready, expected in ((False, rows), (True, ready)):
        body = {"ready": True} if only_ready else {}
        for answer in (
            await mesh.http.post("/v2/repository/index", json=body),
            await mesh.http.post("/v2/repository/index/", json=body, headers={"seldon-model": "iris"}),
        ):
            assert answer.headers["content-type"] == "application/json"
            assert {tuple(row[field] for field in fields) for row in answer.json()} == expected
        listed = await mesh.stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=only_ready))
        assert {tuple(getattr(row, field) for field in fields) for row in listed.models} == expected
    assert len((await mesh.http.get("/v2/repository/index")).json()) == len(rows)
    models = (await mesh.http.get("/v1/models")).json()
    assert models["object"] == "list"
    assert {row["id"] for row in models["data"]} == {row[0] for row in ready}
    assert (await mesh.http.get("/v1/models/")).json() == models
    await took(gateway, RoutingTable("ns"))
    assert (await mesh.http.get("/v2/repository/index")).json() == []


async def test_the_weights_are_kept_and_the_name_fits_the_replica(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    counts = {"split_1": 0, "split_2": 0}
    for _ in range(300):
        answer = (await mesh.http.post("/v2/models/split/infer")).json()
        name = answer["path"].split("/")[3]
        counts[name] += 1
        assert name == "split_1" or answer["replica"] == "mlserver-1"
    assert 190 < counts["split_1"] < 280


async def test_metadata_and_ready_calls_name_the_model_too(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    metadata = (("seldon-model", "iris"),)
    ready = await mesh.stub.ModelReady(pb.ModelReadyRequest(name="iris", version="3"), metadata=metadata)
    assert ready.ready
    found = await mesh.stub.ModelMetadata(pb.ModelMetadataRequest(name="iris"), metadata=metadata)
    assert found.name == "iris_1"


async def test_a_stream_is_answered_message_by_message(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    call = mesh.stub.ModelStreamInfer(metadata=(("seldon-model", "iris"),))
    for size in (0, 1, 100_000, 5):
        await call.write(pb.ModelInferRequest(model_name="iris", id="i" * size))
        async with asyncio.timeout(60):
            answer = await call.read()
        assert (answer.model_name, len(answer.id)) == ("iris_1", size)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_many_messages_at_once_keep_their_borders(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    sizes = [0, 3, 16_000, 16_380, 16_384, 0, 0, 50_000, 1] * 5

    async def requests():
        for size in sizes:
            yield pb.ModelInferRequest(model_name="iris", id="i" * size)

    call = mesh.stub.ModelStreamInfer(requests(), metadata=(("seldon-model", "iris"),))
    assert [(a.model_name, len(a.id)) async for a in call] == [("iris_1", size) for size in sizes]


async def test_an_empty_message_gets_its_name(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    answer = await mesh.stub.ModelInfer(pb.ModelInferRequest(), metadata=(("seldon-model", "iris"),))
    assert answer.model_name == "iris_1"


async def test_64_mib_pass(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    size = 64 * 1024 * 1024
    answer = await mesh.http.post("/v2/models/iris/infer", content=b"x" * size)
    assert answer.json()["size"] == size
    request = pb.ModelInferRequest(model_name="iris", raw_input_contents=[b"x" * size])
    reply = await mesh.stub.ModelInfer(request, metadata=(("seldon-model", "iris"),))
    assert (reply.model_name, reply.id.split()[1]) == ("iris_1", str(size))


async def test_strangers_who_ask_for_the_list_are_bounded_and_told_so(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    gateway.index.allowance = Allowance(0.001, 3)
    answers = [await mesh.http.get("/v2/repository/index") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 503, 503]
    assert answers[-1].json() == no_list("ns").body()
    models = await mesh.http.get("/v1/models")
    assert (models.status_code, models.json()["error"]["code"]) == (503, "NoListOfModels")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await mesh.stub.RepositoryIndex(pb.RepositoryIndexRequest())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for size, compression in ((2_000, None), (5_000_000, None), (5_000_000, grpc.Compression.Gzip)):
        request = pb.RepositoryIndexRequest(repository_name="x" * size)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await mesh.stub.RepositoryIndex(request, compression=compression)
        assert caught.value.details() in {no_list_request("ns").message, not_decoded("ns").message}
    assert (await mesh.http.post("/v2/models/iris/infer", content=b"{}")).status_code == 200


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/v2/models/only-one_4/ready", "/v2/models/only-one/ready"),
        ("/v2/models/only-one_4", "/v2/models/only-one"),
        ("http://x:1/v2/models/only-one_4?a=/b", "http://x:1/v2/models/only-one?a=/b"),
        ("/v2/models/only-one_44/ready", "/v2/models/only-one_44/ready"),
        ("/elsewhere", "/elsewhere"),
    ],
)
async def test_a_redirect_has_the_name_that_callers_know(world, location, shown):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    one.status, one.headers = 307, {"location": location}
    answer = await mesh.http.get("/v2/models/only-one/metadata")
    assert (answer.status_code, answer.headers["location"]) == (307, shown)


@pytest.mark.parametrize("headers", ["", "Host: x\r\n", "Host: x\r\nConnection: keep-alive\r\n"])
async def test_http_1_0_is_answered(world, headers):
    """As `ab`, and nginx without settings, send it; an answer without keep-alive ends with the connection."""
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    reader, writer = await asyncio.open_connection("127.0.0.1", mesh.port)
    request = f"POST /v2/models/iris/infer HTTP/1.0\r\n{headers}Content-Length: 2\r\n\r\n{{}}"
    async with asyncio.timeout(30):
        for _ in range(2 if "keep-alive" in headers else 1):
            writer.write(request.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 OK\r\n" in head.split(b"content", 1)[0]
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            assert body["path"] == "/v2/models/iris_1/infer"
        if "keep-alive" not in headers:
            assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("status", [400, 404, 500, 502, 503, 504])
async def test_an_error_of_the_server_passes_and_is_not_repeated(world, status):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    one.status = two.status = status
    headers = {"x-envoy-retry-on": "5xx,retriable-4xx", "x-envoy-max-retries": "3"}
    answer = await mesh.http.post("/v2/models/iris/infer", content=b"{}", headers=headers)
    assert answer.status_code == status
    assert answer.json()["path"] == "/v2/models/iris_1/infer"
    assert one.calls + two.calls == 1


@pytest.mark.parametrize("status", ["INVALID_ARGUMENT", "INTERNAL", "UNAVAILABLE", "RESOURCE_EXHAUSTED"])
async def test_an_error_of_the_grpc_server_is_not_repeated(world, status):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    one.grpc.status = two.grpc.status = getattr(grpc.StatusCode, status)
    metadata = (("seldon-model", "iris"), ("x-envoy-retry-grpc-on", "unavailable,internal"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await mesh.stub.ModelInfer(pb.ModelInferRequest(), metadata=metadata)
    assert (caught.value.code().name, caught.value.details()) == (status, "as the test wants it")
    assert one.grpc.calls + two.grpc.calls == 1


async def test_a_dead_replica_fails_no_request(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    await one.stop()
    metadata = (("seldon-model", "iris"),)
    for _ in range(50):
        answer = await mesh.http.post("/v2/models/iris/infer", content=b"{}")
        assert (answer.status_code, answer.json()["replica"]) == (200, "mlserver-1")
        assert (await mesh.stub.ModelInfer(pb.ModelInferRequest(), metadata=metadata)).model_name == "iris_1"


async def test_the_death_of_the_only_replica_is_told_in_our_words(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    await one.stop()
    answer = await mesh.http.post("/v2/models/only-one/infer", content=b"{}")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body == no_answer("ns", "only-one", body["error"].partition("answered: ")[2]).body()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await mesh.stub.ModelInfer(pb.ModelInferRequest(), metadata=(("seldon-model", "only-one"),))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details().startswith("no replica of model only-one in namespace ns answered: ")


async def test_what_could_reach_another_model_by_its_path_does_not(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    for path in (
        "iris/..%2f..%2frepository/index",
        "iris%2F..%2fonly-one/infer",
        "a%5cb/infer",
        "a%00/infer",
    ):
        answer = await mesh.http.get(f"/v2/models/{path}")
        assert (answer.status_code, answer.json()) == (400, unclear_path("ns").body())
    calls = one.calls + two.calls
    assert (await mesh.http.get("/v2/models/iris/../../../etc")).status_code == 404
    assert one.calls + two.calls == calls


TRACE = (
    "trace/setting",
    "/trace/setting",
    "trace",
    *(f"{'versions/1/' * n}trace/setting" for n in (1, 2, 3)),
)


@pytest.mark.parametrize("path", TRACE)
async def test_what_would_change_a_server_for_all_its_models_reaches_none(world, path):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    answer = await mesh.http.post(f"/v2/models/iris/{path}", content=b"{}")
    assert (answer.status_code, answer.json()) == (404, not_served("ns", grpc=False).body())


async def test_the_callers_request_id_is_kept_and_internal_headers_are_not(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    headers = {
        "x-request-id": "mine",
        "seldon-internal-model": "other_1",
        "x-envoy-upstream-rq-timeout-ms": "1",
    }
    answer = await mesh.http.post("/v2/models/iris/infer", headers=headers)
    assert answer.headers["x-request-id"] == "mine"
    seen = answer.json()["headers"]
    assert seen["x-request-id"] == "mine"
    assert [name for name in seen if name.startswith(("seldon-internal", "x-envoy"))] == []


@contextmanager
def hole():
    """The port of a socket that never answers who connects: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(server.getsockname())
        yield server.getsockname()[1]


async def test_a_request_is_repeated_though_its_route_goes_elsewhere_meanwhile(world):
    gateway, mesh, one, two = world
    metadata = (("seldon-model", "iris"),)
    with hole() as port:
        unreachable = replace(one.replica, grpc_port=port)
        both, other = (
            Route((Backend("iris_1", 1, on),)) for on in ((unreachable, two.replica), (two.replica,))
        )
        await took(gateway, RoutingTable("ns", {"iris": both}))
        calls = [mesh.stub.ModelInfer(pb.ModelInferRequest(), metadata=metadata) for _ in range(20)]
        await until(lambda: two.grpc.calls, "some are answered")
        await took(gateway, RoutingTable("ns", {"iris": other}))
        assert two.grpc.calls < len(calls), "nobody waits for the replica that cannot be reached"
        async with asyncio.timeout(30):
            assert {(await call).id for call in calls} == {"mlserver-1 0"}
