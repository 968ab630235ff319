"""Requests and answers of HTTP/1.1 as values, and answers as bytes. Pure.

Made by `request_reader` and `answers`, written by `connection`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.pipelinegateway.budget import Reservation

Headers = tuple[tuple[bytes, bytes], ...]
JSON = (b"content-type", b"application/json")
_JOINED_BYTES = 16 << 10
"""A body up to this size is copied behind its head: uvloop takes longer for two buffers than for the copy."""
_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}


class HttpAnswer(Struct, frozen=True):
    """An answer: status, headers without its length, body, and trailers where the protocol has them."""

    status: int
    body: bytes
    headers: Headers = (JSON,)
    trailers: Headers = ()


class HttpRequest(Struct, frozen=True):
    """A request with its whole body, whose bytes are those of `held`.

    `named`: the first header of each name. `refusal`: the answer to a request that may not be read to its
    end, and to one that is no HTTP.
    """

    method: bytes
    path: bytes
    headers: Headers
    named: Mapping[bytes, bytes]
    body: bytes
    held: Reservation
    keep_alive: bool
    refusal: HttpAnswer | None = None
    grpc: bool = False

    def header(self, name: bytes) -> bytes:
        """Returns the first value of a header, whose name is in small letters; empty without one."""
        return self.named.get(name, b"")


def lines(given: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Returns headers as they are sent."""
    return b"".join([b"%b: %b\r\n" % each for each in given])


def parts_of(head: bytes, body: bytes, end: bytes = b"") -> tuple[bytes, ...]:
    """Returns the parts of a message as they are sent: one part where the body is short."""
    if len(body) <= _JOINED_BYTES:
        return (head + body + end,)
    return (head, body, end) if end else (head, body)


def encoded(answer: HttpAnswer, *, close: bool) -> tuple[bytes, ...]:
    """Returns the parts of an answer as they are sent; `close` says that it is the connection's last."""
    head = b"HTTP/1.1 %d %b\r\n" % (answer.status, _PHRASES.get(answer.status, b""))
    head += lines(answer.headers) + (b"connection: close\r\n" if close else b"")
    size = len(answer.body)
    if answer.trailers:
        before = b"%btransfer-encoding: chunked\r\n\r\n%x\r\n" % (head, size)
        return parts_of(before, answer.body, b"\r\n0\r\n%b\r\n" % lines(answer.trailers))
    return parts_of(b"%bcontent-length: %d\r\n\r\n" % (head, size), answer.body)
