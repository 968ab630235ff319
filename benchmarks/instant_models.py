"""Models behind one port that answer at once with their inputs: what is measured is the way to them.

Called by the benchmarks of the pipeline gateway, which take them for an Envoy or put them behind one. Written
on a bare protocol, for the answers must cost next to nothing. What a model does is in its name: `slow-…`
answers after half a minute, `fail-…` with an error.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SLOW_SECONDS = 30.0
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_MODEL = re.compile(rb"/v2/models/([^/ ]+)|\r\nseldon-model: ([^\r]+)")
_REQUEST_ID = re.compile(rb"\r\nx-request-id: ([^\r]+)", re.IGNORECASE)
_END = b"\r\n\r\n"
_MESSAGE_ENDS = b"\r\n0\r\n\r\n"
_TOLD = (
    b"ce-specversion: 0.3\r\nce-source: io.seldon.serving.deployment.mlserver\r\nce-endpoint: %b\r\n"
    b"ce-type: io.seldon.serving.inference.response\r\nce-modelid: %b\r\nce-id: 1\r\nce-requestid: 1\r\n"
    b"date: Sun, 29 Nov 2026 10:00:00 GMT\r\nserver: envoy\r\nx-envoy-upstream-service-time: 1\r\n"
    b"x-seldon-route: :%b_1:\r\n"
)
"""Headers as MLServer and Envoy have them."""
_JSON = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b"
_GRPC = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n%btransfer-encoding: chunked\r\n\r\n"
    b"%x\r\n%b\r\n0\r\ngrpc-status: 0\r\n\r\n"
)


@dataclass
class InstantModels:
    """All models. `seconds`: the time of each answer; `calls`: inferences by request's id and model."""

    seconds: float = 0.0
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    port: int = 0
    transports: set[asyncio.Transport] = field(default_factory=set)


class _Connection(asyncio.Protocol):
    def __init__(self, models: InstantModels) -> None:
        self.models, self.data = models, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.models.transports.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.models.transports.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        """Answers each request that is whole."""
        self.data += data
        while (at := self.data.find(_END)) >= 0:
            head, rest = bytes(self.data[:at]), at + len(_END)
            found = _LENGTH.search(head)
            if found is not None:
                body_end = end = rest + int(found[1])
            elif b"chunked" in head:
                size, _, _ = bytes(self.data[rest : rest + 20]).partition(b"\r\n")
                rest += len(size) + 2
                body_end = rest + int(size or b"0", 16)
                end = body_end + len(_MESSAGE_ENDS)
            else:
                body_end = end = rest
            if len(self.data) < end:
                return
            body = bytes(self.data[rest:body_end])
            del self.data[:end]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        found = _MODEL.search(head)
        name = (found[1] or found[2]) if found else b""
        told = _TOLD % (name, name, name)
        if head.startswith(b"GET"):
            self._send(_JSON % (b"200 OK", told, 2, b"{}"), 0.0)
            return
        asked = _REQUEST_ID.search(head)
        self.models.calls[(asked[1] if asked else b"").decode(), name.decode()] += 1
        if name.startswith(b"fail-"):
            error = b'{"error":"as its name says"}'
            self._send(_JSON % (b"500 Error", told, len(error), error), self.models.seconds)
            return
        if b"application/grpc" in head:
            answer = _GRPC % (told, len(body), body)
        else:
            body = body.replace(b'"inputs"', b'"outputs"', 1)
            answer = _JSON % (b"200 OK", told, len(body), body)
        self._send(answer, SLOW_SECONDS if name.startswith(b"slow-") else self.models.seconds)

    def _send(self, answer: bytes, seconds: float) -> None:
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self.transport.write, answer)
        else:
            self.transport.write(answer)


@asynccontextmanager
async def instant_models(seconds: float = 0.0) -> AsyncIterator[InstantModels]:
    """Serves models on a free port of 127.0.0.1 while entered; each answer takes `seconds`."""
    models = InstantModels(seconds)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(models), "127.0.0.1", 0)
    models.port = server.sockets[0].getsockname()[1]
    try:
        yield models
    finally:
        server.close()
        for each in tuple(models.transports):
            each.abort()
        await asyncio.sleep(0)
