"""The request metrics of a real Envoy: each request for inference once, by model and replica."""

import asyncio
import re
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from itertools import product

import grpc
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded
from tests.support import plain_http
from tests.support.dataplane import backend, control_plane, envoy, took, until

from bailie._gen import inference_pb2 as pb
from bailie.routing.table import Backend, NotReady, Route, RoutingTable

TOTAL = "envoy_seldon_model_infer_total"
IN_FLIGHT = "envoy_seldon_model_infer_in_flight"
SERIES = re.compile(r"(\w+)\{(.*)\} (\S+)")


@pytest.fixture
async def world(tmp_path):
    """A gateway, an Envoy, and two replicas."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend("mlserver-0"))
        two = await stack.enter_async_context(backend("ml-server-b-12"))
        gateway, port = await stack.enter_async_context(control_plane())
        yield gateway, await stack.enter_async_context(envoy(tmp_path, port)), one, two


def table(one, two, version=1):
    return RoutingTable(
        "ns",
        {
            "iris": Route((Backend(f"iris_{version}", 1, (one.replica,)),)),
            "split": Route((Backend("split_1", 1, (one.replica,)), Backend("split_2", 1, (two.replica,)))),
            "slow": NotReady("Loading", 'mlserver-0 is loading "slow"'),
        },
    )


async def series(mesh):
    """The series of seldon_…: by name, a list of (labels, value)."""
    async with plain_http.async_client() as client:
        text = (await client.get(f"http://127.0.0.1:{mesh.probe}/stats/prometheus")).text
    found = {}
    for name, labels, value in SERIES.findall(text):
        if name.startswith("envoy_seldon_"):
            pairs = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            found.setdefault(name, []).append((pairs, float(value)))
    return found


async def counted(mesh, name=TOTAL, **labels):
    """The sum of a counter's series that have `labels`."""
    return sum(
        value for pairs, value in (await series(mesh)).get(name, []) if labels.items() <= pairs.items()
    )


async def call(mesh, name, method):
    if method == "rest":
        return (await mesh.http.post(f"/v2/models/{name}/infer", content=b"{}")).status_code
    try:
        await mesh.stub.ModelInfer(pb.ModelInferRequest(), metadata=(("seldon-model", name),))
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_each_request_is_counted_once_by_model_version_replica_protocol_and_code(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    for name, method in product(("iris", "iris", "split", "slow", "nope"), ("rest", "grpc")):
        await call(mesh, name, method)
    one.status = 500
    await call(mesh, "iris", "rest")
    one.status, one.grpc.status = 200, grpc.StatusCode.INTERNAL
    await call(mesh, "iris", "grpc")
    await until(lambda: _is(mesh, 12), "all twelve are counted")
    of_one = {"server": "mlserver", "server_replica": "0", "model_internal": ":iris_1:", "model": "iris"}
    assert await counted(mesh, **of_one, method_type="rest", code="200") == 2
    assert await counted(mesh, **of_one, method_type="rest", code="500") == 1
    assert await counted(mesh, **of_one, method_type="grpc", code="OK") == 2
    assert await counted(mesh, **of_one, method_type="grpc", code="Internal") == 1
    assert await counted(mesh, model="split") == 2
    for replica, number in (("mlserver", "0"), ("ml-server-b", "12")):
        version = {"mlserver": ":split_1:", "ml-server-b": ":split_2:"}[replica]
        labels = {"server": replica, "server_replica": number}
        assert await counted(mesh, model="split", **labels) == await counted(mesh, model_internal=version)
    assert await counted(mesh, model="slow", server="", code="503") == 1
    assert await counted(mesh, model="slow", server="", code="Unavailable") == 1
    assert await counted(mesh, model="", code="404") == 1
    assert await counted(mesh, model="", code="NotFound") == 1


INFERENCES = (
    "infer",
    "infer/",
    "infer?a=b",
    "infer?/ready",
    "versions/1/infer",
    "infer_stream?x",
    "generate",
)
OTHERS = (
    "ready?/infer",
    "ready?a=/infer",
    "ready?/infer/",
    "ready?x=/generate?y",
    "ready?/completions",
    "x/ready?/infer",
)


async def test_a_query_neither_makes_an_inference_nor_hides_one(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    for path in (*OTHERS, *INFERENCES):
        await mesh.http.post(f"/v2/models/iris/{path}", content=b"{}")
    await mesh.http.post("/v2/models/iris/infer", content=b"{}", headers={"x-seldon-route": ":iris_1:"})
    await until(lambda: _is(mesh, len(INFERENCES) + 1), "the inferences are counted")
    one.held = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for path in OTHERS:
            group.create_task(mesh.http.post(f"/v2/models/iris/{path}", content=b"{}"))
        calls = one.calls
        await until(lambda: one.calls == calls + len(OTHERS), "all are under way")
        assert await counted(mesh, IN_FLIGHT, model="iris") == 0
        one.held.set()
    one.held = None
    assert await _is(mesh, len(INFERENCES) + 1)


async def _is(mesh, number, **labels):
    return await counted(mesh, **labels) == number


async def test_a_rollout_under_way_loses_no_request_and_counts_none_twice(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    sent, go_on = 0, True

    async def callers(method):
        nonlocal sent
        while go_on:
            sent += 1
            await call(mesh, "iris", method)

    async with asyncio.TaskGroup() as group:
        for method in ("rest", "grpc", "rest"):
            group.create_task(callers(method))
        for version in range(1, 12):
            await took(gateway, table(one, two, version))
            await until(lambda n=version: _some(mesh, f":iris_{n}:"), f"version {version} is counted")
        go_on = False
    await until(lambda: _is(mesh, sent, model="iris"), f"{sent} are counted")


async def _some(mesh, version):
    return await counted(mesh, model_internal=version) > 0


async def test_calls_that_are_no_inference_are_not_counted(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    for path in (
        "/v2/models/iris",
        "/v2/models/iris/ready",
        "/v2/health/live",
        "/v2",
        "/",
        "/v2/models/infer",
    ):
        await mesh.http.get(path)
    await mesh.stub.ModelReady(pb.ModelReadyRequest(name="iris"), metadata=(("seldon-model", "iris"),))
    await mesh.stub.ServerLive(pb.ServerLiveRequest())
    await call(mesh, "iris", "rest")
    await until(lambda: _is(mesh, 1, model="iris"), "the inference is counted")
    assert await counted(mesh) == 1


PATHS = (
    "/v2/models/iris/infer/",
    "/v2/models/iris/infer?a=b",
    "/v2/models/iris/versions/1/infer",
    "/v2/models/iris/generate",
    "/v2/models/iris/infer_stream",
    "/v2/models/iris/infer/chat/completions",
    "/v1/chat/completions",
    "/v1/embeddings",
)


async def test_every_path_of_inference_is_counted(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    for number, path in enumerate(PATHS, 1):
        answer = await mesh.http.post(path, json={"model": "iris", "input": ""})
        assert answer.status_code == 200
        await until(lambda n=number: _is(mesh, n, model="iris", code="200"), f"{path} is counted")


async def test_a_model_named_in_the_message_is_counted_under_its_name(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    await mesh.stub.ModelInfer(pb.ModelInferRequest(model_name="iris"))
    await until(lambda: _is(mesh, 1, model="iris", method_type="grpc"), "the call is counted")
    assert "misconfigured" not in mesh.log.read_text(), "Envoy finds the pairs of requests under way"


async def test_strangers_make_no_series(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    await call(mesh, "iris", "rest")
    before = {name: len(each) for name, each in (await series(mesh)).items()}
    for number in range(300):
        hostile = {"seldon-model": f"stranger-{number}", "x-seldon-route": f":stranger_{number}:"}
        await mesh.http.post(f"/v2/models/x{number}/infer", headers=hostile, content=b"{}")
        await mesh.http.post(
            "/v2/models/iris/infer", headers={"x-seldon-route": f":{number}:"}, content=b"{}"
        )
        with suppress(grpc.aio.AioRpcError):
            await mesh.stub.ModelInfer(pb.ModelInferRequest(model_name=f"y{number}"))
    after = {name: len(each) for name, each in (await series(mesh)).items()}
    per_set = ("total", "microseconds_total", "in_flight")
    grown = {name: after[name] - before[name] for name in after if name.endswith(per_set)}
    assert max(grown.values()) <= 2, grown
    assert await counted(mesh, model="") == 600
    assert await counted(mesh, model="iris", model_internal=":iris_1:") == 301


@asynccontextmanager
async def answering(statuses):
    """The port of a server that ends each gRPC call with the next of `statuses`, whatever they are."""

    async def serve(reader, writer):
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, StreamEnded):
                    head = [(":status", "200"), ("content-type", "application/grpc")]
                    head.append(("grpc-status", next(statuses)))
                    connection.send_headers(event.stream_id, head, end_stream=True)
            writer.write(connection.data_to_send())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_server_makes_no_series_by_answers_that_no_protocol_knows(world):
    gateway, mesh, one, _ = world
    statuses = iter(["0", "16", "17", "4711", "-1", "2147483647", *map(str, range(100, 200)), "x"])
    async with answering(statuses) as port:
        hostile = replace(one.replica, grpc_port=port)
        entries = {"iris": Route((Backend("iris_1", 1, (hostile,)),))}
        await took(gateway, RoutingTable("ns", entries))
        for _ in range(107):
            await call(mesh, "iris", "grpc")
    await until(lambda: _is(mesh, 107, model="iris"), "all are counted")
    codes = {pairs["code"] for pairs, _ in (await series(mesh))[TOTAL]}
    assert codes <= {"OK", "Unauthenticated", "Unknown"}


async def test_requests_under_way_are_a_gauge_that_comes_back_to_zero(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    one.held = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(call(mesh, "iris", "rest")) for _ in range(5)]
        await until(lambda: _under_way(mesh, 5), "five are under way")
        given_up = calls.pop()
        given_up.cancel()
        await until(lambda: _under_way(mesh, 4), "four are under way")
        one.held.set()
    await until(lambda: _under_way(mesh, 0), "none is under way")
    await until(lambda: _is(mesh, 5, model="iris"), "the one that was given up is counted, too")


async def _under_way(mesh, number):
    return await counted(mesh, IN_FLIGHT, model="iris") == number


async def test_times_are_a_histogram_by_replica(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    for _ in range(3):
        await call(mesh, "iris", "rest")
    name, labels = "envoy_seldon_model_infer_api_microseconds", {"server": "mlserver", "code": "200"}
    total = "envoy_seldon_model_infer_microseconds_total"
    await until(lambda: _is_at_least(mesh, f"{name}_count", 3), "the times are in the histogram")
    bounds = [
        pairs["le"] for pairs, _ in (await series(mesh))[f"{name}_bucket"] if labels.items() <= pairs.items()
    ]
    assert bounds == ["1000", "2500", "5000", "10000", "25000", "50000", "100000", "250000", "500000",
                      "1000000", "2500000", "5000000", "10000000", "+Inf"]  # fmt: skip
    assert 0 < await counted(mesh, total, model="iris") < 60e6


async def _is_at_least(mesh, name, number):
    return await counted(mesh, name) >= number


async def test_the_time_of_a_slow_caller_is_not_the_models(world):
    """A request counts from its last byte, a stream from its first."""
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    total, slow = "envoy_seldon_model_infer_microseconds_total", 0.6

    async def slowly():
        yield b"{"
        await asyncio.sleep(slow)
        yield b"}"

    assert (await mesh.http.post("/v2/models/iris/infer", content=slowly())).status_code == 200
    channel = mesh.channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
    call = channel(metadata=(("seldon-model", "iris"),))
    await call.write(b"")
    await asyncio.sleep(slow)
    await call.done_writing()
    await call
    await until(lambda: _is(mesh, 2, model="iris"), "both are counted")
    assert 0 < await counted(mesh, total, model="iris") < slow * 1e6
    stream = mesh.stub.ModelStreamInfer(metadata=(("seldon-model", "split"),))
    await stream.write(pb.ModelInferRequest())
    await stream.read()
    await asyncio.sleep(slow)
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF
    await until(lambda: _is(mesh, 1, model="split"), "the stream is counted")
    assert await counted(mesh, total, model="split") > slow * 1e6


async def test_the_time_of_an_answer_before_the_end_of_the_request_is_known(world):
    gateway, mesh, one, two = world
    await took(gateway, table(one, two))
    reader, writer = await asyncio.open_connection("127.0.0.1", mesh.port)
    writer.write(b"POST /v2/models/slow/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
    assert b" 503 " in await reader.readline()
    writer.close()
    name = "envoy_seldon_model_infer_api_microseconds_count"
    await until(lambda: _is_at_least(mesh, name, 1), "the time is in the histogram")
