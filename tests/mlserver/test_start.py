"""Which connections a server keeps: nobody's request fails for what another one's did."""

import asyncio
import http.client
import json
from pathlib import Path

import grpc
import pytest
from tests.support import plain_http

from bailie._gen import inference_pb2, inference_pb2_grpc
from bailie.mlserver.start import settled, words

MODEL = """
from mlserver import MLModel
from mlserver.codecs import decode_args
from mlserver.errors import InferenceError
from mlserver.handlers import custom_handler
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

class Wayward(MLModel):
    @custom_handler(rest_path="/odd")
    async def odd(self) -> str:
        raise ValueError("a path of its own")

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        what = payload.inputs[0].data[0]
        what = what.decode() if isinstance(what, bytes) else what
        if what is None or what == "raise":
            raise RuntimeError("the model raises")
        if what == "raise without words":
            raise KeyError("")
        if what == "raise at length":
            raise ValueError("first line\\n" + "x" * 100000 + "\\nStack trace:\\n  /opt/lib/libmodel.so")
        if what == "raise a trace":
            raise ValueError("no such column\\nStack trace:\\n  [bt] (0) /opt/lib/libmodel.so(+0x1) [0x7f]")
        if what == "refuse":
            raise InferenceError("the input is too hot")
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
    plain_http.post(load, timeout=60).raise_for_status()
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
        ("/odd", ""),
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


RAISED = {
    "raise": (500, "INTERNAL", "builtins.RuntimeError: the model raises"),
    "raise without words": (500, "INTERNAL", "builtins.KeyError: ''"),
    "raise at length": (500, "INTERNAL", "builtins.ValueError: first line " + "x" * 367 + "…"),
    "raise a trace": (500, "INTERNAL", "builtins.ValueError: no such column"),
    "refuse": (400, "INVALID_ARGUMENT", "the input is too hot"),
}


@pytest.mark.parametrize("what", RAISED)
async def test_rest_and_grpc_answer_with_a_models_own_words(server, what):
    status, code, words = RAISED[what]
    async with plain_http.async_client(timeout=30) as http:
        answer = await http.post(f"{server.url}{INFER}", json=asking(what))
    assert (answer.status_code, answer.json()) == (status, {"error": words})
    assert answer.headers["content-type"] == "application/json"
    async with grpc.aio.insecure_channel(f"{server.host}:{server.grpc_port}") as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        for call in (lambda: stub.ModelInfer(grpc_asking(what), timeout=30), lambda: only(stub, what)):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call()
            assert (raised.value.code().name, raised.value.details()) == (code, words)


def grpc_asking(what):
    tensor = inference_pb2.ModelInferRequest.InferInputTensor(name="x", shape=[1], datatype="BYTES")
    tensor.contents.bytes_contents.append(what.encode())
    return inference_pb2.ModelInferRequest(model_name="wayward", inputs=[tensor])


async def only(stub, what):
    """Asks by a stream of one message."""
    return [answer async for answer in stub.ModelStreamInfer(iter([grpc_asking(what)]), timeout=30)]


async def test_an_error_outside_of_predict_is_json_too(server):
    async with plain_http.async_client(timeout=30) as http:
        answer = await http.post(f"{server.url}/odd")
        other = await http.post(f"{server.url}{INFER}", json=asking("not a response"))
    assert (answer.status_code, answer.json()) == (500, {"error": "builtins.ValueError: a path of its own"})
    assert other.status_code == 500
    assert other.json()["error"].startswith("builtins.AttributeError: 'int' object")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError(""), "builtins.ValueError:"),
        (ValueError("  a \n\t b "), "builtins.ValueError: a b"),
        (OSError(2, "away", "/x"), "builtins.FileNotFoundError: [Errno 2] away: '/x'"),
        (ValueError("bad\nTraceback (most recent call last):\n  File x"), "builtins.ValueError: bad"),
        (ValueError("bad STACKTRACE: x"), "builtins.ValueError: bad"),
        (ValueError("é" * 1000), "builtins.ValueError: " + "é" * 378 + "…"),
    ],
)
def test_words_are_one_bounded_line(error, expected):
    assert words(error) == expected


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


def test_a_server_imports_no_client(mlserver_process):
    libraries = Path(f"/proc/{mlserver_process.pid}/maps").read_text()
    assert "/pandas/" in libraries
    assert "/aiohttp/" not in libraries
