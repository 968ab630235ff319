"""Requests and answers of HTTP/1.1 as values, and answers as bytes. Pure.

Made by `request_reader` and `answers`, written by `connection`.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bailie.pipelinegateway.budget import Reservation

Headers = tuple[tuple[bytes, bytes], ...]
JSON = (b"content-type", b"application/json")
_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}


class HttpAnswer(NamedTuple):
    """An answer: status, headers without its length, body, and trailers where the protocol has them."""

    status: int
    body: bytes
    headers: Headers = (JSON,)
    trailers: Headers = ()


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request with its whole body, whose bytes are those of `held`.

    `refusal`: the answer to a request that may not be read to its end, and to one that is no HTTP.
    """

    method: bytes
    path: bytes
    headers: Headers
    body: bytes
    held: Reservation
    keep_alive: bool
    refusal: HttpAnswer | None = None
    grpc: bool = False

    def header(self, name: bytes) -> bytes:
        """Returns the first value of a header, whose name is in small letters; empty without one."""
        return next((value for key, value in self.headers if key == name), b"")


def encoded(answer: HttpAnswer, *, close: bool) -> bytes:
    """Returns an answer as it is sent; `close` says that it is the connection's last."""
    lines = [b"HTTP/1.1 %d %b" % (answer.status, _PHRASES.get(answer.status, b""))]
    lines += [b"%b: %b" % header for header in answer.headers]
    if close:
        lines.append(b"connection: close")
    if answer.trailers:
        lines += (b"transfer-encoding: chunked", b"", b"%x" % len(answer.body), answer.body, b"0")
        lines += [b"%b: %b" % trailer for trailer in answer.trailers]
        return b"\r\n".join([*lines, b"", b""])
    lines.append(b"content-length: %d" % len(answer.body))
    return b"\r\n".join([*lines, b"", answer.body])
