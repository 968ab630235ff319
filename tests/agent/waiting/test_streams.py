"""Parts of a stream that wait for their reader."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailie.agent.waiting.streams import Stream, StreamPart


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
