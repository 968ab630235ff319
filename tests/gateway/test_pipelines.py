"""Pipelines over gRPC through a real Envoy: over HTTP/2 to it, over HTTP/1.1 to the gateway and back."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
import pytest_asyncio
from tests.pipelinegateway.client import running
from tests.pipelinegateway.models import Models
from tests.support.dataplane import NO_LIMIT, backend, control_plane, envoy, took, until

from bailie._gen import inference_pb2 as pb
from bailie._gen import inference_pb2_grpc as pb_grpc
from bailie.routing.table import Backend, NotReady, ReplicaEndpoint, Route, RoutingTable

SPECS = {
    "chain_2": {
        "steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}, {"name": "c", "inputs": ["b"]}],
        "output": {"steps": ["c"]},
    },
    "pair_1": {"steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}], "output": {"steps": ["b"]}},
    "missing_1": {"steps": [{"name": "nobody"}], "output": {"steps": ["nobody"]}},
    "gone_1": {"steps": [{"name": "away"}], "output": {"steps": ["away"]}},
}
LIMIT = 4 << 20


class Steps(pb_grpc.GRPCInferenceServiceServicer):
    """Models that answer with what they get, their name behind each text; others do what a name says."""

    def __init__(self):
        self.begun, self.cancelled = [], []

    async def ModelInfer(self, request, context):  # noqa: N802
        self.begun.append(request.model_name)
        tensor = request.inputs[0]
        if tensor.name == "fail":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no column ä %41")
        if tensor.name == "hang":
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.append(request.model_name)
        output = pb.ModelInferResponse.InferOutputTensor(
            name=tensor.name, datatype=tensor.datatype, shape=tensor.shape, parameters=tensor.parameters
        )
        if request.raw_input_contents:
            return pb.ModelInferResponse(outputs=[output], raw_output_contents=request.raw_input_contents)
        texts = [text + f">{request.model_name}".encode() for text in tensor.contents.bytes_contents]
        output.contents.bytes_contents.extend(texts)
        return pb.ModelInferResponse(model_name=request.model_name, id=request.id, outputs=[output])


@asynccontextmanager
async def steps():
    server, servicer = grpc.aio.server(options=NO_LIMIT), Steps()
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield servicer, port
    finally:
        await server.stop(0)


def routes(model_http_port, model_port, gateway_port):
    served = ReplicaEndpoint("mlserver-0", "127.0.0.1", model_http_port, model_port)
    gone = ReplicaEndpoint("mlserver-1", "127.0.0.1", 1, 1)
    runs = ReplicaEndpoint("seldon-pipelinegateway-0", "127.0.0.1", gateway_port, gateway_port)
    entries = {step: Route((Backend(f"{step}_1", 1, (served,)),)) for step in "abc"}
    entries |= {
        f"{key.partition('_')[0]}.pipeline": Route(
            (Backend(f"{key.partition('_')[0]}.pipeline_{key[-1]}", 1, (runs,)),)
        )
        for key in SPECS
    }
    chain, pair = Backend("chain.pipeline_2", 1, (runs,)), Backend("pair.pipeline_1", 1, (runs,))
    entries["sides.experiment"] = entries["pair.pipeline"] = Route((chain, pair), sticky=True)
    entries["away"] = Route((Backend("away_1", 1, (gone,)),))
    entries["off.pipeline"] = entries["off.experiment"] = Route((Backend("off.pipeline_1", 1, (gone,)),))
    entries["slow.pipeline"] = NotReady("Loading", "no gateway has it", "pipeline slow")
    return RoutingTable("ns", entries)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipelines")
    async with AsyncExitStack() as stack:
        servicer, model_port = await stack.enter_async_context(steps())
        models = await stack.enter_async_context(backend())
        plane, xds = await stack.enter_async_context(control_plane())
        mesh = await stack.enter_async_context(envoy(folder, xds))
        engine, port = await stack.enter_async_context(
            running(folder, Models(port=mesh.port), SPECS, most_body_bytes=LIMIT, seconds=20.0)
        )
        await took(plane, routes(models.replica.http_port, model_port, port))
        yield mesh, servicer, engine


pytestmark = pytest.mark.asyncio(loop_scope="module")


def request(name="x", texts=("in",), model="", **more):
    tensor = pb.ModelInferRequest.InferInputTensor(
        name=name, datatype="BYTES", shape=[len(texts)], parameters={"content_type": {"string_param": "str"}}
    )
    tensor.contents.bytes_contents.extend(text.encode() for text in texts)
    return pb.ModelInferRequest(model_name=model, inputs=[tensor], **more)


def header(name):
    return (("seldon-model", name),)


async def failure(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize(
    ("model", "metadata"),
    [("", header("chain.pipeline")), ("chain.pipeline", ()), ("a", header("chain.pipeline"))],
)
async def test_a_pipeline_is_named_in_the_header_or_the_message(world, model, metadata):
    mesh, _, _ = world
    call = mesh.stub.ModelInfer(
        request(model=model, id="mine"), metadata=(*metadata, ("x-request-id", "one"), ("x-tag", "t"))
    )
    answer = await call
    assert (answer.model_name, answer.id) == ("", "mine")
    (output,) = answer.outputs
    assert list(output.contents.bytes_contents) == [b"in>a_1>b_1>c_1"]
    assert (output.name, list(output.shape)) == ("x", [1])
    assert output.parameters["content_type"].string_param == "str"
    told = await call.initial_metadata()
    assert (told["x-request-id"], told["x-tag"], told["x-pipeline-version"]) == ("one", "t", "2")
    assert told["x-seldon-route"] == ":chain.pipeline_2:"


async def test_raw_contents_stay_raw_up_to_the_limit(world):
    mesh, _, engine = world
    raw = bytes(range(256)) * (LIMIT // 512)
    tensor = pb.ModelInferRequest.InferInputTensor(name="x", datatype="UINT8", shape=[len(raw)])
    asked = pb.ModelInferRequest(inputs=[tensor], raw_input_contents=[raw])
    answer = await mesh.stub.ModelInfer(asked, metadata=header("chain.pipeline"))
    assert list(answer.raw_output_contents) == [raw]
    asked.raw_input_contents[0] = raw * 3
    code, words = await failure(mesh.stub.ModelInfer(asked, metadata=header("chain.pipeline")))
    assert (code, "4Mi" in words) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
    assert engine.budget.used == 0


async def test_the_words_of_a_model_come_through_whatever_they_are(world):
    mesh, _, _ = world
    code, words = await failure(mesh.stub.ModelInfer(request("fail"), metadata=header("chain.pipeline")))
    assert (code, words) == (grpc.StatusCode.UNKNOWN, "a : no column ä %41")


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        (
            "missing.pipeline",
            grpc.StatusCode.UNAVAILABLE,
            'step "nobody" was not answered: model nobody does not',
        ),
        (
            "gone.pipeline",
            grpc.StatusCode.UNAVAILABLE,
            'step "away" was not answered: no replica of model away',
        ),
        ("slow.pipeline", grpc.StatusCode.UNAVAILABLE, "no gateway has it"),
        ("nope.pipeline", grpc.StatusCode.NOT_FOUND, "pipeline nope does not exist in namespace ns"),
        ("nope.experiment", grpc.StatusCode.NOT_FOUND, "experiment nope does not exist in namespace ns"),
        ("off.pipeline", grpc.StatusCode.UNAVAILABLE, "no replica of pipeline off in namespace ns answered"),
        ("off.experiment", grpc.StatusCode.UNAVAILABLE, "no replica of experiment off in namespace ns"),
    ],
)
async def test_what_is_not_there_is_said(world, name, code, words):
    mesh, _, _ = world
    found = await failure(mesh.stub.ModelInfer(request(), metadata=header(name)))
    assert found[0] == code
    assert words in found[1]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v2/pipelines/nope/infer", 404, "pipeline nope does not exist in namespace ns"),
        ("/v2/models/nope.pipeline/infer", 404, "pipeline nope does not exist in namespace ns"),
        ("/v2/models/nope.experiment/infer", 404, "experiment nope does not exist in namespace ns"),
        ("/v2/models/nope/infer", 404, "model nope does not exist in namespace ns"),
        ("/v2/pipelines/off/infer", 503, "no replica of pipeline off in namespace ns answered"),
        ("/v2/models/off.experiment/infer", 503, "no replica of experiment off in namespace ns answered"),
        ("/v2/models/away/infer", 503, "no replica of model away in namespace ns answered"),
    ],
)
async def test_what_is_not_there_is_said_over_rest(world, path, status, words):
    mesh, _, _ = world
    answer = await mesh.http.post(path, json={"inputs": []})
    assert (answer.status_code, answer.json()["error"].startswith(words)) == (status, True), answer.text


async def test_methods_that_pipelines_have_not_are_refused(world):
    mesh, _, _ = world
    stream = mesh.stub.ModelStreamInfer(metadata=header("chain.pipeline"))
    code, words = await failure(stream.read())
    assert (code, "answers no streams" in words) == (grpc.StatusCode.UNIMPLEMENTED, True)


async def test_the_time_of_a_caller_and_its_leaving_end_the_steps(world):
    mesh, servicer, engine = world
    for leave in ("timeout", "cancel"):
        servicer.cancelled.clear()
        servicer.begun.clear()
        call = mesh.stub.ModelInfer(
            request("hang"), metadata=header("chain.pipeline"), timeout=0.5 if leave == "timeout" else None
        )
        if leave == "cancel":
            await until(lambda: servicer.begun, "a step is called")
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        else:
            assert (await failure(call))[0] == grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: servicer.cancelled == ["a_1"], "the step is given up")
        await until(lambda: engine.budget.used == 0, "nothing is held")


async def test_requests_beside_each_other_get_their_own_answers(world):
    mesh, _, _ = world
    asked = [f"{number}" * (number % 9 + 1) for number in range(200)]
    found = await asyncio.gather(
        *(mesh.stub.ModelInfer(request(texts=[text]), metadata=header("chain.pipeline")) for text in asked)
    )
    got = [each.outputs[0].contents.bytes_contents[0].decode() for each in found]
    assert got == [f"{text}>a_1>b_1>c_1" for text in asked]


@pytest.mark.parametrize(("name", "ready"), [("missing", False), ("gone", False), ("chain", True)])
@pytest.mark.parametrize("in_header", [True, False])
async def test_readiness_is_that_of_the_models(world, name, ready, in_header):
    mesh, _, _ = world
    asked = pb.ModelReadyRequest(name="" if in_header else f"{name}.pipeline")
    metadata = header(f"{name}.pipeline") if in_header else ()
    assert (await mesh.stub.ModelReady(asked, metadata=metadata)).ready is ready


@pytest.mark.parametrize("in_header", [True, False])
async def test_metadata_names_the_version(world, in_header):
    mesh, _, _ = world
    asked = pb.ModelMetadataRequest(name="" if in_header else "chain.pipeline")
    found = await mesh.stub.ModelMetadata(asked, metadata=header("chain.pipeline") if in_header else ())
    assert (found.name, list(found.versions)) == ("chain.pipeline", ["2"])


SIDES = {b"in>a_1>b_1>c_1": ":chain.pipeline_2:", b"in>a_1>b_1": ":pair.pipeline_1:"}
"""The route of each answer of an experiment's candidates."""


async def shared(mesh, name, *, in_header, route=""):
    """Returns the route of an answer over an experiment."""
    metadata = (*(header(name) if in_header else ()), *([("x-seldon-route", route)] if route else ()))
    call = mesh.stub.ModelInfer(request(model="" if in_header else name), metadata=metadata)
    (text,) = (await call).outputs[0].contents.bytes_contents
    told = [value for key, value in await call.initial_metadata() if key == "x-seldon-route"]
    assert told == [SIDES[text]]
    return SIDES[text]


@pytest.mark.parametrize("in_header", [True, False])
@pytest.mark.parametrize("name", ["sides.experiment", "pair.pipeline"])
async def test_an_experiment_over_pipelines_shares_and_keeps_callers(world, name, in_header):
    mesh, _, _ = world
    seen = [await shared(mesh, name, in_header=in_header) for _ in range(60)]
    assert set(seen) == set(SIDES.values())
    for route in (*SIDES.values(), ":pair.pipeline_9:"):  # the last is of a version that was replaced
        kept = {await shared(mesh, name, in_header=in_header, route=route) for _ in range(20)}
        assert kept == {route.replace("_9", "_1")}
    asked, metadata = pb.ModelReadyRequest(name="" if in_header else name), header(name) if in_header else ()
    assert (await mesh.stub.ModelReady(asked, metadata=metadata)).ready
    told = pb.ModelMetadataRequest(name=asked.name)
    for route in SIDES.values():
        pinned = (*metadata, ("x-seldon-route", route))
        found = await mesh.stub.ModelMetadata(told, metadata=pinned)
        assert f":{found.name}_{found.versions[0]}:" == route
