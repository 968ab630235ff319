"""Too many requests, connections and bytes before Envoy: who is refused, in which words, and who is not."""

import asyncio
import socket
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

import grpc
import httpx
import psutil
import pytest
from benchmarks import raw_http2
from tests.support import plain_http
from tests.support.dataplane import backend, control_plane, envoy, took, until

from bailie._gen import inference_pb2 as pb
from bailie.gateway import descriptors
from bailie.gateway.bootstrap import LEAST_PROBES, PROBE_SECONDS
from bailie.gateway.publisher import Gateway
from bailie.gateway.resources import CLUSTER_URL, Encoder
from bailie.routing.refusal import data_plane_overloaded, replicas_overloaded, share_taken
from bailie.routing.table import Backend, ReplicaEndpoint, Route, RouteMirror, RoutingTable

MEBIBYTE = 2**20
METADATA = (("seldon-model", "iris"),)
INFER = "/inference.GRPCInferenceService/ModelInfer"


def iris(*replicas) -> RoutingTable:
    return table("iris", replicas=replicas)


def table(*names, replicas) -> RoutingTable:
    return RoutingTable("ns", {name: Route((Backend(f"{name}_1", 1, replicas),)) for name in names})


async def ask(mesh, name="iris") -> httpx.Response:
    return await mesh.http.post(f"/v2/models/{name}/infer", content=b"{}")


@pytest.mark.parametrize("replicas", [1, 2])
async def test_what_the_replicas_cannot_take_is_refused_at_once(tmp_path, replicas):
    """The limit is one of each replica, for one name and for two names together; those under way are
    answered, and room is found again."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(backend(f"mlserver-{n}")) for n in range(replicas)]
        gateway, port = await stack.enter_async_context(control_plane(Gateway(5)))
        mesh = await stack.enter_async_context(envoy(tmp_path, port))
        endpoints = tuple(server.replica for server in servers)
        await took(gateway, table("iris", "rose", "lily", replicas=endpoints))
        gate = asyncio.Event()
        for server in servers:
            server.held = gate
        async with asyncio.TaskGroup() as tasks:
            asked = [name for name in ("iris", "rose") for _ in range(5 * replicas)]
            waiting = [tasks.create_task(ask(mesh, name)) for name in asked]
            await until(lambda: sum(s.calls for s in servers) == len(asked), "all are under way")
            for name, why in (("iris", share_taken), ("rose", share_taken), ("lily", replicas_overloaded)):
                refused = await ask(mesh, name)
                assert (refused.status_code, refused.json()) == (503, why("ns", name).body())
            gate.set()
        assert {task.result().status_code for task in waiting} == {200}
        assert (await ask(mesh)).status_code == 200


def test_no_limit_is_too_high_for_envoy():
    replicas = tuple(ReplicaEndpoint(f"s-{n:04}", "127.0.0.1", 1, 2) for n in range(5_000))
    *_, snapshot = Encoder(1_000_000).work(iris(*replicas), 1)
    (made, _) = snapshot.resources[CLUSTER_URL].values()
    assert descriptors.to_dict(made.message)["resource"]["circuit_breakers"]["thresholds"][0][
        "max_requests"
    ] == (2**31 - 1)


async def test_grpc_is_refused_in_the_same_words(tmp_path):
    async with (
        backend() as one,
        control_plane(Gateway(3)) as (gateway, port),
        envoy(tmp_path, port) as mesh,
    ):
        await took(gateway, iris(one.replica))
        calls = [mesh.stub.ModelStreamInfer(metadata=METADATA) for _ in range(3)]
        for call in calls:
            await call.write(pb.ModelInferRequest())
            await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await mesh.stub.ModelInfer(pb.ModelInferRequest(), metadata=METADATA)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert caught.value.details() == share_taken("ns", "iris").message
        for call in calls:
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF
        assert (await mesh.stub.ModelInfer(pb.ModelInferRequest(), metadata=METADATA)).model_name == "iris_1"


async def test_an_envoy_that_is_short_of_memory_says_so(tmp_path):
    """With less memory than it needs for itself; probes and metrics answer all the same."""
    async with (
        backend() as one,
        control_plane() as (gateway, port),
        envoy(tmp_path, port, memory=4 * MEBIBYTE) as mesh,
    ):
        await took(gateway, iris(one.replica))
        expected = data_plane_overloaded("ns")

        async def refused():
            return (await ask(mesh)).status_code == 503

        await until(refused, "Envoy has looked at its memory")
        answer = await ask(mesh)
        assert (answer.status_code, answer.json()) == (503, expected.body())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await mesh.stub.ModelInfer(pb.ModelInferRequest(), metadata=METADATA)
        assert (caught.value.code().name, caught.value.details()) == ("UNAVAILABLE", expected.message)
        async with plain_http.async_client(base_url=f"http://127.0.0.1:{mesh.probe}") as client:
            for path in ("/live", "/ready", "/stats/prometheus"):
                assert (await client.get(path)).status_code == 200


async def test_connections_above_the_limit_are_closed_and_probes_are_not(tmp_path):
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend())
        gateway, port = await stack.enter_async_context(control_plane())
        mesh = await stack.enter_async_context(envoy(tmp_path, port, max_connections=10))
        await took(gateway, iris(one.replica))
        opened = [await asyncio.open_connection("127.0.0.1", mesh.port) for _ in range(30)]
        gone = 0
        for reader, _ in opened[10:]:
            with suppress(ConnectionResetError):
                async with asyncio.timeout(30):
                    assert await reader.read() == b""
            gone += 1
        assert gone == 20
        async with plain_http.async_client() as client:
            assert (await client.get(f"http://127.0.0.1:{mesh.probe}/live")).status_code == 200
        for _, writer in opened:
            writer.close()

        async def served():
            with suppress(httpx.TransportError):
                return (await ask(mesh)).status_code == 200

        await until(served, "others are served when they have gone")


async def test_every_listener_has_a_limit_of_connections(tmp_path):
    """That of all connections, or one of its own; no other limit holds for a socket of Envoy's own user."""
    async with (
        backend() as one,
        control_plane() as (gateway, port),
        envoy(tmp_path, port, address="127.0.0.6") as mesh,
    ):
        route = Route((Backend("iris_1", 1, (one.replica,)),))
        mirrored = replace(route, mirror=RouteMirror("rose", 1))
        await took(gateway, RoutingTable("ns", {"iris": mirrored}, mirrors={"rose": route}, takes_over=True))
        async with mesh.admin() as client:
            found = (await client.get("/config_dump?resource=dynamic_listeners")).json()["configs"]
            found += (await client.get("/config_dump?resource=static_listeners")).json()["configs"]
            limits = (await client.get("/runtime")).json()["entries"]
    listeners = [each.get("active_state", each)["listener"] for each in found]
    assert {each["name"] for each in listeners} == {"inference", "handed-back", "mirror", "probe"}
    for each in listeners:
        own = limits.get(f"envoy.resource_limits.listener.{each['name']}.connection_limit")
        assert ("ignore_global_conn_limit" in each) == (own is not None), each["name"]
        assert own is None or int(own["final_value"]) > 0


async def test_connections_to_the_port_of_probes_are_limited_and_soon_given_up(tmp_path):
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend())
        gateway, port = await stack.enter_async_context(control_plane())
        mesh = await stack.enter_async_context(envoy(tmp_path, port, max_connections=20))
        await took(gateway, iris(one.replica))
        opened = [await asyncio.open_connection("127.0.0.1", mesh.probe) for _ in range(3 * LEAST_PROBES)]
        async with asyncio.TaskGroup() as tasks:
            ends = [tasks.create_task(_end(reader)) for reader, _ in opened]

            def ended():
                return sum(each.done() for each in ends)

            await until(lambda: ended() >= 2 * LEAST_PROBES, "those above the limit end")
            assert ended() <= 2 * LEAST_PROBES + 1
            assert (await ask(mesh)).status_code == 200
            begun = asyncio.get_running_loop().time()
            await until(lambda: ended() == len(ends), "silent ones end", 3 * PROBE_SECONDS)
        assert asyncio.get_running_loop().time() - begun > 0.5 * PROBE_SECONDS
        async with plain_http.async_client() as client:
            assert (await client.get(f"http://127.0.0.1:{mesh.probe}/ready")).status_code == 200
        for _, writer in opened:
            writer.close()


async def _end(reader):
    with suppress(ConnectionResetError):
        while await reader.read(1 << 10):
            pass


async def test_who_reads_no_statistics_keeps_no_probe_from_its_answer(tmp_path):
    async with AsyncExitStack() as stack:
        gateway, port = await stack.enter_async_context(control_plane())
        mesh = await stack.enter_async_context(envoy(tmp_path, port))
        await took(gateway, RoutingTable("ns"))
        readers = []
        for _ in range(LEAST_PROBES):
            held = socket.socket()
            held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            held.connect(("127.0.0.1", mesh.probe))
            held.sendall(b"GET /stats/prometheus HTTP/1.1\r\nHost: x\r\n\r\n")
            readers.append(stack.enter_context(held))
        async with plain_http.async_client(base_url=f"http://127.0.0.1:{mesh.probe}") as client:
            for path in ("/ready", "/live"):
                assert (await client.get(path)).status_code == 200


async def test_headers_that_never_end_are_given_up(tmp_path):
    async with control_plane() as (gateway, port), envoy(tmp_path, port) as mesh:
        await took(gateway, RoutingTable("ns"))
        reader, writer = await asyncio.open_connection("127.0.0.1", mesh.port)
        writer.write(b"GET /v2/models/iris HTTP/1.1\r\nHost: x\r\na: b\r\n")
        async with asyncio.timeout(60):
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()


CALLERS, WAVES = 30, 15


async def pour(port: int, wave: asyncio.Barrier) -> None:
    """Two calls on one connection that say all that a caller may say at once, 1 MiB in each wave."""
    message = raw_http2.grpc_headers(INFER, "iris")
    head = bytes([0]) + (64 * MEBIBYTE).to_bytes(4, "big") + b"\x3a" + b"\x80\x80\x80\x10"
    async with raw_http2.connection(port) as connection:
        for _ in range(2):
            stream = connection.begin(message)
            await connection.send(stream, [head], end=False)
            for _ in range(WAVES):
                await wave.wait()
                with suppress(ConnectionError):
                    await connection.send(stream, [bytes(16_384)] * 64, end=False)
        await asyncio.Event().wait()


async def looked_at_its_memory(mesh) -> None:
    """Waits until Envoy has: its main thread does that every 50 ms, and answers these requests, too."""
    async with mesh.admin() as admin:
        await admin.get("/ready")
        await asyncio.sleep(0.06)
        await admin.get("/ready")


async def test_bytes_that_no_server_reads_do_not_fill_the_memory(tmp_path):
    """Calls that hold most are given up, and others are served all along.

    What comes between two looks is kept, so the callers go on when Envoy has looked: on a busy machine it may
    look late, and a bound of memory would be one of its processors.
    """
    limit, largest = 256 * MEBIBYTE, 0
    with socket.create_server(("127.0.0.1", 0), backlog=1_000) as silent:
        async with (
            backend() as one,
            control_plane() as (gateway, port),
            envoy(tmp_path, port, memory=limit) as mesh,
        ):
            await took(gateway, iris(replace(one.replica, grpc_port=silent.getsockname()[1])))
            process, wave = psutil.Process(mesh.process.pid), asyncio.Barrier(CALLERS + 1)
            async with asyncio.TaskGroup() as tasks:
                callers = [tasks.create_task(pour(mesh.port, wave)) for _ in range(CALLERS)]
                for _ in range(2 * WAVES):
                    await wave.wait()
                    await ask(mesh)
                    largest = max(largest, process.memory_info().rss)
                    await looked_at_its_memory(mesh)
                for caller in callers:
                    caller.cancel()

            async def served():
                return (await ask(mesh)).status_code == 200

            await until(served, "others are served afterwards")
            assert 100 * MEBIBYTE < largest < 1.2 * limit, f"{largest / MEBIBYTE:.0f} MiB"
