"""An HTTP/2 connection that says whatever it is told to, right or wrong, and reads what is answered.

Called by `edge_fuzz` and by the tests of the gateway; libraries refuse to send what must be tried.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpack import Decoder, Encoder, HPACKError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4
LARGEST_FRAME = 16_384
"""Bytes of a frame's payload, as every peer accepts them."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """Returns a frame; `length` is a lie about its payload's."""
    told = len(payload) if length is None else length
    return (
        told.to_bytes(3, "big") + bytes((kind & 255, flags & 255)) + (stream & 2**32 - 1).to_bytes(4, "big")
    ) + payload


def header_block(headers: Iterable[tuple[str, str]]) -> bytes:
    """Returns `headers` as a connection's first header block can say them, and every later one."""
    encoder = Encoder()
    encoder.header_table_size = 0
    return encoder.encode(list(headers), huffman=False)


def grpc_headers(path: str, model: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    """Returns the headers of a gRPC call for `model`."""
    named = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x")]
    return [*named, ("content-type", "application/grpc"), ("te", "trailers"), ("seldon-model", model), *more]


@dataclass(slots=True)
class Answer:
    """What came on one stream: its headers and trailers together, its data, and whether it has ended."""

    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    reset: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Connection:
    """One connection; streams are numbered 1, 3, 5, …."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    answers: dict[int, Answer] = field(default_factory=dict)
    closed: bool = False
    _next: int = 1

    def write(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.writer.write(data)

    def begin(self, headers: Iterable[tuple[str, str]]) -> int:
        """Sends the headers of a request; returns its stream."""
        stream, self._next = self._next, self._next + 2
        self.answers[stream] = Answer()
        self.write(frame(HEADERS, END_HEADERS, stream, header_block(headers)))
        return stream

    async def send(self, stream: int, pieces: Sequence[bytes], *, end: bool = True) -> None:
        """Sends each piece as one DATA frame of its own, at most `LARGEST_FRAME` long."""
        for number, piece in enumerate(pieces, 1):
            self.write(frame(DATA, END_STREAM if end and number == len(pieces) else 0, stream, piece))
            await self.writer.drain()

    async def answer(self, stream: int, seconds: float) -> Answer:
        """Returns what has come on a stream, when it or the connection has ended; TimeoutError if neither."""
        answer = self.answers[stream]
        async with asyncio.timeout(seconds):
            await answer.ended.wait()
        return answer

    async def read(self) -> None:
        """Reads answers until the connection ends."""
        decoder = Decoder()
        try:
            while True:
                head = await self.reader.readexactly(9)
                payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
                self._take(head, payload, decoder)
        except (OSError, asyncio.IncompleteReadError, HPACKError):
            return
        finally:
            self.closed = True
            for answer in self.answers.values():
                answer.ended.set()

    def _take(self, head: bytes, payload: bytes, decoder: Decoder) -> None:
        kind, flags = head[3], head[4]
        answer = self.answers.get(int.from_bytes(head[5:9], "big"), Answer())
        if kind == HEADERS:
            answer.headers |= {str(name): str(value) for name, value in decoder.decode(payload)}
        elif kind == DATA:
            answer.data += payload
        elif kind == RST_STREAM:
            answer.reset = int.from_bytes(payload, "big")
            answer.ended.set()
        elif kind == SETTINGS and not flags & ACK:
            self.write(frame(SETTINGS, ACK, 0))
        if kind in {HEADERS, DATA} and flags & END_STREAM:
            answer.ended.set()


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[Connection]:
    """Opens a connection to 127.0.0.1:`port`, and closes it with the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    made = Connection(reader, writer)
    made.write(PREFACE + frame(SETTINGS, 0, 0))
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(made.read())
        try:
            yield made
        finally:
            reading.cancel()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
