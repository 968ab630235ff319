"""Reads `/proc`, where Linux lists processes and sockets: the node sees there processes that it did not
start.

Used by `records` (is this still the process that we started?) and `host_ports` (who listens there?).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")
_LISTEN = "0A"
_SOCKET = re.compile(r"socket:\[(\d+)\]")


def boot_id() -> str:
    """Changes with every boot: start times count from there."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """Returns the clock ticks after boot at which the process started; None when it is gone or a zombie."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def of_session(leader: int) -> list[int]:
    """Returns the processes of the session that this process began."""
    found = ((pid, _stat(pid)) for pid in pids())
    return [pid for pid, fields in found if fields and fields[3] == str(leader)]


def _stat(pid: int) -> list[str] | None:
    """Returns the fields of /proc/<pid>/stat after the command, which may hold spaces and brackets."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def command(pid: int) -> str:
    """Returns a short name for people: the program and, for an interpreter, its script or module."""
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    names = [Path(words[0]).name, *(word for word in words[1:3] if word and len(word) < 60)]
    return " ".join(names)


def pids() -> Iterator[int]:
    """Returns every process that exists now."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def variable(pid: int, name: str) -> str | None:
    """Returns a variable of the environment that the process was started with; None when it may not be
    read."""
    try:
        content = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    prefix = f"{name}=".encode()
    return next((e[len(prefix) :].decode() for e in content.split(b"\0") if e.startswith(prefix)), None)


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that accepts connections. `pid` is None when its owner may not be seen."""

    pid: int | None


def listeners(ip: str, port: int) -> list[Listener]:
    """Returns the processes that listen on an IPv4 address and port, wildcard sockets included."""
    inodes = [*_inodes("tcp", _hex_ip(ip), port), *_inodes("tcp6", "0" * 32, port)]
    return [Listener(owner) for owner in _owners(inodes)] if inodes else []


def _hex_ip(ip: str) -> str:
    return "".join(f"{int(part):02X}" for part in reversed(ip.split(".")))


def _inodes(table: str, ip: str, port: int) -> Iterator[str]:
    try:
        lines = (_PROC / "net" / table).read_text().splitlines()[1:]
    except FileNotFoundError:
        return
    for line in lines:
        fields = line.split()
        local_ip, _, local_port = fields[1].partition(":")
        wildcard = not local_ip.strip("0")
        if fields[3] == _LISTEN and int(local_port, 16) == port and (wildcard or local_ip == ip):
            yield fields[9]


def _owners(inodes: list[str]) -> list[int | None]:
    """Yields one entry per inode, in any order, from every process that this one may inspect."""
    wanted, found = set(inodes), dict[str, int]()
    for pid in pids():
        for inode in wanted.intersection(_sockets(pid)):
            found[inode] = pid
    return [found.get(inode) for inode in inodes]


def _sockets(pid: int) -> Iterator[str]:
    try:
        for entry in (_PROC / str(pid) / "fd").iterdir():
            match = _SOCKET.fullmatch(str(entry.readlink()))
            if match:
                yield match.group(1)
    except OSError:
        return
