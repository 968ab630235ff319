"""Another mesh, or an Envoy, whose machine is gone: no word comes from there, and no end of a connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import grpc
import pytest
from tests.gateway.test_server_windows import UpdatingServer
from tests.support.dataplane import control_plane, envoy, took, until

from bailie._gen import inference_pb2 as pb
from bailie.gateway import meshes
from bailie.gateway.clusters import SILENT_SECONDS
from bailie.routing.table import Elsewhere, NotReady, RoutingTable


class GoneServer(UpdatingServer):
    """Answers calls, and pings, until its machine is gone: then it takes bytes and says nothing."""

    gone = False

    def data_received(self, data):
        if not self.gone:
            super().data_received(data)


async def test_a_call_ends_soon_at_a_mesh_whose_machine_is_gone(tmp_path):
    made = []

    def answering():
        made.append(GoneServer())
        return made[-1]

    server = await asyncio.get_running_loop().create_server(answering, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, control_plane() as (gateway, xds), envoy(tmp_path, xds) as mesh:
        await took(gateway, RoutingTable("ns", {"iris": Elsewhere("127.0.0.1", port)}))
        request = pb.ModelInferRequest(model_name="iris")
        metadata = (("seldon-model", "iris"),)
        assert (await mesh.stub.ModelInfer(request, metadata=metadata)).id == "answered"
        for each in made:
            each.gone = True
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(SILENT_SECONDS)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await mesh.stub.ModelInfer(request, metadata=metadata, timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert loop.time() - begun < 2 * (SILENT_SECONDS + meshes.PING_SECONDS) + 5


class Relay:
    """Passes bytes on between an Envoy and its scheduler, until the Envoy's machine is gone."""

    def __init__(self, port):
        self.port, self.gone, self.writers = port, False, []

    async def __call__(self, reader, writer):
        scheduler_reader, scheduler = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers += (writer, scheduler)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pass_on(reader, scheduler))
            both.create_task(self._pass_on(scheduler_reader, writer))

    async def _pass_on(self, reader, writer):
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if not self.gone:
                    writer.write(data)
        if not self.gone:
            writer.close()


async def test_an_envoy_whose_machine_is_gone_holds_nothing_up(tmp_path):
    """There is no response under way, of which the Envoy would owe an answer."""
    async with control_plane() as (gateway, xds):
        relay = Relay(xds)
        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with envoy(tmp_path, xds, name="stays"), envoy(tmp_path, port, name="goes"):
            await took(gateway, RoutingTable("ns"))
            await until(lambda: [each.serving for each in gateway.envoys()] == [True, True], "both serve")
            relay.gone = True
            await until(lambda: [each.pod for each in gateway.envoys()] == ["stays"], "one is gone", 30)
            await took(gateway, RoutingTable("ns", {"iris": NotReady("Loading", "it is not")}))
        server.close()
        for each in relay.writers:
            each.close()
