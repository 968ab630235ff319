"""A gRPC server that updates its HTTP/2 windows much more often than it gets data keeps its connection."""

from __future__ import annotations

import asyncio

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived
from h2.exceptions import ProtocolError
from tests.support.dataplane import control_plane, envoy, took

from bailie._gen import inference_pb2 as pb
from bailie.routing.table import Backend, ReplicaEndpoint, Route, RoutingTable

UPDATES = 200
"""Of a stream: Envoy's default closes the connection of one call at 28."""


class UpdatingServer(asyncio.Protocol):
    """Answers each call after many small updates of its window."""

    def connection_made(self, transport):
        self.transport, self.engine = transport, H2Connection(H2Configuration(client_side=False))
        self.engine.initiate_connection()
        self.flush()

    def data_received(self, data):
        try:
            for event in self.engine.receive_data(data):
                self.take(event)
            self.flush()
        except ProtocolError:  # Envoy asks for the server's health over HTTP/1
            self.transport.close()

    def take(self, event):
        if isinstance(event, RequestReceived):
            for _ in range(UPDATES):
                self.engine.increment_flow_control_window(1, event.stream_id)
        elif isinstance(event, DataReceived):
            self.engine.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_ended:
                self.answer(event.stream_id)

    def answer(self, number):
        message = pb.ModelInferResponse(id="answered").SerializeToString()
        self.engine.send_headers(number, [(":status", "200"), ("content-type", "application/grpc")])
        self.engine.send_data(number, len(message).to_bytes(5, "big") + message)
        self.engine.send_headers(number, [("grpc-status", "0")], end_stream=True)

    def flush(self):
        self.transport.write(self.engine.data_to_send())


async def test_a_server_that_updates_its_windows_often_keeps_the_calls_of_all(tmp_path):
    server = await asyncio.get_running_loop().create_server(UpdatingServer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    replica = ReplicaEndpoint("mlserver-0", "127.0.0.1", port, port)
    async with server, control_plane() as (gateway, xds), envoy(tmp_path, xds) as mesh:
        await took(gateway, RoutingTable("ns", {"iris": Route((Backend("iris_1", 1, (replica,)),))}))
        calls = [
            mesh.stub.ModelInfer(pb.ModelInferRequest(model_name="iris", id=str(number)), timeout=30)
            for number in range(20)
        ]
        assert {answer.id for answer in await asyncio.gather(*calls)} == {"answered"}
