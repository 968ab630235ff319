"""Streams of HTTP/2 that are read at their readers' pace."""

from __future__ import annotations

import gc

from benchmarks.raw_http2 import (
    DATA,
    END_HEADERS,
    HEADERS,
    RST_STREAM,
    connection,
    frame,
    grpc_headers,
    header_block,
)
from hypothesis import given
from hypothesis import strategies as st
from tests.support.held_calls import ASKS, held
from tests.support.waiting import until

from bailie.agent.waiting.http2 import Stream, StreamPart


class Windows:
    """The connection of a stream, which counts the bytes that were taken."""

    def __init__(self) -> None:
        self.taken = 0

    def took(self, number, window):
        self.taken += window


@given(st.lists(st.binary(max_size=3), min_size=1, max_size=200))
async def test_bytes_that_wait_are_one_part_however_many_frames_they_came_in(frames):
    windows = Windows()
    stream = Stream(windows, 1)
    for data in frames:
        stream.put(StreamPart(data=bytearray(data), window=len(data) + 1))
    stream.put(StreamPart(data=bytearray(), end=True))
    part = await stream.read()
    assert (bytes(part.data), part.end) == (b"".join(frames), True)
    assert windows.taken == sum(len(data) + 1 for data in frames)


async def test_trailers_stay_behind_the_bytes():
    stream = Stream(Windows(), 1)
    stream.put(StreamPart(headers=[(b":status", b"200")]))
    stream.put(StreamPart(data=bytearray(b"a")))
    stream.put(StreamPart(data=bytearray(b"b")))
    stream.put(StreamPart(headers=[(b"grpc-status", b"0")], end=True))
    read = [await stream.read() for _ in range(3)]
    assert [(bool(each.headers), bytes(each.data), each.end) for each in read] == [
        (True, b"", False),
        (False, b"ab", False),
        (True, b"", True),
    ]


async def test_frames_without_bytes_are_nothing_while_a_call_waits():
    async with held() as port, connection(port.port) as raw:
        path = "/inference.GRPCInferenceService/ModelInfer"
        stream = raw.begin(grpc_headers(path, "iris", *ASKS))
        for _ in range(2_000):
            raw.write(frame(DATA, 0, stream))
        await raw.send(stream, [b"\0\0\0\0\10\12\6iris_1"])
        await until(lambda: port.gate.waiting == 1)
        port.gate.opened.set()
        assert (await raw.answer(stream, 20)).headers["grpc-status"] == "0"


async def test_nothing_is_kept_of_callers_who_leave_in_the_same_breath():
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
