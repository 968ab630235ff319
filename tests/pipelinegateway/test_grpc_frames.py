"""Frames and times of gRPC, as they come from strangers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.pipelinegateway.grpc_frames import frame, is_grpc, message_in, seconds_of
from bailie.pipelinegateway.json_bodies import MalformedBody


@given(st.binary(max_size=50))
def test_a_message_comes_out_of_its_frame(message):
    assert message_in(frame(message)) == message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no message"),
        (b"\0\0\0\0", "no message"),
        (b"\1\0\0\0\0", "compressed messages are not supported"),
        (b"\2\0\0\0\0", "its message has 0 bytes"),
        (b"\0\0\0\0\2a", "its message has 2 bytes, and 1 have come"),
        (frame(b"a") + frame(b"b"), "more than one message"),
    ],
)
def test_a_body_without_one_whole_message_is_refused(body, words):
    with pytest.raises(MalformedBody, match=words):
        message_in(body)


@pytest.mark.parametrize(
    ("text", "seconds"), [(b"2S", 2), (b"1H", 3600), (b"5M", 300), (b"250m", 0.25), (b"3u", 3e-6), (b"0n", 0)]
)
def test_the_time_of_a_call(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", [b"", b"1", b"S", b"-1S", b"1.5S", b"123456789S", b"1s"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(MalformedBody, match="grpc-timeout"):
        seconds_of(text)


def test_calls_of_grpc_are_known_by_their_type():
    assert is_grpc(b"application/grpc")
    assert is_grpc(b"application/grpc+proto")
    assert not is_grpc(b"application/grpc-web")
    assert not is_grpc(b"application/json")
