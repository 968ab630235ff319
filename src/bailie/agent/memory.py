"""Memory of the inference server, measured in /proc where the agent may look.

`loading` asks before and after a load, `health` with every look. On a cluster the server is in another
container, whose processes the agent sees only with a shared process namespace: then everything is 0, unknown.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTEN = "0A"
_PROC = Path("/proc")


class ServerMemory:
    """Finds the process that listens on the server's port and sums resident sets, its children's with it."""

    def __init__(self, host: str, port: int, proc: Path = _PROC) -> None:
        self._addresses = {_hex_address(host, port), _hex_address("0.0.0.0", port)}  # noqa: S104 (compared only)
        self._proc = proc
        self._pid: int | None = None
        self._inode: str | None = None

    def resident_bytes(self) -> int:
        """Returns the resident set in bytes; 0 when it is unknown."""
        pid = self._find()
        if pid is None:
            return 0
        family = [pid, *self._descendants(pid)]
        return sum(self._resident(member) for member in family)

    def _find(self) -> int | None:
        inode = self._listening_inode()
        if inode is None:
            return None
        if self._pid is None or inode != self._inode:
            self._pid, self._inode = self._owner(inode), inode
        return self._pid

    def _listening_inode(self) -> str | None:
        for line in self._lines("net/tcp")[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and fields[1] in self._addresses:
                return fields[9]
        return None

    def _owner(self, inode: str) -> int | None:
        wanted = f"socket:[{inode}]"
        for pid in self._pids():
            try:
                if any(str(fd.readlink()) == wanted for fd in (self._proc / str(pid) / "fd").iterdir()):
                    return pid
            except OSError:
                continue
        return None

    def _descendants(self, pid: int) -> list[int]:
        children: dict[int, list[int]] = {}
        for other in self._pids():
            stat = self._lines(f"{other}/stat")
            if stat:
                children.setdefault(int(stat[0].rpartition(")")[2].split()[1]), []).append(other)
        found: list[int] = []
        pending = [pid]
        while pending:
            below = children.get(pending.pop(), [])
            found += below
            pending += below
        return found

    def _resident(self, pid: int) -> int:
        for line in self._lines(f"{pid}/status"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def _pids(self) -> Iterator[int]:
        return (int(path.name) for path in self._proc.iterdir() if path.name.isdecimal())

    def _lines(self, name: str) -> list[str]:
        try:
            return (self._proc / name).read_text(errors="replace").splitlines()
        except OSError:
            return []


def _hex_address(host: str, port: int) -> str:
    """Writes an IPv4 address as /proc/net/tcp does; an unknown form matches nothing."""
    try:
        packed = socket.inet_aton(host)
    except OSError:
        return ""
    return f"{packed[::-1].hex().upper()}:{port:04X}"
