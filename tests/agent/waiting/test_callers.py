"""Callers who connect to the ports for requests that wait, and ask nothing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import grpc
import pytest
from tests.support.dataplane import NO_LIMIT, Servicer
from tests.support.held_calls import ASKS, Gate, agent_settings
from tests.support.waiting import until

from bailie._gen import inference_pb2 as pb
from bailie._gen import inference_pb2_grpc as pb_grpc
from bailie.agent.waiting.grpc import serve_grpc
from bailie.agent.waiting.http import serve_http
from bailie.agent.waiting.requests import WaitingRequests
from bailie.kube.callers import Callers

MOST, STRANGERS = 8, 60
INFER = b"POST /v2/models/iris_1/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"


class Ports:
    """Both ports of an agent before a server, with a model that is in memory once `gate` is open."""

    def __init__(self, gate, http, held_grpc):
        self.gate, self.http, self.grpc = gate, http, held_grpc


@pytest.fixture
async def ports():
    gate, server = Gate(), grpc.aio.server(options=NO_LIMIT)
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer("server"), server)
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    rest = await asyncio.start_server(_answer, "127.0.0.1", 0)
    http_port = rest.sockets[0].getsockname()[1]
    settings = agent_settings(http_port=http_port, grpc_port=grpc_port, held_http_port=0, held_grpc_port=0)
    requests = WaitingRequests(gate, settings)
    requests.callers = Callers(MOST)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.stop, 0)
        await stack.enter_async_context(rest)
        http = await stack.enter_async_context(serve_http(requests, settings))
        yield Ports(gate, http, await stack.enter_async_context(serve_grpc(requests, settings)))


async def _answer(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\niris")
    writer.close()


@pytest.mark.parametrize(
    "begun", [b"", b"POST /v2/models/iris_1/infer HTTP/1.1\r\nhost: x\r\n", b"PRI * HTTP"]
)
async def test_strangers_who_connect_and_ask_nothing_take_no_place_of_a_request(ports, begun):
    async with asyncio.timeout(30), AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc}"))
        stub = pb_grpc.GRPCInferenceServiceStub(channel)
        call = stub.ModelInfer(pb.ModelInferRequest(model_name="iris_1"), metadata=ASKS, timeout=30)
        reader, writer = await asyncio.open_connection("127.0.0.1", ports.http)
        stack.callback(writer.close)
        writer.write(INFER)
        await until(lambda: ports.gate.waiting == 2)
        strangers = []
        for number in range(STRANGERS):
            port = ports.grpc if number % 2 else ports.http
            strangers.append(await asyncio.open_connection("127.0.0.1", port))
            stack.callback(strangers[-1][1].close)
            strangers[-1][1].write(begun)
        reading = [group.create_task(_until_closed(each)) for each, _ in strangers]
        await until(lambda: sum(each.done() for each in reading) >= STRANGERS - MOST + 2)
        ports.gate.opened.set()
        assert (await reader.readuntil(b"iris")).startswith(b"HTTP/1.1 200")
        assert (await call).model_name
        for each in reading:
            each.cancel()


async def _until_closed(reader):
    try:
        while await reader.read(1 << 10):
            pass
    except ConnectionError:
        pass
