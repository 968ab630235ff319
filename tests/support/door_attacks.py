"""Connections to `exec` and `portforward` of the embedded API that nobody makes: seeded, and endless.

Broken handshakes, WebSocket frames, SPDY frames and channels, in pieces, slow, and left in the middle.
Used by `python -m benchmarks door-fuzz` and its short form in tests/kubeapi.
"""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubeapi.pods.commands import PROTOCOLS
from kubeapi.pods.port_forward import PROTOCOL
from kubeapi.pods.spdy import DICTIONARY

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
STDIN, STATUS, CLOSED = 0, 3, 255
FIN = 1 << 24
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_POD = "/api/v1/namespaces/doors/pods/p"
FORWARD = f"{_POD}/portforward"
EXEC = f"{_POD}/exec?command=cat&stdin=true&stdout=true&stderr=true"
_LARGE = 1 << 20


@dataclass(frozen=True, slots=True)
class Attack:
    """One connection: the head of its request, what follows in pieces, and how it is left."""

    name: str
    head: bytes
    pieces: tuple[bytes, ...]
    slow: bool
    reset: bool


def head(path: str, protocol: str, token: str, **changes: str | None) -> bytes:
    """Returns the request that opens a WebSocket; `changes` are headers, None leaves one out."""
    headers = {
        "host": "x",
        "authorization": f"Bearer {token}",
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": _KEY,
        "sec-websocket-protocol": protocol,
    }
    stated = {**headers, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [f"{name}: {value}" for name, value in stated.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def frame(payload: bytes, *, opcode: int = BINARY, first: int = 0x80, mask: bool = True) -> bytes:
    """Returns a frame of a client; the mask is four zeros, so that the payload stays as it is."""
    size, flag = len(payload), 0x80 if mask else 0
    short = size if size < 126 else 126 if size < 1 << 16 else 127
    length = b"" if size < 126 else struct.pack(">H" if size < 1 << 16 else ">Q", size)
    return bytes([first | opcode, flag | short]) + length + (bytes(4) if mask else b"") + payload


class SpdyClient:
    """The frames of a client, whose headers are compressed together."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def open(self, stream: int, *, flags: int = 0, **headers: str) -> bytes:
        """Returns SYN_STREAM."""
        block = struct.pack(">I", len(headers))
        for name, value in headers.items():
            for text in (name.encode(), value.encode("latin-1")):
                block += struct.pack(">I", len(text)) + text
        packed = self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return control(1, struct.pack(">IIH", stream, 0, 0) + packed, flags)

    def forward(self, request: str, port: int, first: int) -> bytes:
        """Returns both streams of one connection: `first` for errors, the next odd number for data."""
        named = {"requestid": request, "port": str(port)}
        return self.open(first, streamtype="error", **named) + self.open(
            first + 2, streamtype="data", **named
        )


def control(kind: int, body: bytes, flags: int = 0, version: int = 3) -> bytes:
    """Returns a control frame of SPDY."""
    return struct.pack(">II", 1 << 31 | version << 16 | kind, flags | len(body)) + body


def data(stream: int, content: bytes, *, last: bool = False) -> bytes:
    """Returns a data frame of SPDY."""
    return struct.pack(">II", stream, (FIN if last else 0) | len(content)) + content


class Attacks:
    """An endless stream of attacks, the same for a seed. `port`: where something in the pod listens."""

    def __init__(self, seed: int, *, token: str, port: int) -> None:
        self._random = random.Random(seed)
        self._token = token
        self._port = port

    def __iter__(self) -> Iterator[Attack]:
        kinds = (self._handshake, self._frames, self._spdy, self._streams, self._channels)
        while True:
            kind = self._random.choice(kinds)
            start, pieces = kind()
            if self._random.random() < 0.3:
                pieces = self._cut(pieces)
            slow, reset = self._random.random() < 0.1, self._random.random() < 0.5
            yield Attack(kind.__name__.strip("_"), start, tuple(pieces), slow, reset)

    def _noise(self, most: int) -> bytes:
        return self._random.randbytes(self._random.randrange(1, most))

    def _cut(self, pieces: list[bytes]) -> list[bytes]:
        """Cuts the bytes at other places, and often ends them early."""
        whole = b"".join(pieces)[: 1 << 16]
        if self._random.random() < 0.5:
            whole = whole[: self._random.randrange(len(whole) + 1)]
        step = self._random.randrange(1, 2000)
        return [whole[at : at + step] for at in range(0, len(whole), step)]

    def _door(self) -> tuple[str, str]:
        return self._random.choice([(FORWARD, PROTOCOL), (EXEC, PROTOCOLS[0]), (EXEC, PROTOCOLS[1])])

    def _opened(self) -> bytes:
        return head(*self._door(), self._token)

    def _handshake(self) -> tuple[bytes, list[bytes]]:
        path, protocol = self._door()
        change = self._random.choice(
            [
                {"sec_websocket_key": None}, {"sec_websocket_key": "x"}, {"sec_websocket_key": "\xe4" * 300},
                {"sec_websocket_version": None}, {"sec_websocket_version": "99"},
                {"sec_websocket_protocol": None}, {"sec_websocket_protocol": "," * 500},
                {"sec_websocket_protocol": "x" * 9000}, {"sec_websocket_extensions": "permessage-deflate"},
                {"authorization": None}, {"authorization": "Bearer x"}, {"upgrade": "h2c"},
                {"connection": None}, {"content_length": "5"}, {"transfer_encoding": "chunked"},
                {"host": None},
            ]
        )  # fmt: skip
        where = self._random.choice(
            [path, path, f"{path}&command=%00", f"{path}/x", f"{path}?command=" + "x" * 9000]
        )
        return head(where, protocol, self._token, **change), [self._noise(300)]

    def _frames(self) -> tuple[bytes, list[bytes]]:
        huge = self._random.choice([1 << 20, 1 << 31, 1 << 62, (1 << 64) - 1])
        broken = [
            lambda: self._noise(5000),
            lambda: frame(self._noise(200), mask=False),
            lambda: frame(self._noise(200), opcode=self._random.choice([3, 7, 11, 15])),
            lambda: frame(self._noise(200), first=self._random.choice([0xC0, 0xB0, 0xF0])),
            lambda: frame(b"\xff\xfe" * 20, opcode=TEXT),
            lambda: frame(self._noise(1000), opcode=PING),
            lambda: frame(struct.pack(">H", self._random.randrange(1 << 16)) + b"\xff", opcode=CLOSE),
            lambda: frame(b"x", opcode=CLOSE),
            lambda: bytes([0x82, 0xFF]) + struct.pack(">Q", huge) + bytes(4) + self._noise(5000),
            lambda: frame(bytes(_LARGE)) + frame(bytes(_LARGE + 1)),
            lambda: frame(self._noise(100), first=0) + frame(self._noise(100), opcode=0, first=0) * 500,
            lambda: frame(b"", opcode=0) * 50,
            lambda: frame(b"") * 2000,
        ]
        return self._opened(), [self._random.choice(broken)() for _ in range(self._random.randrange(1, 6))]

    def _spdy(self) -> tuple[bytes, list[bytes]]:
        bomb = zlib.compressobj(9, zdict=DICTIONARY)
        bombed = bomb.compress(bytes(1 << 22)) + bomb.flush(zlib.Z_SYNC_FLUSH)
        number = self._random.choice([0, 1, 3, (1 << 31) - 1])
        broken = [
            lambda: self._noise(3000),
            lambda: control(1, struct.pack(">IIH", number, 0, 0) + self._noise(300)),
            lambda: control(1, struct.pack(">IIH", number, 0, 0) + bombed),
            lambda: control(8, struct.pack(">I", number) + self._noise(300)),
            lambda: control(self._random.randrange(1 << 16), self._noise(100)),
            lambda: control(3, self._noise(4)),
            lambda: control(6, b"\0\0\0\1") * 2000,
            lambda: control(6, b"", version=self._random.randrange(8)),
            lambda: struct.pack(">II", number, (1 << 24) - 1) + bytes(1 << 18),
            lambda: data(number, self._noise(2000), last=True),
        ]
        sent = b"".join(self._random.choice(broken)() for _ in range(self._random.randrange(1, 5)))
        return head(FORWARD, PROTOCOL, self._token), [frame(sent)]

    def _streams(self) -> tuple[bytes, list[bytes]]:
        """Well-formed frames in an order that no client has."""
        client = SpdyClient()
        pieces = [frame(self._odd(client)) for _ in range(self._random.randrange(1, 40))]
        return head(FORWARD, PROTOCOL, self._token), pieces

    def _odd(self, client: SpdyClient) -> bytes:
        stream = self._random.choice([0, 1, 2, 3, 5, 7, self._random.randrange(1 << 31)])
        port = self._random.choice([str(self._port)] * 3 + ["", "0", "1", "99999", "x", "\xb2", "9" * 400])
        headers = {"streamtype": self._random.choice(["error", "data", "", "x"]), "port": port}
        kind = self._random.randrange(20)
        if kind == 0:
            return b"".join(client.forward(f"n{each}", self._port, 9 + 4 * each) for each in range(300))
        if kind < 10:
            flags = self._random.choice([0, FIN])
            return client.open(stream, flags=flags, requestid=self._random.choice("012"), **headers)
        if kind < 17:
            return data(stream, self._noise(5000), last=self._random.random() < 0.5)
        return control(3, struct.pack(">II", stream, 5))

    def _channels(self) -> tuple[bytes, list[bytes]]:
        sizes = [b"", b"{}", b'{"Width": 1e400, "Height": 1}', b'{"Width": "x"}', b"[" * 5000, b"\xff"]
        tty = self._random.choice(["", "&tty=true"])
        pieces = []
        for _ in range(self._random.randrange(1, 20)):
            channel = self._random.choice([STDIN, STDIN, 1, 2, 3, 5, 77, CLOSED])
            content = self._random.choice([self._noise(200), bytes(100_000), b"\x04", b"", bytes([STDIN])])
            opcode = self._random.choice([BINARY, BINARY, TEXT])
            pieces.append(frame(bytes([channel]) + content, opcode=opcode))
            pieces.append(frame(b"\x04" + self._random.choice(sizes)))
        return head(EXEC + tty, self._random.choice(PROTOCOLS), self._token), pieces
