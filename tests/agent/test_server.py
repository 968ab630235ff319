"""What the client of an inference server makes of servers that are away, silent or slow."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager, suppress

import grpc
import pytest
from tests.support.mlserver import MlserverProcess, free_port

from bailie._gen import inference_pb2_grpc
from bailie.agent.errors import ServerError
from bailie.agent.server import Health, Index, InferenceServer
from bailie.lifecycle.signature import Signature, TensorMetadata


class SlowServer(inference_pb2_grpc.GRPCInferenceServiceServicer):
    """Takes for ever to load, and does not unload."""

    async def RepositoryModelLoad(self, request, context):  # noqa: N802 - gRPC's name
        await asyncio.sleep(60)

    async def RepositoryModelUnload(self, request, context):  # noqa: N802 - gRPC's name
        await context.abort(grpc.StatusCode.INTERNAL, "is stuck")


@asynccontextmanager
async def slow_server():
    server = grpc.aio.server()
    inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(SlowServer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            http_port = silent.getsockname()[1]
            async with InferenceServer("127.0.0.1", http_port=http_port, grpc_port=port) as client:
                yield client
    finally:
        await server.stop(0)


@pytest.fixture
async def nobody():
    async with InferenceServer("127.0.0.1", http_port=free_port(), grpc_port=free_port()) as client:
        yield client


async def reason(awaitable) -> str:
    with pytest.raises(ServerError) as caught:
        await awaitable
    return caught.value.reason


async def test_nobody_listens(nobody: InferenceServer):
    assert await nobody.health() is Health.GONE
    assert await reason(nobody.wait_until_up(0.3)) == "ServerNotReady"
    assert await reason(nobody.index()) == "ServerUnavailable"
    assert await reason(nobody.unload("iris_1")) == "ServerUnavailable"
    assert await nobody.signature("iris_1") is None
    assert await reason(nobody.load("iris_1", 5, 5)) == "ServerCrashed"


async def test_silent_server():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        async with InferenceServer("127.0.0.1", http_port=port, grpc_port=port) as client:
            assert await client.health() is Health.BUSY


@asynccontextmanager
async def saying(*parts, endless=b""):
    """A server that says these bytes to whoever asks, then `endless` for as long as they are taken."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            writer.writelines(parts)
            while endless:
                writer.write(endless)
                await writer.drain()
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with InferenceServer("127.0.0.1", http_port=port, grpc_port=free_port()) as client:
            yield client


HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
TENSOR = b'{"name": "x", "datatype": "FP32", "shape": [-1]}'
INPUTS = (TensorMetadata("x", "FP32", (-1,)),)


@pytest.mark.parametrize(
    "said",
    [
        b"{",
        b"7",
        b'{"a": 1}',
        b"[1]",
        b"[[]]",
        b"[null]",
        b'[{"state": "READY"}]',
        b"[" * 100_000,
        b"\xff",
        b"null",
    ],
)
async def test_an_index_that_is_none(said):
    async with saying(HEAD, said) as client:
        assert await reason(client.index()) == "ServerUnavailable"


async def test_an_index_says_what_is_loaded_and_why_others_are_not():
    said = [
        {"name": "a_1", "state": "READY", "reason": ""},
        {"name": "b_1", "state": "READY", "reason": "well"},
        {"name": "c_1", "state": "UNKNOWN", "reason": "it computes"},
        {"name": "d_1", "state": "UNAVAILABLE", "reason": "unloaded"},
        {"name": "f_1"},
        {"name": "e_1", "state": "UNAVAILABLE", "reason": None},
    ]
    async with saying(HEAD, json.dumps(said).encode()) as client:
        assert await client.index() == Index(frozenset({"a_1", "b_1"}), {"c_1": "it computes"})


async def test_an_index_without_an_end():
    async with saying(HEAD, b"[", endless=b'{"name": "x"},' * 10_000) as client:
        assert await reason(client.index()) == "ServerUnavailable"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((HEAD, b'{"name": "a_1", "inputs": [], "outputs": []}'), Signature()),
        ((HEAD, b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}]}'), Signature(INPUTS)),
        ((HEAD, b'{"inputs": [%s]}' % b", ".join([TENSOR] * 65)), Signature()),
        ((HEAD, b"["), Signature()),
        ((b"HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n", b'{"error": "none"}'), Signature()),
        ((b"HTTP/1.1 503 Unavailable\r\nconnection: close\r\n\r\n", b'{"error": "busy"}'), None),
        ((b"nonsense\r\n\r\n",), None),
    ],
)
async def test_what_a_server_says_of_a_models_tensors(parts, expected):
    async with saying(*parts) as client:
        assert await client.signature("a_1") == expected


async def test_a_description_without_an_end_is_none():
    async with saying(HEAD, b'{"inputs": [', endless=TENSOR * 1000) as client:
        assert await client.signature("a_1") == Signature()


async def test_slow_server():
    async with slow_server() as client:
        assert await reason(client.load("iris_1", 0.2, 5)) == "LoadTimeout"
        assert await reason(client.unload("iris_1")) == "UnloadFailed"


async def test_a_load_that_keeps_the_server_from_answering_condemns_it():
    async with slow_server() as client:
        assert client.condemned == ""
        assert await reason(client.load("iris_1", 60, 2)) == "ServerBlocked"
        assert client.condemned == "it has answered no request for 2 s while it loads iris_1"


async def test_a_server_that_answers_or_is_gone_is_not_condemned(nobody: InferenceServer):
    nobody.condemned = "it did not answer"
    await nobody.health()
    assert nobody.condemned == ""


async def test_real_server(mlserver: MlserverProcess):
    async with InferenceServer(
        mlserver.host, http_port=mlserver.http_port, grpc_port=mlserver.grpc_port
    ) as client:
        assert await client.health() is Health.READY
        await client.wait_until_up(1)
        assert await client.index() == Index()
        await client.unload("unknown_1")
        assert await reason(client.load("unknown_1", 5, 5)) == "ModelNotFound"


async def test_a_server_that_was_started_again_takes_another_connection(mlserver: MlserverProcess):
    async with InferenceServer(
        mlserver.host, http_port=mlserver.http_port, grpc_port=mlserver.grpc_port
    ) as client:
        for _ in range(3):
            assert await client.health() is Health.READY
        assert client.connections == 1
        mlserver.kill()
        mlserver.start()
        assert await client.health() is Health.READY
        assert client.connections == 2
