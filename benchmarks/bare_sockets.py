"""The reads and writes of a gateway and nothing else: the least that a pipeline's request can cost a process.

Run by `pipeline_bounds` as a process of its own:

    python bare_sockets.py ADDRESS PORT MODELS_PORT STEPS

For each request a prepared one goes to the models so many times, one after the other, and then a prepared
answer goes back. No byte is looked at, so messages must come whole, as small ones do on loopback.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

CONNECTIONS = 64
BODY = b'{"inputs":[{"name":"x","datatype":"FP64","shape":[1,4],"data":[[5.1,3.5,1.4,0.2]]}]}'
ASKED = b"POST /v2/models/a/infer HTTP/1.1\r\nhost: seldon-mesh\r\ncontent-length: %d\r\n\r\n%b"
TOLD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"


class Step(asyncio.Protocol):
    """A connection to the models."""

    def __init__(self, idle: list[Step]) -> None:
        self.idle, self.asked = idle, ASKED % (len(BODY), BODY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport; uvloop's is none of asyncio's classes."""
        self.transport = cast("asyncio.Transport", transport)
        self.idle.append(self)

    def ask(self, caller: Caller) -> None:
        """Sends the request of a caller."""
        self.caller = caller
        self.transport.write(self.asked)

    def data_received(self, _: bytes) -> None:
        """Takes the answer."""
        self.idle.append(self)
        self.caller.advance()


class Caller(asyncio.Protocol):
    """A connection of a caller, with one request at a time."""

    def __init__(self, idle: list[Step], steps: int) -> None:
        self.idle, self.steps, self.told = idle, steps, TOLD % (len(BODY), BODY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport; uvloop's is none of asyncio's classes."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, _: bytes) -> None:
        """Begins a request."""
        self.left = self.steps
        self.advance()

    def advance(self) -> None:
        """Asks the next step, or answers behind the last one."""
        if self.left:
            self.left -= 1
            self.idle.pop().ask(self)
        else:
            self.transport.write(self.told)


async def main() -> None:
    """Serves until the process is ended."""
    address, port, models, steps = sys.argv[1], *map(int, sys.argv[2:])
    loop, idle = asyncio.get_running_loop(), list[Step]()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Step(idle), "127.0.0.1", models)
    server = await loop.create_server(lambda: Caller(idle, steps), address, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
