"""What no client sends on purpose, from a seed: HTTP/1.1 and HTTP/2 connections, gRPC calls and messages.

Called by `edge_fuzz`. Pure: the same random numbers make the same bytes. `SEEDS` are the inputs that were
once found to do harm, each with a name that says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.raw_http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    LARGEST_FRAME,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    grpc_headers,
    header_block,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

SERVICE = "/inference.GRPCInferenceService/"
INFER = f"{SERVICE}ModelInfer"
OPENING = PREFACE + frame(SETTINGS, 0, 0)
CONTINUATION, WINDOW_UPDATE, PRIORITY, PUSH_PROMISE = 9, 8, 2, 5


@dataclass(frozen=True, slots=True)
class Input:
    """One connection: its pieces are sent one after the other. `calls`: requests in it, at least one."""

    name: str
    pieces: tuple[bytes, ...]
    calls: int = 1


def message(content: bytes, *, length: int | None = None, flag: int = 0) -> bytes:
    """Returns a gRPC message; `length` is a lie about its content's."""
    return bytes([flag]) + (len(content) if length is None else length).to_bytes(4, "big") + content


def call(stream: int, body: bytes, *, path: str = INFER, model: str = "iris", end: bool = True) -> bytes:
    """Returns a gRPC call as HTTP/2 frames."""
    parts = [body[at : at + LARGEST_FRAME] for at in range(0, len(body), LARGEST_FRAME)] or [b""]
    data = [
        frame(DATA, END_STREAM if end and number == len(parts) else 0, stream, part)
        for number, part in enumerate(parts, 1)
    ]
    head = frame(HEADERS, END_HEADERS, stream, header_block(grpc_headers(path, model)))
    return head + b"".join(data)


def _one_call(name: str, body: bytes) -> Input:
    return Input(name, (OPENING + call(1, body),))


SEEDS = (
    _one_call("a length of 2**32 - 1 hung a worker", message(b"x" * 100, length=2**32 - 1)),
    _one_call("a length of 2**31 - 1 did", message(b"x" * 100, length=2**31 - 1)),
    _one_call("a length of 2**31 did", message(b"x" * 100, length=2**31)),
    _one_call("a length of 2**32 - 6 did", message(b"x" * 100, length=2**32 - 6)),
    _one_call("a length below them waits for more", message(b"x" * 100, length=0x7FFFFF00)),
    _one_call("a length too short makes the next one of data", message(b"\xff" * 100, length=10)),
    _one_call("a field that swallowed the name", message(b"\x0a\x07other_1\xa2\x06\x0a")),
    _one_call("empty messages that grow fiftyfold", message(b"") * 10_000),
)

LENGTHS = (0, 1, 4, 5, 100, 2**14, 2**24, 2**31 - 100, 2**31 - 1, 2**31, 2**32 - 12, 2**32 - 6, 2**32 - 1)
FRAGMENTS = (
    b"\x0a\x07other_1",
    b"\x12\x00",
    b"\xa2\x06\x0a",
    b"\xa2\x06\xff\xff\xff\xff\x0f",
    b"\xa0\x06\x80",
    b"\xa3\x06",
    b"\xa4\x06",
    b"\xa1\x06",
    b"\xa5\x06abc",
    b"\x00",
    b"\x07",
    b"\x80" * 12,
    b"\xff" * 7,
    b"\x2a\x02\x0a\x00",
    b"",
)
PATHS = (
    "/v2/models/iris/infer",
    "/v2/models/iris/../../repository/index",
    "/v2/models/%2e%2e/infer",
    "/v2//models/iris",
    "/v2/models/iris%00/infer",
    "/v2/models/" + "x" * 8_000,
    "*",
    "",
    "x",
    "//",
    "/v2/models/iris/versions/",
    "http://x/v2/models/iris",
    "/v2/models/iris;a=b/infer",
    "/v2/models/\x01",
    f"{SERVICE}ModelInfer",
    f"{SERVICE}Nope",
)
HEADER_LINES = (
    "Content-Length: 5",
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: -1",
    "Content-Length: 99999999999999999999",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 3",
    "Transfer-Encoding: xchunked",
    "Host: y",
    "seldon-model: iris",
    "seldon-model: " + "y" * 9_000,
    "seldon-model: \x80\xff",
    " folded: x",
    "no colon",
    ": empty",
    "Content-Type: application/grpc",
    "Content-Type: application/grpc+x",
    "Connection: upgrade\r\nUpgrade: h2c",
    "Upgrade: websocket\r\nConnection: Upgrade",
    "Expect: 100-continue",
    "Expect: x",
    "x-envoy-retry-on: 5xx",
    "a: " + "b" * 70_000,
    "x: \0",
    "grpc-encoding: gzip",
    "te: trailers",
    "grpc-timeout: 99999999H",
)
METHODS = (
    "POST",
    "GET",
    "PUT",
    "CONNECT",
    "OPTIONS",
    "HEAD",
    "DELETE",
    "PRI",
    "POST\t",
    "p",
    "",
    "\x16\x03\x01",
)
BODIES = (
    b"",
    b"{}",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\nx",
    b"-1\r\n",
    b"0\r\n\r\n",
    b"\0" * 100,
    b'{"inputs":' * 50,
)


def inputs(random: Random) -> Iterator[Input]:
    """Yields inputs for ever: first the `SEEDS`, then one of any kind, one in fifty a seed again."""
    yield from SEEDS
    while True:
        kind = random.choice((_messages, _messages, _framing, _http1, _calls, _frames))
        yield random.choice(SEEDS) if random.random() < 0.02 else kind(random)


def _split(random: Random, data: bytes) -> tuple[bytes, ...]:
    """Cuts at up to three places."""
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.randrange(4)))
    return tuple(data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b)


def _several(random: Random, name: str, body: bool) -> Input:
    count = random.randrange(1, 9)
    make = _content if body else _length
    data = b"".join(call(2 * n + 1, make(random), end=random.random() < 0.8) for n in range(count))
    return Input(name, _split(random, OPENING + data), count)


def _messages(random: Random) -> Input:
    """Calls whose messages are no messages of protobuf."""
    return _several(random, "messages", body=True)


def _content(random: Random) -> bytes:
    content = b"".join(random.choices(FRAGMENTS, k=random.randrange(1, 6)))
    if random.random() < 0.3:
        content += random.randbytes(random.choice((1, 10, 1_000)))
    return message(content) * random.choice((1, 1, 1, 3, 200))


def _framing(random: Random) -> Input:
    """Calls whose lengths and flags lie."""
    return _several(random, "framing", body=False)


def _length(random: Random) -> bytes:
    length = random.choice((*LENGTHS, random.getrandbits(32)))
    content = random.choice((b"x", b"\xff", b"\0")) * random.choice((0, 1, 3, 100, 40_000))
    return message(content, length=length, flag=random.choice((0, 0, 0, 1, 2, 255))) * random.choice(
        (1, 1, 2)
    )


def _calls(random: Random) -> Input:
    """Calls with paths, names and ends that fit nothing."""
    path, model = (
        random.choice(PATHS),
        random.choice(("iris", "", "x" * 300, "iris/a", "\x80", "nope", "a,b")),
    )
    data = call(1, message(b""), path=path, model=model, end=random.random() < 0.5)
    if random.random() < 0.3:
        data += frame(RST_STREAM, 0, 1, (8).to_bytes(4, "big"))
    return Input("calls", _split(random, OPENING + data))


def _frames(random: Random) -> Input:
    """HTTP/2 frames in any order, with payloads and lengths that do not fit, or a flood of one of them."""
    if random.random() < 0.3:
        return _flood(random)
    data = random.choice((OPENING, OPENING, PREFACE, b"", PREFACE[:10]))
    for _ in range(random.randrange(1, 6)):
        payload = random.randbytes(random.choice((0, 4, 5, 8, 9, 100)))
        length = random.choice((None, None, None, 0, 2**24 - 1, random.getrandbits(10)))
        stream = random.choice((0, 1, 1, 2, 3, 2**31 - 1, 2**32 - 1))
        data += frame(random.randrange(12), random.getrandbits(8), stream, payload, length=length)
    return Input("frames", _split(random, data))


def _flood(random: Random) -> Input:
    one = random.choice(
        (
            frame(PING, 0, 0, b"12345678"),
            frame(SETTINGS, 0, 0, b"\0\4" + (2**31 - 1).to_bytes(4, "big")),
            frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
            frame(PRIORITY, 0, 1, b"\0\0\0\0\1"),
            frame(DATA, 0, 1, b""),
            frame(CONTINUATION, 0, 1, b"\x82" * 100),
            frame(GOAWAY, 0, 0, bytes(8)),
            frame(PUSH_PROMISE, 4, 1, bytes(8)),
        )
    )
    if random.random() < 0.5:
        data = frame(
            HEADERS,
            0 if one[3] == CONTINUATION else END_HEADERS,
            1,
            header_block(grpc_headers(INFER, "iris")),
        )
        return Input("flood", _split(random, OPENING + data + one * 500))
    rapid = [call(2 * n + 1, b"", end=False) + frame(RST_STREAM, 0, 2 * n + 1, bytes(4)) for n in range(50)]
    return Input("rapid reset", _split(random, OPENING + b"".join(rapid)), len(rapid))


def _http1(random: Random) -> Input:
    """HTTP/1.1 requests, up to three on a connection."""
    count = random.randrange(1, 4)
    return Input("http1", _split(random, b"".join(_request(random) for _ in range(count))), count)


def _request(random: Random) -> bytes:
    version = random.choice(("HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", ""))
    lines = [f"{random.choice(METHODS)} {random.choice(PATHS)} {version}"]
    lines += random.choices(HEADER_LINES, k=random.randrange(5))
    if random.random() < 0.7:
        lines.insert(1, "Host: x")
    end = random.choice(("\r\n\r\n", "\r\n\r\n", "\r\n\r\n", "\n\n", "\r\n", ""))
    return ("\r\n".join(lines) + end).encode("latin-1") + random.choice(BODIES)
