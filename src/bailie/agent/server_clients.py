"""The clients of the inference server, and of the agent's own ports for waiting requests, by the kernel's
table of sockets.

Asked by `draining`: an Envoy closes its connections to a replica once no route leads there and the last
requests have ended. The containers of a pod share their network, so the agent sees the server's connections;
its own to the server are not counted.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bailie.agent.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ESTABLISHED = "01"
_PROC = Path("/proc")
_MAPPED = "0000000000000000FFFF0000"
"""Begins an IPv4 address in the list of IPv6 connections: gRPC listens so."""


class _Connection(NamedTuple):
    """One end of an established connection; addresses as the kernel writes them, with the port."""

    local: str
    remote: str
    inode: str


class ServerClients:
    """Looks at the connections to some ports of one address."""

    def __init__(self, address: str, ports: Iterable[int], proc: Path = _PROC) -> None:
        self._listening = frozenset(_written(address, port) for port in ports if port)
        self._proc = proc

    async def connected(self) -> bool:
        """Says whether another process is connected; False where the kernel does not tell."""
        return await in_thread(self._look)

    def _look(self) -> bool:
        connections = list(self._connections())
        inward = [each for each in connections if each.local in self._listening]
        if not inward:
            return False
        own_inodes = self._own_inodes()
        own = {each.local for each in connections if each.inode in own_inodes}
        return any(each.remote not in own for each in inward)

    def _connections(self) -> Iterator[_Connection]:
        for name in ("tcp", "tcp6"):
            try:
                lines = (self._proc / "net" / name).read_text().splitlines()[1:]
            except OSError:
                continue
            for fields in map(str.split, lines):
                if fields[3] == _ESTABLISHED:
                    yield _Connection(_plain(fields[1]), _plain(fields[2]), fields[9])

    def _own_inodes(self) -> frozenset[str]:
        found = set()
        for descriptor in (self._proc / "self" / "fd").iterdir():
            try:
                target = str(descriptor.readlink())
            except OSError:  # closed meanwhile
                continue
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
        return frozenset(found)


def _plain(written: str) -> str:
    return written.removeprefix(_MAPPED)


def _written(address: str, port: int) -> str:
    """Writes an IP address as /proc/net does: each word of 32 bits in the order of this machine."""
    packed = ipaddress.ip_address(address).packed
    words = [packed[start : start + 4][::-1].hex().upper() for start in range(0, len(packed), 4)]
    return f"{''.join(words)}:{port:04X}"
