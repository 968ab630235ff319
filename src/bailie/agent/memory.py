"""Memory of the inference server: from /proc where its processes can be seen, else from its own metrics.

`loading` asks before and after a load, `monitor` now and then. On a laptop agent and server are processes of
one machine. On a cluster they are two containers, and a process namespace that they share would show the
agent's files, the control plane's token among them, to the code of models (`/proc/<pid>/root`). So there the
agent reads MLServer's metrics of its own process. With parallel workers it says nothing, for their memory is
not its own; then everything is 0, unknown.

Anonymous and shared memory counts as used: pages of files (libraries, mapped models) can be dropped by the
kernel and are read again. Proportional shares (PSS) come to the same, because MLServer spawns its workers and
these share no anonymous pages, and cost a walk through the page tables.
"""

from __future__ import annotations

import math
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from bailie.agent.threads import in_thread
from bailie.inference.bodies import fetch
from bailie.inference.trust import trusted

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTEN = "0A"
_PROC = Path("/proc")
_METRICS_SECONDS = 2.0
_LONGEST_METRICS = 16 * 1024 * 1024
_START_FIELD = 19
"""Of `/proc/<pid>/stat`, after the name in brackets: when the process started."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of the server's memory. Sizes are bytes, 0 where unknown.

    `process` is another after a restart of the server, empty where unknown. `with_files`: `used_bytes` has
    the pages of files in it.
    """

    used_bytes: int = 0
    resident_bytes: int = 0
    process: str = ""
    with_files: bool = False


class ServerMemory:
    """Looks at the server that listens on a port. `metrics_port` 0: it has no metrics."""

    def __init__(self, host: str, port: int, metrics_port: int = 0, proc: Path = _PROC) -> None:
        self._processes = _Processes(host, port, proc)
        self._metrics = f"http://{host}:{metrics_port}/metrics" if metrics_port else ""

    async def read(self) -> Reading:
        """Looks once; never raises."""
        found = await in_thread(self._processes.read)
        if found.process or not self._metrics:
            return found
        try:
            async with httpx2.AsyncClient(trust_env=False, verify=trusted(self._metrics)) as client:
                answer = await fetch(
                    client, "GET", self._metrics, most=_LONGEST_METRICS, seconds=_METRICS_SECONDS
                )
        except httpx2.HTTPError:
            return Reading()
        return _from_metrics(answer.content.decode(errors="replace")) if answer.is_success else Reading()


def _from_metrics(text: str) -> Reading:
    """Reads the metrics that every Python server with prometheus_client has of its process."""
    values: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("process_"):
            name, _, value = line.partition(" ")
            with suppress(ValueError):
                values[name] = float(value)
    size, started = values.get("process_resident_memory_bytes"), values.get("process_start_time_seconds")
    if size is None or started is None or not math.isfinite(size):
        return Reading()
    return Reading(int(size), int(size), str(started), with_files=True)


class _Processes:
    """Finds the process that listens on the server's port, and sums its memory and its children's."""

    def __init__(self, host: str, port: int, proc: Path) -> None:
        self._addresses = {_hex_address(host, port), _hex_address("0.0.0.0", port)}  # noqa: S104 (compared only)
        self._proc = proc
        self._pid: int | None = None
        self._inode: str | None = None

    def read(self) -> Reading:
        pid = self._find()
        if pid is None:
            return Reading()
        sizes = [self._sizes(member) for member in (pid, *self._descendants(pid))]
        used = sum(size.get("RssAnon", 0) + size.get("RssShmem", 0) for size in sizes)
        resident = sum(size.get("VmRSS", 0) for size in sizes)
        return Reading(used, resident, f"{pid} {self._started(pid)}")

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
            stat = self._stat(other)
            if stat:
                children.setdefault(int(stat[1]), []).append(other)
        found: list[int] = []
        pending = [pid]
        while pending:
            below = children.get(pending.pop(), [])
            found += below
            pending += below
        return found

    def _started(self, pid: int) -> str:
        stat = self._stat(pid)
        return stat[_START_FIELD] if stat else ""

    def _stat(self, pid: int) -> list[str]:
        lines = self._lines(f"{pid}/stat")
        return lines[0].rpartition(")")[2].split() if lines else []

    def _sizes(self, pid: int) -> dict[str, int]:
        """Returns the sizes of `/proc/<pid>/status` in bytes."""
        fields = (line.partition(":") for line in self._lines(f"{pid}/status"))
        kilobytes = {name: value.split() for name, _, value in fields if value.endswith(" kB")}
        return {name: int(value[0]) * 1024 for name, value in kilobytes.items()}

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
