"""Which connections a server keeps: nobody's request fails for what another one's did."""

import asyncio
import http.client
import json

import grpc
import httpx
import pytest

from bailie._gen import inference_pb2, inference_pb2_grpc
from bailie.mlserver.start import settled

MODEL = """
from mlserver import MLModel
from mlserver.codecs import decode_args
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

class Wayward(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        what = payload.inputs[0].data[0]
        if what is None or what == "raise":
            raise RuntimeError("the model raises")
        if what == "raise without words":
            raise KeyError("")
        if what == "not a response":
            return 17
        output = ResponseOutput(name="o", shape=[1], datatype="BYTES", data=[what])
        return InferenceResponse(model_name=self.name, outputs=[output])
"""
INFER = "/v2/models/wayward/infer"


def asking(what):
    return {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": [what]}]}


@pytest.fixture(scope="module")
def server(mlserver_process):
    """Has the model `wayward`, which does what it is asked to."""
    folder = mlserver_process.folder / "models" / "wayward"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "model-settings.json").write_text(
        json.dumps({"name": "wayward", "implementation": "model.Wayward"})
    )
    load = f"{mlserver_process.url}/v2/repository/models/wayward/load"
    httpx.post(load, timeout=60, trust_env=False).raise_for_status()
    return mlserver_process


@pytest.fixture
def connection(server):
    """One connection, which is never opened again by itself."""
    connection = http.client.HTTPConnection(server.host, server.http_port, timeout=30)
    connection.auto_open = 0
    connection.connect()
    yield connection
    connection.close()


def post(connection, path, body):
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.getheader("connection"), answer.read()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (INFER, json.dumps(asking("raise"))),
        (INFER, json.dumps(asking("raise without words"))),
        (INFER, json.dumps(asking("not a response"))),
        (INFER, json.dumps({"inputs": []})),
        (INFER, json.dumps({"inputs": [{"name": "x", "shape": [0], "datatype": "BYTES", "data": []}]})),
        (INFER, json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "NO", "data": [1]}]})),
        (INFER, json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [None]}]})),
        (INFER, json.dumps({"inputs": None})),
        (INFER, "null"),
        (INFER, "[]"),
        (INFER, ""),
        (INFER, "{"),
        (INFER, b"\xff\xfe\x00"),
        (INFER, "x" * (1 << 20)),
        ("/v2/models/absent/infer", json.dumps(asking("x"))),
        ("/v2/models/wayward/nothing", "{}"),
        ("/v2/repository/models/absent/load", ""),
    ],
)
def test_a_connection_outlives_an_answer_unless_the_answer_says_so(connection, path, body):
    for _ in range(3):
        status, told, _ = post(connection, path, body)
        assert 400 <= status <= 503
        assert told != "close"
    status, _, answer = post(connection, INFER, json.dumps(asking("well")))
    assert (status, json.loads(answer)["outputs"][0]["data"]) == (200, ["well"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v2/models/absent/infer", 503),
        ("POST", "/v2/models/absent/versions/1/infer", 503),
        ("GET", "/v2/models/absent", 503),
        ("GET", "/v2/models/absent/ready", 503),
        ("POST", "/v2/models/wayward/infer", 200),
        ("GET", "/v2/models/wayward/ready", 200),
        ("GET", "/v2/models/wayward", 200),
        ("GET", "/v2/models/wayward/nothing", 404),
        ("POST", "/v2/repository/models/absent/load", 404),
        ("POST", "/v2/repository/models/absent/unload", 404),
    ],
)
def test_a_model_that_is_not_loaded_is_unavailable(connection, method, path, status):
    body = json.dumps(asking("well")) if method == "POST" else None
    connection.request(method, path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    found = json.loads(answer.read() or "null")
    assert answer.status == status
    if status == 503:
        assert found["reason"] == "ModelNotLoaded"
        assert found["error"].startswith("Model absent")


async def test_grpc_says_so_too(server):
    async with grpc.aio.insecure_channel(f"{server.host}:{server.grpc_port}") as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        for call, request, code in (
            (stub.ModelInfer, inference_pb2.ModelInferRequest(model_name="absent"), "UNAVAILABLE"),
            (stub.ModelMetadata, inference_pb2.ModelMetadataRequest(name="absent"), "UNAVAILABLE"),
            (
                stub.RepositoryModelUnload,
                inference_pb2.RepositoryModelUnloadRequest(model_name="absent"),
                "NOT_FOUND",
            ),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call(request, timeout=10)
            assert raised.value.code().name == code


START = {"type": "http.response.start", "status": 500, "headers": []}
END = {"type": "http.response.body", "body": b""}
PART = {**END, "more_body": True}


@pytest.mark.parametrize(
    ("sent", "raises"),
    [
        ([], True),
        ([START], True),
        ([START, PART], True),
        ([START, END], False),
        ([START, PART, END], False),
        ([START, {**END, "more_body": False}], False),
    ],
)
async def test_an_exception_ends_only_after_a_complete_answer(sent, raises):
    passed_on = []

    async def application(scope, receive, send):
        for message in sent:
            await send(message)
        raise LookupError

    async def send(message):
        passed_on.append(message)

    async def run():
        await settled(application)({"type": "http"}, asyncio.Event().wait, send)

    if raises:
        with pytest.raises(LookupError):
            await run()
    else:
        await run()
    assert passed_on == sent
