"""Callers who read no answer, and servers that read no request: others on the connection are answered."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from dataclasses import replace

from benchmarks import raw_http2
from tests.support.dataplane import backend, control_plane, envoy, took, until

from bailie._gen import inference_pb2 as pb
from bailie.routing.table import Backend, Route, RoutingTable

MEBIBYTE = 2**20
INFER = "/inference.GRPCInferenceService/ModelInfer"
EMPTY = bytes(5)
SLOW = 4
"""Callers at a time: the windows of their streams together are twice that which a connection had."""


def table(**replicas):
    return RoutingTable(
        "ns", {name: Route((Backend(f"{name}_1", 1, (each,)),)) for name, each in replicas.items()}
    )


async def stands_still(mesh, counter):
    """Waits until no byte has come for a while: all windows are used up."""
    seen = []

    async def still():
        async with mesh.admin() as admin:
            found = await admin.get("/stats", params={"filter": f"{counter}$"})
        seen.append(found.text)
        await asyncio.sleep(0.05)
        return "0" not in found.text.split() and len(set(seen[-10:])) == 1 and len(seen) >= 10

    await until(still, "nothing comes any more")


async def test_answers_that_nobody_reads_hold_up_no_other_answer(tmp_path):
    """All calls to a replica share a connection of Envoy's."""
    async with (
        backend() as one,
        control_plane() as (gateway, port),
        envoy(tmp_path, port) as mesh,
        AsyncExitStack() as callers,
    ):
        one.grpc.outputs["hog_1"] = bytes(40 * MEBIBYTE)
        await took(gateway, table(hog=one.replica, iris=one.replica))
        for _ in range(SLOW):
            caller = await callers.enter_async_context(raw_http2.connection(mesh.port))
            await caller.send(caller.begin(raw_http2.grpc_headers(INFER, "hog")), [EMPTY])
        await until(lambda: one.grpc.calls == SLOW, "the server answers")
        await stands_still(mesh, "grpc/mlserver-0.upstream_cx_rx_bytes_total")
        for _ in range(3):
            answer = await mesh.stub.ModelInfer(pb.ModelInferRequest(model_name="iris"), timeout=20)
            assert answer.model_name == "iris_1"


async def test_requests_that_no_server_reads_hold_up_no_other_request(tmp_path):
    """An ingress, and another mesh, have calls of many callers on one connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        async with (
            backend() as one,
            control_plane() as (gateway, port),
            envoy(tmp_path, port) as mesh,
            AsyncExitStack() as callers,
        ):
            hung = replace(one.replica, name="hung-0", grpc_port=silent.getsockname()[1])
            await took(gateway, table(hog=hung, iris=one.replica))
            ingress = await callers.enter_async_context(raw_http2.connection(mesh.port))
            size = 15 * MEBIBYTE
            for _ in range(SLOW):
                stream = ingress.begin(raw_http2.grpc_headers(INFER, "hog"))
                head = bytes([0]) + (2 * size).to_bytes(4, "big")
                await ingress.send(stream, [head, *[bytes(16_384)] * (size // 16_384)], end=False)
            stream = ingress.begin(raw_http2.grpc_headers(INFER, "iris"))
            await ingress.send(stream, [EMPTY])
            assert (await ingress.answer(stream, 20)).headers["grpc-status"] == "0"
