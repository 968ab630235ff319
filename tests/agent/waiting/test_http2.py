"""Connections of HTTP/2 whose streams are read at their readers' pace."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import asynccontextmanager

import grpc
import pytest
from benchmarks.raw_http2 import (
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    connection,
    frame,
    grpc_headers,
    header_block,
)
from tests.support.dataplane import Servicer
from tests.support.held_calls import ASKS, call_headers, held
from tests.support.waiting import until

from bailie._gen import inference_pb2_grpc as pb_grpc
from bailie.agent.waiting.http2 import Http2Connection
from bailie.agent.waiting.streams import Stream, StreamLost, StreamPart

STREAM_CALL = call_headers(b"ModelStreamInfer")
ASKED = b"\0\0\0\0\10\12\6iris_1"


async def test_frames_without_bytes_are_nothing_while_a_call_waits():
    async with held() as port, connection(port.port) as raw:
        path = "/inference.GRPCInferenceService/ModelInfer"
        stream = raw.begin(grpc_headers(path, "iris", *ASKS))
        for _ in range(2_000):
            raw.write(frame(DATA, 0, stream))
        await raw.send(stream, [ASKED])
        await until(lambda: port.gate.waiting == 1)
        port.gate.opened.set()
        assert (await raw.answer(stream, 20)).headers["grpc-status"] == "0"


async def test_nothing_is_kept_of_callers_who_leave_in_the_same_breath():
    gc.freeze()  # what other tests have left takes seconds to look through
    async with held() as port, connection(port.port) as raw:
        block = header_block(grpc_headers("/inference.GRPCInferenceService/ModelInfer", "iris", *ASKS))
        for number in range(1, 201, 2):
            asked, left = frame(HEADERS, END_HEADERS, number, block), frame(RST_STREAM, 0, number, bytes(4))
            raw.write(asked + left)
        raw.write(frame(HEADERS, END_HEADERS, 201, block))
        await until(lambda: port.gate.waiting == 1)
        await until(lambda: _streams() == 1)


def _streams():
    gc.collect()
    return sum(isinstance(each, Stream) for each in gc.get_objects())


@asynccontextmanager
async def answering(*options):
    """A connection to a real server with such options, which has said its settings."""
    server = grpc.aio.server(options=options)
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer("server"), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    loop = asyncio.get_running_loop()
    _, made = await loop.create_connection(Http2Connection, "127.0.0.1", port)
    try:
        yield made, server
    finally:
        made.end()
        await server.stop(0)


async def trailers_of(stream):
    while True:
        part = await stream.read()
        if part.end:
            return dict(part.headers)


async def test_a_call_too_many_for_the_server_ends_no_other():
    async with answering(("grpc.max_concurrent_streams", 1)) as (connection, _):
        first = connection.open(STREAM_CALL)
        await first.send(StreamPart(data=ASKED))
        assert (await first.read()).headers
        with pytest.raises(StreamLost):
            connection.open(STREAM_CALL)
        await first.send(StreamPart(end=True))
        assert (await trailers_of(first))[b"grpc-status"] == b"0"
        first.close()
        assert connection.usable
        second = connection.open(STREAM_CALL)
        await second.send(StreamPart(end=True))
        assert (await trailers_of(second))[b"grpc-status"] == b"0"


async def test_calls_under_way_go_on_when_the_server_takes_no_others():
    async with answering() as (connection, server), asyncio.TaskGroup() as group:
        call = connection.open(STREAM_CALL)
        await call.send(StreamPart(data=ASKED))
        assert (await call.read()).headers
        group.create_task(server.stop(20))
        await until(lambda: not connection.usable)
        await call.send(StreamPart(data=ASKED, end=True))
        assert (await trailers_of(call))[b"grpc-status"] == b"0"
        call.close()
        await until(lambda: connection._transport is None)


async def test_a_caller_who_begins_no_more_calls_is_answered_those_under_way():
    async with held() as port, connection(port.port) as raw:
        call = raw.begin(grpc_headers("/inference.GRPCInferenceService/ModelInfer", "iris", *ASKS))
        await raw.send(call, [ASKED])
        raw.write(frame(GOAWAY, 0, 0, bytes(8)))
        await until(lambda: port.gate.waiting == 1)
        port.gate.opened.set()
        assert (await raw.answer(call, 20)).headers["grpc-status"] == "0"
        await until(lambda: raw.closed)


class Looks(dict):
    """Streams by number, with how many were looked at."""

    seen = 0

    def items(self):
        self.seen += len(self)
        return super().items()


def test_streams_that_begin_are_not_looked_at_again_for_each_other():
    calls = []
    connection = Http2Connection(lambda stream, headers: calls.append(stream))
    streams = connection._engine.streams = Looks()
    block = header_block(grpc_headers("/", "iris"))
    begun = (frame(HEADERS, END_HEADERS, number, block) for number in range(1, 2_001, 2))
    connection.data_received(PREFACE + frame(SETTINGS, 0, 0) + b"".join(begun))
    assert len(calls) == 1_000
    assert streams.seen <= 10_000
    for stream in calls:
        stream.close()
    for number in range(2_001, 3_001, 2):
        connection.data_received(frame(HEADERS, END_HEADERS, number, block))
    assert len(streams) <= 1_000


async def test_a_peer_that_is_gone_without_a_word_is_noticed():
    """By the system; what the connections ask it for is all that can be seen here."""
    async with answering() as (connection, _):
        on = connection._transport.get_extra_info("socket")
        assert on.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert on.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
