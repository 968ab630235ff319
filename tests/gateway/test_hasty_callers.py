"""Callers who leave before they have an answer, hundreds a second, beside others on the same connection."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from benchmarks import raw_http2
from tests.support.dataplane import backend, control_plane, envoy, took, until

from bailie._gen import inference_pb2 as pb
from bailie.routing.table import Backend, Elsewhere, Route, RoutingTable

CALL = "/inference.GRPCInferenceService/ModelStreamInfer"
HEADERS = raw_http2.header_block(raw_http2.grpc_headers(CALL, "iris"))
LEFT = 600
"""Beyond 250 Envoy's default closes the connection."""


@asynccontextmanager
async def meshed(folder):
    """A mesh that serves `iris`, and one that passes `iris` on to it."""
    async with (
        backend("mlserver-0") as one,
        control_plane() as (gateway, port),
        envoy(folder, port, name="served") as served,
        control_plane() as (passing, further),
        envoy(folder, further, name="passing") as before,
    ):
        await took(gateway, RoutingTable("ns", {"iris": Route((Backend("iris_1", 1, (one.replica,)),))}))
        await took(passing, RoutingTable("ns", {"iris": Elsewhere("127.0.0.1", served.port)}))
        yield {"served": served, "passing": before}, one


def left(streams):
    """Calls that begin and end at once."""
    leave = (0).to_bytes(4, "big")
    return b"".join(
        raw_http2.frame(raw_http2.HEADERS, raw_http2.END_HEADERS, stream, HEADERS)
        + raw_http2.frame(raw_http2.RST_STREAM, 0, stream, leave)
        for stream in streams
    )


async def stat(mesh, name):
    async with mesh.admin() as admin:
        found = (await admin.get("/stats", params={"filter": f"{name}$", "format": "json"})).json()["stats"]
    return sum(each["value"] for each in found if "value" in each)


async def repeated(stream, times=1):
    """A caller's own call, which goes on all the while."""
    for number in range(times):
        await stream.write(pb.ModelInferRequest(model_name="iris", id=str(number)))
        assert (await stream.read()).id == str(number)


async def leaves(mesh, server, calls):
    """Calls of the channel of all callers, left when the server has them and has not answered."""
    for _ in range(calls // 20):
        before = server.grpc.calls
        group = [mesh.stub.ModelStreamInfer(metadata=(("seldon-model", "iris"),)) for _ in range(20)]
        await until(lambda expected=before + 20: server.grpc.calls == expected, "the server has them")
        for each in group:
            each.cancel()


@pytest.mark.parametrize("which", ["served", "passing"])
async def test_who_leaves_closes_nobodys_connection(tmp_path, which):
    async with meshed(tmp_path) as (found, server):
        mesh = found[which]
        stays = mesh.stub.ModelStreamInfer(metadata=(("seldon-model", "iris"),))
        await repeated(stays)
        await leaves(mesh, server, LEFT)
        await repeated(stays, 3)
        stays.cancel()
        assert await stat(mesh, "inference.downstream_rq_rx_reset") >= LEFT
        if which == "passing":
            made = await stat(mesh, r"cluster.mesh/.*upstream_cx_http2_total")
            assert made >= LEFT // 200
            assert await stat(mesh, r"upstream_cx_destroy_with_active_rq") == 0


async def test_a_flood_of_calls_that_are_left_waits_for_itself(tmp_path):
    """Others have their turns between the thousands of requests of each write."""
    async with meshed(tmp_path) as (found, _):
        mesh, flooded = found["served"], asyncio.Event()

        async def flood():
            async with raw_http2.connection(mesh.port) as connection:
                for number in range(20):
                    connection.write(left(range(1 + 2_000 * number, 2_001 + 2_000 * number, 2)))
                    await connection.writer.drain()
                flooded.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(flood())
            answers = []
            while not flooded.is_set() or len(answers) < 20:
                answers.append((await mesh.http.post("/v2/models/iris/infer", content=b"{}")).status_code)
        assert set(answers) == {200}
