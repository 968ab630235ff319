"""Answers of an Envoy and of models over gRPC that fail in every way: each call ends once, in words."""

from __future__ import annotations

import pytest
from tests.pipelinegateway.client import ask_bytes, grpc_bytes, running
from tests.pipelinegateway.models import echo, serving

ONE = {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}
ROUTE = b"x-seldon-route: :a_1:\r\n"
UNKNOWN, DEADLINE, UNAVAILABLE = 2, 4, 14


def headers_only(code, words=b"", *, route=ROUTE, status=200):
    return (
        b"HTTP/1.1 %d X\r\ncontent-type: application/grpc\r\n%bgrpc-status: %b\r\ngrpc-message: %b\r\n"
        b"content-length: 0\r\n\r\n" % (status, route, code, words)
    )


def chunks(*parts, trailers=b"grpc-status: 0\r\n"):
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + body + b"0\r\n" + trailers + b"\r\n"


@pytest.mark.parametrize(
    ("answer", "code", "words", "again"),
    [
        (headers_only(b"3", b"no column %C3%A4 %2541"), UNKNOWN, "a : no column ä %41", False),
        (headers_only(b"5", b"no such row"), UNKNOWN, "a : no such row", False),
        (
            headers_only(b"5", b"model a does not exist", route=b""),
            UNAVAILABLE,
            "model a does not exist",
            True,
        ),
        (headers_only(b"14", b"is loading", route=b""), UNAVAILABLE, "was not answered: is loading", True),
        (headers_only(b"14", b"went away"), UNAVAILABLE, "was not answered: went away", False),
        (headers_only(b"4", b"late"), DEADLINE, "late", False),
        (headers_only(b"2"), UNKNOWN, "gRPC status 2 without words", False),
        (headers_only(b"2", b"%ff%"), UNKNOWN, "a : ", False),
        (headers_only(b"2", b"x" * 9_000), UNKNOWN, "xxx", False),
        (headers_only(b"99999999999999", b"odd"), UNKNOWN, "odd", False),
        (headers_only(b"x", b"odd"), UNKNOWN, "HTTP status 200 and no status of gRPC", False),
        (b"HTTP/1.1 502 X\r\ncontent-length: 3\r\n\r\nbad", UNKNOWN, "HTTP status 502", False),
        (chunks(b"\0\0\0\0\0", trailers=b""), UNKNOWN, "no status of gRPC", False),
        (
            chunks(b"\0\0\0\0\0", trailers=b"grpc-status: 13\r\ngrpc-message: late\r\n"),
            UNKNOWN,
            "late",
            False,
        ),
        (chunks(), UNKNOWN, "no inference response: there is no message", False),
        (chunks(b"\1\0\0\0\0"), UNKNOWN, "no inference response: compressed", False),
        (chunks(b"\0\0\0\0\1", b"\xff"), UNKNOWN, "no inference response: the number at byte 0", False),
        (chunks(b"\0\0\0\0\0"), 9, 'no output: the output got no tensor from "a"', False),
        (chunks(b"x" * 3_000), UNKNOWN, "more than 2000 bytes", False),
        (b"no HTTP at all\r\n\r\n", UNAVAILABLE, "no HTTP/1.1", False),
    ],
)
async def test_every_bad_answer_has_words_and_the_next_call_works(tmp_path, answer, code, words, again):
    bad = [(200, answer, 0)]

    def behave(asked):
        return bad.pop() if bad else echo(asked)

    async with (
        serving(behave) as models,
        running(tmp_path, models, {"p_1": ONE}, most_body_bytes=2_000) as (engine, port),
    ):
        heard = await ask_bytes(port, grpc_bytes())
        assert heard.code == code
        assert words in heard.words
        assert bool(heard.values("retry-after")) == again
        assert (await ask_bytes(port, grpc_bytes())).texts() == {"x": ["in>a"]}
        assert await engine.finish(5)
        assert engine.budget.used == 0
