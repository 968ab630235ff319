"""REST requests whose model is not in memory, before a server that answers as slowly as the test says."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from structlog.testing import capture_logs
from tests.support import plain_http
from tests.support.held_calls import Gate

from bailie.agent.settings import Settings
from bailie.agent.waiting.http import serve_http
from bailie.agent.waiting.requests import WaitingRequests

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n"


class Slow:
    """A server that begins an answer, where it is to, and never ends it."""

    def __init__(self, begins):
        self.begins, self.asked = begins, asyncio.Event()

    async def __call__(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD if self.begins else b"")
        self.asked.set()
        await reader.read()
        writer.close()


@asynccontextmanager
async def held(server):
    gate = Gate()
    gate.opened.set()
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    settings = Settings(
        namespace="a", pod="mlserver-0", server="mlserver", replica=0, held_http_port=0,
        http_port=listening.sockets[0].getsockname()[1],
    )  # fmt: skip
    async with (
        listening,
        serve_http(WaitingRequests(gate, settings), settings) as port,
        plain_http.async_client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http,
    ):
        yield gate, http


@pytest.mark.parametrize("begins", [True, False])
async def test_a_request_that_an_eviction_ends_is_told_so_or_its_answer_is_not_whole(begins, caplog):
    server, heard = Slow(begins), asyncio.Event()
    async with held(server) as (gate, http), asyncio.timeout(30), asyncio.TaskGroup() as group:
        with capture_logs() as lines:
            asking = group.create_task(_asked(http, heard))
            await (heard if begins else server.asked).wait()
            gate.cut_off()
            found = await asking
    if begins:
        assert found == "not whole"
    else:
        assert (found.status_code, found.json()["reason"]) == (503, "ModelNotInMemory")
    assert [line["log_level"] for line in lines] == ["info"]
    assert [each for each in caplog.records if each.exc_info] == [], "no mistake of ours"


async def _asked(http, heard):
    try:
        async with http.stream("GET", "/v2/models/iris_1/infer") as answer:
            if answer.status_code == 200:
                async for _ in answer.aiter_bytes():
                    heard.set()
            await answer.aread()
            return answer
    except httpx.RemoteProtocolError:
        return "not whole"
