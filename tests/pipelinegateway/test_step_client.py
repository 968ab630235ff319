"""Calls of an Envoy that fails in every way: each call ends once, in words, and holds nothing."""

from __future__ import annotations

import asyncio

import pytest
from tests.pipelinegateway.client import ask, running
from tests.pipelinegateway.models import echo, serving
from tests.support.ports import free_port
from tests.support.waiting import until

ONE = {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}
OK = b'{"outputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}'


def answered(body=OK, *, length=None, more=b""):
    size = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\n" + more + b"content-length: %d\r\n\r\n" % size + body


@pytest.mark.parametrize(
    ("answer", "status", "words", "again"),
    [
        ((200, b"no HTTP at all\r\n\r\n", 0), 503, "no HTTP/1.1", False),
        (
            (200, answered(b"{}"), 0),
            400,
            "no inference response: Object missing required field `outputs`",
            False,
        ),
        ((200, answered(b'{"outputs":[{"name":"x"}]}'), 0), 400, "$.outputs[0]", False),
        ((200, answered(b"\xff\xfe"), 0), 400, "no inference response", False),
        ((200, answered(b"x" * 3_000), 0), 400, "more than 2000 bytes", False),
        ((200, answered(more=b"a: " + b"b" * 600_000 + b"\r\n"), 0), 503, "", False),
        ((500, {"error": "boom"}, 0), 400, "a : boom", False),
        ((500, {"detail": "boom"}, 0), 400, '{"detail": "boom"}', False),
        (
            (500, b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n", 0),
            400,
            "HTTP status 500 without words",
            False,
        ),
        ((429, {"error": "slowly"}, 0), 400, "a : slowly", False),
        ((503, {"error": "not loaded", "reason": "ModelLoading"}, 0), 503, "not loaded", True),
        ((503, {"error": "went away", "reason": "NoAnswer"}, 0), 503, "went away", False),
        ((503, {"error": "of the model itself"}, 0), 503, "of the model itself", False),
        ((404, {"error": "no model", "reason": "ModelNotFound"}, 0), 503, "no model", True),
        ((404, {"error": "no path"}, 0), 400, "a : no path", False),
        ((504, {"error": "late"}, 0), 504, "late", False),
    ],
)
async def test_every_bad_answer_has_words_and_the_next_call_works(tmp_path, answer, status, words, again):
    bad = [answer]

    def behave(asked):
        return bad.pop() if bad else echo(asked)

    async with (
        serving(behave) as models,
        running(tmp_path, models, {"p_1": ONE}, most_body_bytes=2_000) as (engine, port),
    ):
        heard = await ask(port)
        assert heard.status == status
        assert words in heard.json["error"]
        assert heard.json["step"] == "a"
        assert bool(heard.values("retry-after")) is again
        assert (await ask(port)).status == 200
        assert engine.budget.used == 0


async def test_an_envoy_that_nobody_hears_of_is_said_and_the_request_may_come_again(tmp_path):
    async with serving() as models:
        models.port = free_port()
        async with running(tmp_path, models, {"p_1": ONE}) as (_, port):
            heard = await ask(port)
    assert heard.status == 503
    assert 'step "a" was not reached' in heard.json["error"]
    assert heard.values("retry-after") == ["1"]


async def test_connections_are_kept_and_one_that_is_closed_is_no_harm(tmp_path):
    async with serving() as models, running(tmp_path, models, {"p_1": ONE}) as (engine, port):
        for _ in range(5):
            assert (await ask(port)).status == 200
        assert models.connections == 1
        models.behave = lambda asked: (200, answered(more=b"connection: close\r\n"), 0)
        assert (await ask(port)).status == 200
        models.behave = echo
        assert (await ask(port)).status == 200
        assert models.connections == 2
        engine.client.close(older_than=float("inf"))
        await until(lambda: engine.client._open == 0)
        assert (await ask(port)).status == 200


MIB = 1 << 20
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
BODY = b"%x\r\n%b\r\n" % (4 * MIB, b" " * (4 * MIB))
ENDLESS = {
    "heads of 1xx": (b"", lambda number: b"HTTP/1.1 103 Hints\r\nlink: %d\r\n\r\n" % number),
    "headers": (CHUNKED[:-2], lambda number: b"x-%d: y\r\n" % number),
    "a header": (CHUNKED[:-2] + b"x: ", lambda _: b"y" * 16),
    "the extension of a chunk": (CHUNKED + BODY + b"1;x=", lambda _: b"y" * 16),
    "trailers": (CHUNKED + BODY + b"0\r\n", lambda number: b"x-%d: y\r\n" % number),
    "a trailer": (CHUNKED + BODY + b"0\r\nx: ", lambda _: b"y" * 16),
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_an_answer_without_end_is_given_up_after_few_bytes(tmp_path, what):
    first, more = ENDLESS[what]
    sent = 0

    async def flood(reader, writer):
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(first)
        number = 0
        try:
            while not writer.is_closing() and sent < 64 * MIB:
                block = b"".join(map(more, range(number, number + 10_000)))
                number += 10_000
                writer.write(block)
                await writer.drain()
                sent += len(block)
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    async with server, serving() as models:
        port, models.port = models.port, server.sockets[0].getsockname()[1]
        most = {"most_body_bytes": 16 * MIB}
        async with running(tmp_path, models, {"p_1": ONE}, seconds=60, **most) as (engine, gateway):
            heard = await ask(gateway)
            assert heard.status == 503
            assert "framing for the greater part" in heard.json["error"]
            await until(lambda: engine.client._open == 0)
            assert engine.budget.used == 0
        models.port = port
    # Beside the body and the bound: what both sockets keep.
    assert sent < 16 * MIB


async def test_bytes_that_nobody_asked_for_end_a_connection(tmp_path):
    twice = (200, answered() + answered(b'{"outputs":[{}]}'), 0)
    async with serving(lambda _: twice) as models, running(tmp_path, models, {"p_1": ONE}) as (engine, port):
        heard = await ask(port)
        assert heard.status == 200
        await until(lambda: engine.client._open == 0)
        models.behave = echo
        assert (await ask(port)).texts() == {"x": ["in>a"]}


async def test_a_connection_that_is_cut_in_an_answer_is_said(tmp_path):
    async def cut(asked):
        return 200, answered(length=500), 0

    async with serving(cut) as models, running(tmp_path, models, {"p_1": ONE}, seconds=0.5) as (engine, port):
        heard = await ask(port)
        assert heard.status == 504
        assert '"a" had not answered' in heard.json["error"]
        assert engine.budget.used == 0
        await until(lambda: engine.client._open == 0)


async def test_many_calls_at_once_have_their_answers(tmp_path):
    wide = {"steps": [{"name": f"s{number}"} for number in range(40)], "output": {"steps": ["s7", "s39"]}}
    async with serving() as models, running(tmp_path, models, {"p_1": wide}) as (engine, port):
        heard = await asyncio.gather(*(ask(port) for _ in range(5)))
        assert {each.status for each in heard} == {200}
        assert await engine.finish(10)
        assert engine.budget.used == 0
        assert len(models.calls) == 200
