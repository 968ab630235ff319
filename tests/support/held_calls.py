"""An agent's port for gRPC calls whose model is not in memory, before a real server, with a model that comes
when the test says."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
from tests.support.dataplane import NO_LIMIT, Servicer

from bailie._gen import inference_pb2 as pb
from bailie._gen import inference_pb2_grpc as pb_grpc
from bailie.agent.errors import HoldRefused
from bailie.agent.settings import Settings
from bailie.agent.waiting.grpc import serve_grpc
from bailie.agent.waiting.http2 import Http2Connection
from bailie.agent.waiting.requests import WaitingRequests
from bailie.lifecycle.copies import CopyState

ASKS = (("bailie-version", "iris_1"),)
"""What Envoy adds to a call."""


def call_headers(method, *more):
    """Returns the headers of a gRPC call, as HTTP/2 has them."""
    path = b"/inference.GRPCInferenceService/" + method
    head = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x")]
    return [*head, (b"content-type", b"application/grpc"), (b"te", b"trailers"), *more]


def agent_settings(**more):
    """Returns the settings of the agent of the one replica."""
    return Settings(namespace="a", pod="mlserver-0", server="mlserver", replica=0, **more)


class Gate:
    """One model, which is in memory from when the test says so."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.waiting = 0
        self.passing = set()

    def state(self, server_name):
        return CopyState.LOADED if self.opened.is_set() else CopyState.EVICTED

    @asynccontextmanager
    async def hold(self, server_name, seconds, parent):
        self.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await self.opened.wait()
        finally:
            self.waiting -= 1
        try:
            async with asyncio.timeout(None) as limit:
                self.passing.add(limit)
                yield
        except TimeoutError:
            raise HoldRefused("ModelNotInMemory", "the test wants it so") from None

    def cut_off(self):
        """Ends the requests that the server is answering, as an eviction does that has waited long enough."""
        for limit in self.passing:
            limit.reschedule(0.0)


class Held:
    """The agent's port with `gate` before a real server, which says what it was asked."""

    def __init__(self, gate, servicer, port, server):
        self.gate, self.servicer, self.port, self.server = gate, servicer, port, server
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=NO_LIMIT)
        self.stub = pb_grpc.GRPCInferenceServiceStub(self.channel)

    def infer(self, size=1, **more):
        request = pb.ModelInferRequest(model_name="iris_1", raw_input_contents=[bytes(size)])
        return self.stub.ModelInfer(request, metadata=ASKS, **{"timeout": 30, **more})

    async def connect(self):
        """Opens a connection that does what the test says."""
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(Http2Connection, "127.0.0.1", self.port)
        return made


@asynccontextmanager
async def held(**settings):
    gate, servicer = Gate(), Servicer("server")
    server = grpc.aio.server(options=NO_LIMIT)
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    known = agent_settings(grpc_port=port, held_grpc_port=0, **settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.stop, 0)
        at = await stack.enter_async_context(serve_grpc(WaitingRequests(gate, known), known))
        made = Held(gate, servicer, at, server)
        await stack.enter_async_context(made.channel)
        yield made
