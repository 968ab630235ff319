"""Requests for models that are not in memory: a real agent and a real MLServer, REST and gRPC."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import pytest
from tests.agent.conftest import load, running, unload, version
from tests.support import plain_http
from tests.support.models import infer_body
from tests.support.waiting import until_true

from bailie._gen import agent_pb2 as pb
from bailie._gen import inference_pb2, inference_pb2_grpc
from bailie.agent.waiting.http2 import WINDOW
from bailie.agent.waiting.requests import EACH_BYTES
from bailie.wellknown.headers import VERSION

LOADED, EVICTING, EVICTED = pb.MODEL_STATE_LOADED, pb.MODEL_STATE_EVICTING, pb.MODEL_STATE_EVICTED
MIB = 1 << 20


@pytest.fixture
def settings(settings):
    """Memory for one model; the agent may have two."""
    return replace(
        settings,
        memory_bytes=100 * MIB,
        overcommit_percent=100,
        held_http_port=0,
        held_grpc_port=0,
        hold_seconds=20.0,
    )


class Held:
    """An agent with two models of which one is in memory, and who asks it for the other."""

    def __init__(self, scheduler, http, channel):
        self.scheduler, self.http = scheduler, http
        self.stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel) if channel else None
        self.first, self.second = version("first"), version("second")

    async def load(self, of, uri):
        command = load(of, uri)
        command.memory_bytes = 60 * MIB
        self.scheduler.send(command)

    async def grant(self, of):
        """Gives leave to evict when it is asked for."""
        asked = await self.scheduler.reaches(of, EVICTING)
        self.scheduler.send(pb.Evict(epoch=1, version=of, eviction=asked.eviction))

    async def rest(self, of, rest="/infer", **fields):
        method = "POST" if rest == "/infer" else "GET"
        body = json.dumps(infer_body()).encode() if method == "POST" else None
        return await self.http.request(method, f"/v2/models/{name(of)}{rest}", content=body, **fields)

    async def rpc(self, of):
        tensor = inference_pb2.ModelInferRequest.InferInputTensor(
            name="x",
            shape=[1, 4],
            datatype="FP64",
            contents=inference_pb2.InferTensorContents(fp64_contents=[5.1, 3.5, 1.4, 0.2]),
        )
        return await self.stub.ModelInfer(
            inference_pb2.ModelInferRequest(model_name=name(of), inputs=[tensor]),
            metadata=(("seldon-model", of.name), ("x-own", "1"), *asks(name(of))),
            timeout=30,
        )


def asks(server_name):
    """Returns what Envoy adds to a call."""
    return ((VERSION, server_name),)


def name(of):
    return f"{of.name}_{of.number}"


@asynccontextmanager
async def crowded(settings, scheduler, uri):
    async with running(settings):
        endpoint = (await scheduler.connected()).hello.endpoint
        assert endpoint.held_http_port
        url = f"http://127.0.0.1:{endpoint.held_http_port}"
        async with (
            plain_http.async_client(base_url=url, timeout=30) as http,
            grpc.aio.insecure_channel(f"127.0.0.1:{endpoint.held_grpc_port}") as channel,
        ):
            held = Held(scheduler, http, channel)
            await held.load(held.first, uri)
            await scheduler.reaches(held.first, LOADED)
            await held.load(held.second, uri)
            await held.grant(held.first)
            await scheduler.reaches(held.second, LOADED)
            await scheduler.reaches(held.first, EVICTED)
            yield held


async def test_requests_by_rest_and_grpc_bring_it_back(settings, scheduler, mlserver, trained_models):
    async with crowded(settings, scheduler, trained_models.iris) as held:
        direct = await held.rest(held.second)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(held.rest(held.first)) for _ in range(5)]
            called = [group.create_task(held.rpc(held.first)) for _ in range(5)]
            await held.grant(held.second)
        assert {task.result().status_code for task in asked} == {200}
        assert asked[0].result().json()["outputs"] == direct.json()["outputs"]
        assert asked[0].result().headers["content-type"] == "application/json"
        assert {task.result().model_name for task in called} == {name(held.first)}
        await scheduler.reaches(held.first, LOADED)
        assert scheduler.states(held.first).count(LOADED) == 2


async def test_a_call_of_openais_api_waits_for_the_version_that_envoy_names(
    settings, scheduler, mlserver, trained_models
):
    """MLServer has no such path: what matters is that the model is there when the call arrives."""
    async with crowded(settings, scheduler, trained_models.iris) as held:
        path, body = "/v1/chat/completions", {"model": name(held.first)}
        unnamed = await held.http.post(path, json=body)
        assert (unnamed.status_code, unnamed.json()["reason"]) == (404, "PathNotServed")
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(
                held.http.post(path, json=body, headers={"bailie-version": name(held.first)})
            )
            await held.grant(held.second)
        assert (asked.result().status_code, asked.result().json()) == (404, {"detail": "Not Found"})
        await scheduler.reaches(held.first, LOADED)


async def test_what_is_not_in_memory_says_that_it_can_answer(settings, scheduler, mlserver, trained_models):
    async with crowded(settings, scheduler, trained_models.iris) as held:
        assert (await held.rest(held.first, "/ready")).status_code == 200
        request = inference_pb2.ModelReadyRequest(name=name(held.first))
        ready = await held.stub.ModelReady(request, metadata=asks(name(held.first)))
        assert ready.ready
        assert scheduler.last(held.first).state == EVICTED
        assert (await held.http.get("/v2/health/live")).status_code == 200


async def test_answers_that_are_errors_come_through(settings, scheduler, mlserver, trained_models):
    async with crowded(settings, scheduler, trained_models.iris) as held:
        bad = await held.http.post(f"/v2/models/{name(held.second)}/infer", content=b"{}")
        assert (bad.status_code, "inputs" in bad.text) == (422, True)
        nothing = await held.http.get("/v2/repository")
        assert (nothing.status_code, nothing.json()["reason"]) == (404, "PathNotServed")
        gone = await held.http.get("/v2/models/none_1/infer")
        assert (gone.status_code, gone.json()["reason"]) == (503, "NoReplicaAvailable")
        assert gone.json()["error"] == (
            "model none in namespace a is not ready: no replica has it at this moment; "
            "`kubectl describe model none` says more"
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await held.stub.ModelInfer(inference_pb2.ModelInferRequest(), metadata=asks("none_1"))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        bad = inference_pb2.ModelInferRequest(model_name=name(held.second))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await held.stub.ModelInfer(bad, metadata=asks(name(held.second)))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await held.stub.ModelInfer(bad)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert caught.value.details().endswith("the call does not name the version that Envoy chose")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await held.stub.ServerLive(inference_pb2.ServerLiveRequest())
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_without_a_scheduler_a_request_waits_for_its_time_and_what_is_there_goes_on(
    settings, scheduler, mlserver, trained_models
):
    patient = replace(settings, hold_seconds=1.0)
    async with crowded(patient, scheduler, trained_models.iris) as held:
        refused = await held.rest(held.first)
        why = "it is not in memory, and there was no room for it in time"
        told = f"model first in namespace a is not ready: {why}; `kubectl describe model first` says more"
        assert (refused.status_code, refused.json()["error"]) == (503, told)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await held.rpc(held.first)
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, told)
        assert (await held.rest(held.second)).status_code == 200


async def test_no_more_bytes_wait_than_may(settings, scheduler, mlserver, trained_models):
    two = replace(settings, held_bytes=4 * EACH_BYTES + 2 * WINDOW + 4096)
    async with crowded(two, scheduler, trained_models.iris) as held, asyncio.TaskGroup() as group:
        waiting = [group.create_task(held.rest(held.first)), group.create_task(_admitted(held))]
        await scheduler.reaches(held.second, EVICTING)
        await until_true(lambda: _is_full(held))
        refused = await held.rest(held.first)
        assert (refused.status_code, refused.json()["reason"]) == (429, "TooManyRequestsWait")
        words = "model first in namespace a takes no more requests now, try again later: requests for it wait"
        assert refused.json()["error"].startswith(words)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await held.rpc(held.first)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caught.value.details().startswith(words)
        await held.grant(held.second)
        assert (await waiting[0]).status_code == 200
        await waiting[1]
        assert (await held.rest(held.first)).status_code == 200


async def _admitted(held):
    """Calls until there is room, which a question of `_is_full` may take for a moment."""
    while True:
        try:
            return await held.rpc(held.first)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
        await asyncio.sleep(0.01)


async def _is_full(held):
    try:
        request = inference_pb2.ModelMetadataRequest(name=name(held.first))
        await held.stub.ModelMetadata(request, metadata=asks(name(held.first)), timeout=0.2)
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_streams_are_passed_on_message_by_message(settings, scheduler, mlserver, trained_models):
    """MLServer refuses to stream a model that cannot; that it says so shows that it was asked."""
    async with crowded(settings, scheduler, trained_models.iris) as held:
        stream = held.stub.ModelStreamInfer(metadata=asks(name(held.second)), timeout=30)
        await stream.write(inference_pb2.ModelInferRequest(model_name=name(held.second)))
        await stream.done_writing()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stream:
                pass
        assert caught.value.code() is not grpc.StatusCode.UNAVAILABLE, caught.value.details()


async def test_it_is_remembered_over_a_restart_of_the_agent(settings, scheduler, mlserver, trained_models):
    async with crowded(settings, scheduler, trained_models.iris) as held:
        pass
    async with running(settings):
        inventory = {r.version.name: r.state for r in (await scheduler.connected(2)).hello.inventory}
        assert inventory == {"first": EVICTED, "second": LOADED}
        scheduler.send(unload(held.first))
        await scheduler.reaches(held.first, pb.MODEL_STATE_UNLOADED)


async def test_what_was_used_past_the_agent_is_not_the_first_to_leave(
    settings, scheduler, mlserver, trained_models
):
    async with running(replace(settings, memory_bytes=130 * MIB)):
        await scheduler.connected()
        held = Held(scheduler, None, None)
        for of in (held.first, held.second):
            await held.load(of, trained_models.iris)
            await scheduler.reaches(of, LOADED)
        scheduler.send(pb.Used(server_names=[name(held.first)]))
        await held.load(version("third"), trained_models.iris)
        await scheduler.reaches(held.second, EVICTING)
        await scheduler.reaches(held.first, LOADED)


async def test_without_overcommit_an_idle_model_leaves_memory_and_the_next_request_loads_it(
    settings, scheduler, mlserver, trained_models
):
    async with running(replace(settings, overcommit_percent=0)):
        endpoint = (await scheduler.connected()).hello.endpoint
        base = f"http://{endpoint.address}:{endpoint.held_http_port}"
        async with plain_http.async_client(base_url=base, timeout=60) as http:
            held = Held(scheduler, http, None)
            await held.load(held.first, trained_models.iris)
            await scheduler.reaches(held.first, LOADED)
            scheduler.send(pb.Memory(epoch=1, idle=[name(held.first), "unknown_1"]))
            await held.grant(held.first)
            await scheduler.reaches(held.first, EVICTED)
            answers = await asyncio.gather(*(held.rest(held.first) for _ in range(100)))
            assert {each.status_code for each in answers} == {200}
            states = scheduler.states(held.first)
            assert states[states.index(EVICTED) :].count(LOADED) == 1


async def test_a_port_that_is_taken_is_done_without_where_no_memory_is_lent(settings, scheduler, mlserver):
    with socket.create_server((settings.address, 0)) as other:
        taken = replace(settings, overcommit_percent=0, held_grpc_port=other.getsockname()[1])
        async with running(taken):
            endpoint = (await scheduler.connected()).hello.endpoint
            assert (endpoint.held_http_port, endpoint.held_grpc_port) == (0, 0)
