"""A cluster's network in front of pods that are processes: names and addresses of Services.

Called by `install`. The node's files say which pods stand behind each Service: `<service>.hosts` for a name,
`<service>.json` for the ready ones. They are read at each question and each connection, as kube-proxy looks
at the newest endpoints for each connection and leaves those that exist alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.documents import ROOT
from tests.support.waiting import DEADLINE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_A, _IN = 1, 1
_SECONDS_TO_LIVE = 1


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The node's folder of endpoints; names without a namespace are of `namespace`."""

    folder: Path
    namespace: str

    def hosts(self, name: str) -> list[str]:
        """Returns the addresses behind `<service>`, `<service>.<namespace>` or a longer form of it."""
        service, _, rest = name.partition(".")
        path = self.folder / (rest.partition(".")[0] or self.namespace) / f"{service}.hosts"
        return path.read_text().split() if path.is_file() else []

    def ready(self, service: str) -> list[str]:
        """Returns the addresses that answer for a Service."""
        path = self.folder / self.namespace / f"{service}.json"
        [assignment] = json.loads(path.read_text())["resources"]
        endpoints = [each for locality in assignment["endpoints"] for each in locality["lb_endpoints"]]
        return [each["endpoint"]["address"]["socket_address"]["address"] for each in endpoints]


class _Names(asyncio.DatagramProtocol):
    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(answer(data, self._endpoints), addr)  # type: ignore[attr-defined]


def answer(query: bytes, endpoints: Endpoints) -> bytes:
    """Returns the answer to a DNS query of one question (RFC 1035): addresses, or that there is no name."""
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    kind = struct.unpack(">H", query[at + 1 : at + 3])[0]
    hosts = endpoints.hosts(".".join(labels).lower())
    found = hosts if kind == _A else []
    flags = 0x8580 | (0 if hosts else 3)
    records = b"".join(
        struct.pack(">HHHIH4B", 0xC00C, _A, _IN, _SECONDS_TO_LIVE, 4, *map(int, host.split(".")))
        for host in found
    )
    return query[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0) + query[12 : at + 5] + records


@contextlib.asynccontextmanager
async def cluster_dns(endpoints: Endpoints) -> AsyncIterator[str]:
    """Answers while entered; the value is `address:port`."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Names(endpoints), local_addr=("127.0.0.1", 0))
    host, port = transport.get_extra_info("sockname")
    try:
        yield f"{host}:{port}"
    finally:
        transport.close()


@contextlib.asynccontextmanager
async def service_address(endpoints: Endpoints, service: str, port: int) -> AsyncIterator[str]:
    """Forwards connections to `port` of a ready pod of the Service; the value is `address:port` here.

    A process of its own does it, in a session of its own, so that nothing that a test does delays a request.
    """
    words = (sys.executable, "-m", __name__, str(endpoints.folder), endpoints.namespace, service, str(port))
    process = await asyncio.create_subprocess_exec(
        *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE):
            address = (await process.stdout.readline()).decode().strip()
        assert address, "the forwarding process has ended"
        yield address
    finally:
        process.terminate()
        await process.wait()


async def _forward_to(endpoints: Endpoints, service: str, port: int) -> None:
    """Forwards until SIGTERM, and says at which address."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = None
        try:
            host = random.choice(endpoints.ready(service))
            answers, there = await asyncio.open_connection(host, port)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, there))
                group.create_task(_pump(answers, writer))
        except (OSError, IndexError):  # no pod is ready: the connection ends
            return
        finally:
            for each in (writer, there):
                if each is not None:
                    each.close()

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    host, own = server.sockets[0].getsockname()
    print(f"{host}:{own}", flush=True)
    await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hands on until the end, and then the end itself."""
    with contextlib.suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


if __name__ == "__main__":
    where, of, name, number = sys.argv[1:]
    asyncio.run(_forward_to(Endpoints(Path(where), of), name, int(number)))
