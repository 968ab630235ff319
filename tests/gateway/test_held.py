"""A real Envoy before an agent that answers for a model that is not in memory."""

from __future__ import annotations

import asyncio

from tests.support.dataplane import control_plane, envoy, took
from tests.support.held_calls import held
from tests.support.waiting import until

from bailie._gen import inference_pb2 as pb
from bailie.routing.table import Backend, ReplicaEndpoint, Route, RoutingTable

MIB = 1 << 20


async def test_calls_of_grpc_wait_in_the_agent_and_reach_its_server_whole(tmp_path):
    async with held() as port, control_plane() as (plane, xds), envoy(tmp_path, xds) as mesh:
        agent = ReplicaEndpoint("mlserver-0.held", "127.0.0.1", port.port, port.port)
        await took(plane, RoutingTable("ns", {"iris": Route((Backend("iris_1", 1, (agent,)),))}))
        known = (("seldon-model", "iris"), ("bailie-version", "other_1"))

        async def infer(size):
            request = pb.ModelInferRequest(model_name="iris", raw_input_contents=[bytes(size)])
            return await mesh.stub.ModelInfer(request, metadata=known, timeout=60)

        sizes = [1, 70_000, 9 * MIB]
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(infer(size)) for size in sizes]
            await until(lambda: port.gate.waiting == len(sizes))
            assert (await mesh.stub.ModelReady(pb.ModelReadyRequest(name="iris"), metadata=known)).ready
            assert port.servicer.calls == 0
            port.gate.opened.set()
        assert [task.result().id for task in calls] == [f"server {size}" for size in sizes]
        assert {task.result().model_name for task in calls} == {"iris_1"}

        stream = mesh.stub.ModelStreamInfer(metadata=known, timeout=60)
        for number in range(3):
            await stream.write(pb.ModelInferRequest(model_name="iris", id="x" * MIB * number))
            assert len((await stream.read()).id) == MIB * number
        await stream.done_writing()
