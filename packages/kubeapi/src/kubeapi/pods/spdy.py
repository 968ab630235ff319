"""SPDY/3.1 frames, as far as `kubectl port-forward` speaks them. Does no I/O.

Used by `port_forward`, which gets the bytes out of WebSocket messages. The client opens all streams. Of the
protocol (draft-mbelshe-httpbis-spdy-00, version 3.1) there are streams, their data and their end, and pings.
Windows, priorities and settings are ignored, as Kubernetes' own implementation ignores them.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VERSION = 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _HEADERS = 1, 2, 3, 6, 8
_FIN = 0x01
_HEAD = struct.Struct(">II")
_LONGEST_FRAME = 1 << 20
_LONGEST_HEADERS = 1 << 16
REFUSED, INTERNAL = 3, 6
"""Reasons for the reset of a stream."""
_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges "
    "age allow authorization cache-control connection content-base content-encoding content-language "
    "content-length content-location content-md5 content-range content-type date etag expect expires from "
    "host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location "
    "max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer "
    "transfer-encoding upgrade user-agent vary via warning www-authenticate method get status 200\N{NBSP}OK "
    "version HTTP/1.1 url public set-cookie keep-alive origin"
)
_REST = (
    "1001012012022052063003023033043053063074024054064074084094104114124134144154164175025045052"
    "03 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _dictionary() -> bytes:
    """Returns the words that both sides know before the first header; zlib compares their checksum."""
    words = (word.replace("\N{NBSP}", " ").encode() for word in _WORDS.split(" "))
    return b"".join(struct.pack(">I", len(word)) + word for word in words) + _REST.encode()


DICTIONARY = _dictionary()


class SpdyError(Exception):
    """The other side does not speak SPDY/3.1; nothing more can be read."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The client opened a stream."""

    stream: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Received:
    """Data of a stream; `last` where the client sends no more."""

    stream: int
    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class Gone:
    """The client gave the stream up."""

    stream: int


@dataclass(frozen=True, slots=True)
class Pinged:
    """The client asks for this answer."""

    answer: bytes


class Spdy:
    """One connection, seen from the server."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def receive(self, data: bytes) -> Iterator[Opened | Received | Gone | Pinged]:
        """Returns the events in the bytes received so far.

        Raises:
            SpdyError: The bytes are no frames of SPDY/3.1.
        """
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            first, second = _HEAD.unpack_from(self._buffer)
            length = second & 0xFFFFFF
            if length > _LONGEST_FRAME:
                raise SpdyError(f"a frame of {length} bytes")
            end = _HEAD.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_HEAD.size : end])
            del self._buffer[:end]
            last = bool(second >> 24 & _FIN)
            if first >> 31:
                yield from self._control(first, body, last)
            else:
                yield Received(first, body, last)

    def _control(self, first: int, body: bytes, last: bool) -> Iterator[Opened | Received | Gone | Pinged]:
        kind = first & 0xFFFF
        if first >> 16 & 0x7FFF != _VERSION:
            raise SpdyError(f"version {first >> 16 & 0x7FFF}")
        if kind == _PING:
            _number(body[:4], 0)
            yield Pinged(_frame(_PING, body[:4]))
        elif kind == _RST_STREAM:
            yield Gone(_number(body, 0))
        elif kind == _HEADERS:
            self._headers(body[4:])  # both sides must have seen the same headers to compress alike
        elif kind == _SYN_STREAM:
            stream = _number(body, 0)
            yield Opened(stream, self._headers(body[10:]))
            if last:
                yield Received(stream, b"", last)

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            text = self._inflate.decompress(block, _LONGEST_HEADERS)
        except zlib.error as error:
            raise SpdyError(f"headers: {error}") from error
        if self._inflate.unconsumed_tail:
            raise SpdyError(f"headers of more than {_LONGEST_HEADERS} bytes")
        return dict(_pairs(text))

    def accept(self, stream: int) -> bytes:
        """Returns the answer to `Opened` that takes the stream."""
        block = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _frame(_SYN_REPLY, struct.pack(">I", stream) + block)

    def data(self, stream: int, data: bytes, *, last: bool = False) -> bytes:
        """Returns a frame of a stream's data, at most `_LONGEST_FRAME` bytes."""
        return _HEAD.pack(stream, (_FIN if last else 0) << 24 | len(data)) + data

    def reset(self, stream: int, reason: int) -> bytes:
        """Returns the frame that ends a stream in both directions."""
        return _frame(_RST_STREAM, struct.pack(">II", stream, reason))


def _frame(kind: int, body: bytes) -> bytes:
    return _HEAD.pack(1 << 31 | _VERSION << 16 | kind, len(body)) + body


def _number(body: bytes, at: int) -> int:
    if len(body) < at + 4:
        raise SpdyError("a frame that ends early")
    return int.from_bytes(body[at : at + 4], "big") & 0x7FFFFFFF


def _pairs(text: bytes) -> Iterator[tuple[str, str]]:
    at = 4
    for _ in range(_number(text, 0)):
        name, at = _text(text, at)
        value, at = _text(text, at)
        yield name.lower(), value


def _text(text: bytes, at: int) -> tuple[str, int]:
    end = at + 4 + _number(text, at)
    if end > len(text):
        raise SpdyError("headers that end early")
    return text[at + 4 : end].decode("latin-1"), end
