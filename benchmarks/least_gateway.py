"""The least that reads a request and calls its steps: no plan, limit, deadline, count or word of failure.

Run by `pipeline_bounds` as a process of its own:

    python least_gateway.py ADDRESS PORT MODELS_PORT STEPS

Messages are parsed by llhttp, and their JSON by msgspec; the data of tensors stays as it came. Beside the
prepared bytes of `bare_sockets` it tells what reading alone costs on a machine, so that the figures of a
pipeline gateway can be compared from one machine to another.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, cast

import httptools
import msgspec
import uvloop


class Request(msgspec.Struct):
    """The body of a request: its tensors as they came."""

    inputs: msgspec.Raw


class Answer(msgspec.Struct):
    """The body of an answer: its tensors as they came."""

    outputs: msgspec.Raw


CONNECTIONS = 64
_REQUESTS, _ANSWERS = msgspec.json.Decoder(Request), msgspec.json.Decoder(Answer)
_ENCODER = msgspec.json.Encoder()
_ASKED = b"POST /v2/models/a/infer HTTP/1.1\r\nhost: seldon-mesh\r\ncontent-length: %d\r\n\r\n%b"
_TOLD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"


class Messages(asyncio.Protocol):
    """One connection; whole bodies go to `body`."""

    parser_type: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins; uvloop's transport is none of asyncio's classes."""
        self.transport = cast("asyncio.Transport", transport)
        self.headers, self.parts = list[tuple[bytes, bytes]](), list[bytes]()
        self.parser = self.parser_type(self)

    def data_received(self, data: bytes) -> None:
        """Reads."""
        self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps a header (called by httptools, as the next two)."""
        self.headers.append((name, value))

    def on_body(self, data: bytes) -> None:
        """Keeps a part of the body."""
        self.parts.append(data)

    def on_message_complete(self) -> None:
        """Gives the body out."""
        body = b"".join(self.parts)
        self.headers.clear()
        self.parts.clear()
        self.body(body)

    def body(self, body: bytes) -> None:
        """Takes a whole body."""
        raise NotImplementedError


class Step(Messages):
    """A connection to the models."""

    parser_type = httptools.HttpResponseParser

    def __init__(self, idle: list[Step]) -> None:
        self.idle = idle

    def ask(self, caller: Caller, tensors: msgspec.Raw) -> None:
        """Sends the tensors of a caller."""
        self.caller, body = caller, _ENCODER.encode(Request(tensors))
        self.transport.write(_ASKED % (len(body), body))

    def body(self, body: bytes) -> None:
        """Takes the answer of the model."""
        self.idle.append(self)
        self.caller.advance(_ANSWERS.decode(body).outputs)


class Caller(Messages):
    """A connection of a caller, with one request at a time."""

    parser_type = httptools.HttpRequestParser

    def __init__(self, idle: list[Step], steps: int) -> None:
        self.idle, self.steps = idle, steps

    def body(self, body: bytes) -> None:
        """Begins a request."""
        if not body:
            self.transport.write(_TOLD % (2, b"{}"))
            return
        self.left, self.inputs = self.steps, _REQUESTS.decode(body).inputs
        self.advance(self.inputs)

    def advance(self, tensors: msgspec.Raw) -> None:
        """Asks the next step with the data of the request, or answers with that of the last one."""
        if self.left:
            self.left -= 1
            self.idle.pop().ask(self, self.inputs)
        else:
            body = _ENCODER.encode(Answer(tensors))
            self.transport.write(_TOLD % (len(body), body))


async def main() -> None:
    """Serves until the process is ended."""
    address, port, models, steps = sys.argv[1], *map(int, sys.argv[2:])
    loop, idle = asyncio.get_running_loop(), list[Step]()
    for _ in range(CONNECTIONS):
        _, step = await loop.create_connection(lambda: Step(idle), "127.0.0.1", models)
        idle.append(step)
    server = await loop.create_server(lambda: Caller(idle, steps), address, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
