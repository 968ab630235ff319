"""Both clients against a server of both protocols, and against what is none."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from urllib.parse import quote

import grpc
import pytest
from tests.support.dataplane import backend

from bailie.inference.client import GrpcClient, RestClient, ServerUnreachable

TENSOR = {"name": "x", "shape": [1], "datatype": "INT64", "data": [1]}
BODY = {"inputs": [TENSOR]}


@asynccontextmanager
async def clients(server, **options):
    """A client of each protocol, by its name."""
    replica = server.replica
    made = {
        "REST": RestClient(f"http://{replica.address}:{replica.http_port}/", **options),
        "gRPC": GrpcClient(f"{replica.address}:{replica.grpc_port}", **options),
    }
    try:
        yield made
    finally:
        for client in made.values():
            await client.close()


@pytest.fixture
async def server():
    async with backend() as running:
        yield running


async def test_rest_posts_to_the_model_with_the_header_of_the_route(server):
    async with clients(server) as by:
        answer = await by["REST"].infer("iris", BODY, {"x-more": "1"})
    assert (answer.ok, answer.status) == (True, "200")
    assert (answer.body["method"], answer.body["path"]) == ("POST", "/v2/models/iris/infer")
    sent = answer.body["headers"]
    assert (sent["seldon-model"], sent["x-more"]) == ("iris", "1")
    assert answer.headers["content-type"] == "application/json"


async def test_rest_asks_for_the_tensors_of_a_model(server):
    async with clients(server) as by:
        answer = await by["REST"].metadata("iris", {"x-more": "1"})
    assert (answer.body["method"], answer.body["path"]) == ("GET", "/v2/models/iris")
    assert (answer.body["headers"]["seldon-model"], answer.body["headers"]["x-more"]) == ("iris", "1")


@pytest.mark.parametrize("name", ["a?b", "a#b", "a b", "a%2Fb", "a/b"])
async def test_no_name_reaches_another_path(server, name):
    async with clients(server) as by:
        answer = await by["REST"].infer(name, BODY)
    assert answer.body["path"] == f"/v2/models/{quote(name, safe='')}/infer"


async def test_grpc_sends_the_model_in_message_and_metadata(server):
    async with clients(server) as by:
        answer = await by["gRPC"].infer("iris", BODY, {"x-more": "1"})
    assert (answer.ok, answer.status, answer.body["model_name"]) == (True, "OK", "iris")
    assert server.grpc.metadata["seldon-model"] == "iris"
    assert server.grpc.metadata["x-more"] == "1"


async def test_what_a_server_refuses_is_a_value(server):
    server.status, server.grpc.status = 404, grpc.StatusCode.NOT_FOUND
    async with clients(server) as by:
        answers = {name: await client.infer("iris", BODY) for name, client in by.items()}
    assert {name: (answer.ok, answer.status) for name, answer in answers.items()} == {
        "REST": (False, "404"),
        "gRPC": (False, "NOT_FOUND"),
    }
    assert answers["gRPC"].body == "as the test wants it"


async def test_an_answer_that_does_not_come_in_time_is_said(server):
    server.held = asyncio.Event()
    async with clients(server, timeout=0.2) as by:
        with pytest.raises(ServerUnreachable, match=r"does not answer: not within 0\.2 s"):
            await by["REST"].infer("iris", BODY)
        server.held.set()


@pytest.mark.parametrize("name", ["REST", "gRPC"])
async def test_a_closed_port_is_named(server, name):
    await server.stop()
    replica = server.replica
    port = replica.http_port if name == "REST" else replica.grpc_port
    async with clients(server) as by:
        with pytest.raises(ServerUnreachable, match=rf"127\.0\.0\.1:{port}.* does not answer: \S"):
            await by[name].infer("iris", BODY)


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (b"not json", "not json"),
        (b"\xff", "\ufffd"),
        (b"[" * 100_000, "[" * 100_000),
        (b"", ""),
    ],
)
async def test_an_answer_that_is_no_json_is_shown_as_it_is(said, body):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(said), said))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        client = RestClient(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        found = await client.infer("iris", BODY)
        await client.close()
    assert (found.ok, found.body) == (True, body)


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://[::1", "http://a:99999"])
async def test_what_is_no_address_is_said(url):
    client = RestClient(url, timeout=5)
    with pytest.raises(ServerUnreachable, match=r"is not an address|does not answer"):
        await client.infer("iris", BODY)
    await client.close()


async def test_a_server_of_something_else_is_said():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = GrpcClient(f"127.0.0.1:{listening.getsockname()[1]}", timeout=0.3)
        answer = await client.infer("iris", BODY)
        await client.close()
    assert (answer.ok, answer.status) == (False, "DEADLINE_EXCEEDED")
