"""gRPC on HTTP/1.1, as Envoy carries it: the frame of a message, and the time of a call.

Used by `grpc_calls`, `grpc_dialect` and `grpc_answers`. Pure. Source: PROTOCOL-HTTP2.md of grpc/grpc.
"""

from __future__ import annotations

import re

from bailie.pipelinegateway.json_bodies import MalformedBody

SERVICE = b"/inference.GRPCInferenceService/"
CONTENT_TYPE = (b"content-type", b"application/grpc")
STATUS, MESSAGE = b"grpc-status", b"grpc-message"
TIMEOUT = b"grpc-timeout"
FRAME_BYTES = 5
_TIMEOUT = re.compile(rb"(\d{1,8})([HMSmun])")
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def is_grpc(content_type: bytes) -> bool:
    """Says whether a header has the type of gRPC calls."""
    return content_type == CONTENT_TYPE[1] or content_type.startswith(b"application/grpc+")


def frame(message: bytes) -> bytes:
    """Returns a message as it is sent."""
    return len(message).to_bytes(FRAME_BYTES, "big") + message


def message_in(body: bytes) -> bytes:
    """Returns the one message of a body. Raises MalformedBody."""
    if len(body) < FRAME_BYTES:
        raise MalformedBody("there is no message in it")
    if body[0] == 1:
        raise MalformedBody("compressed messages are not supported, send them with encoding identity")
    size = int.from_bytes(body[1:FRAME_BYTES], "big")
    if body[0] or size > len(body) - FRAME_BYTES:
        raise MalformedBody(f"its message has {size} bytes, and {len(body) - FRAME_BYTES} have come")
    if size < len(body) - FRAME_BYTES:
        raise MalformedBody("there is more than one message in it")
    return body[FRAME_BYTES:]


def seconds_of(timeout: bytes) -> float:
    """Returns the seconds that a caller gives a call. Raises MalformedBody."""
    found = _TIMEOUT.fullmatch(timeout)
    if found is None:
        raise MalformedBody(f"the header {TIMEOUT.decode()} is no time")
    return int(found[1]) * _UNITS[found[2]]
