"""Frames of SPDY/3.1, spoken to by a client of the test's own, friendly or not."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeapi.pods.spdy import DICTIONARY, REFUSED, Gone, Opened, Pinged, Received, Spdy, SpdyError


class Speaker:
    """A client: compresses headers as the protocol says."""

    def __init__(self):
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def block(self, headers):
        pairs = [part for pair in headers.items() for part in pair]
        text = struct.pack(">I", len(headers)) + b"".join(
            struct.pack(">I", len(part)) + part.encode() for part in pairs
        )
        return self._deflate.compress(text) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def open(self, stream, headers, *, flags=0):
        return control(1, struct.pack(">IIH", stream, 0, 0) + self.block(headers), flags)


def control(kind, body, flags=0, version=3):
    return struct.pack(">II", 1 << 31 | version << 16 | kind, flags << 24 | len(body)) + body


def data(stream, content, flags=0):
    return struct.pack(">II", stream, flags << 24 | len(content)) + content


def test_the_dictionary_is_the_protocols():
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_streams_data_and_ends_in_any_pieces():
    client = Speaker()
    sent = (
        client.open(1, {"StreamType": "error", "port": "80"}, flags=1)
        + client.open(3, {"streamtype": "data"})
        + data(3, b"hello")
        + data(3, b"", flags=1)
        + control(3, struct.pack(">II", 3, 5))
        + control(6, struct.pack(">I", 7))
        + control(4, b"\0" * 4)
    )
    wanted = [
        Opened(1, {"streamtype": "error", "port": "80"}),
        Received(1, b"", True),
        Opened(3, {"streamtype": "data"}),
        Received(3, b"hello", False),
        Received(3, b"", True),
        Gone(3),
        Pinged(control(6, struct.pack(">I", 7))),
    ]
    assert list(Spdy().receive(sent)) == wanted
    by_bytes = Spdy()
    assert [event for byte in sent for event in by_bytes.receive(bytes([byte]))] == wanted


def test_headers_of_ignored_frames_keep_the_compression_in_step():
    client, spdy = Speaker(), Spdy()
    list(spdy.receive(control(8, struct.pack(">I", 1) + client.block({"x": "y"}))))
    assert list(spdy.receive(client.open(5, {"port": "1"}))) == [Opened(5, {"port": "1"})]


def test_answers():
    spdy = Spdy()
    accepted = spdy.accept(1)
    kind, length = struct.unpack(">II", accepted[:8])
    assert (kind, length) == (1 << 31 | 3 << 16 | 2, len(accepted) - 8)
    assert zlib.decompressobj(zdict=DICTIONARY).decompress(accepted[12:]) == b"\0\0\0\0"
    assert spdy.data(1, b"ab", last=True) == data(1, b"ab", flags=1)
    assert spdy.reset(1, REFUSED) == control(3, struct.pack(">II", 1, 3))


@pytest.mark.parametrize(
    "sent",
    [
        control(1, b"", version=2),
        control(1, b"\0" * 3),
        control(1, b"\0" * 10 + b"no zlib"),
        control(6, b"\0"),
        struct.pack(">II", 1, 0xFFFFFF),
        control(1, b"\0" * 10 + Speaker().block({"a": "x" * (1 << 17)})),
        control(1, b"\0" * 10 + Speaker().block({})[:-9]),
    ],
)
def test_what_is_no_spdy_is_refused(sent):
    with pytest.raises(SpdyError):
        list(Spdy().receive(sent))


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(0, 9))
def test_no_bytes_do_harm(content, kind):
    for sent in (content, control(kind, content), control(1, b"\0" * 10 + zlib.compress(content))):
        with suppress(SpdyError):
            list(Spdy().receive(sent))
