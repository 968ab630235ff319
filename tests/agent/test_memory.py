"""The memory of processes: /proc, and metrics where that is not seen."""

from __future__ import annotations

import asyncio
import mmap
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server

from bailie.agent.memory import Reading, ServerMemory

if TYPE_CHECKING:
    from pathlib import Path

_LISTEN = """
import socket, sys, time
sock = socket.create_server(("127.0.0.1", 0))
data = bytearray(b"x" * (int(sys.argv[1]) << 20))
print(sock.getsockname()[1], flush=True)
sys.stdin.read()
"""


def listening(mebibytes: int) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", _LISTEN, str(mebibytes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


async def test_process_behind_a_port():
    process, port = listening(32)
    try:
        memory = ServerMemory("127.0.0.1", port)
        seen = await memory.read()
        assert 32 << 20 < seen.used_bytes <= seen.resident_bytes < 128 << 20
        assert seen.process == (await memory.read()).process
        assert await ServerMemory("127.0.0.9", port).read() == Reading()
    finally:
        process.communicate("")
    assert await memory.read() == Reading()


async def seen(memory):
    """Looks until the process is found: other tests' processes come and go meanwhile."""
    async with asyncio.timeout(20):
        while not (found := await memory.read()).process:  # noqa: ASYNC110 - nothing tells of a process
            await asyncio.sleep(0.05)
    return found


async def test_pages_of_files_are_not_counted(tmp_path: Path):
    path = tmp_path / "large"
    path.write_bytes(b"x" * (64 << 20))
    with socket.create_server(("127.0.0.1", 0)) as server, path.open("rb") as file:
        memory = ServerMemory("127.0.0.1", server.getsockname()[1])
        before = await seen(memory)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert mapped[:: 1 << 12].count(b"x") == 64 << 8
            after = await seen(memory)
    assert after.resident_bytes - before.resident_bytes > 60 << 20
    assert after.used_bytes - before.used_bytes < 16 << 20


async def test_own_process_with_its_children():
    process, _ = listening(48)
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            seen = await ServerMemory("127.0.0.1", server.getsockname()[1]).read()
            assert seen.used_bytes > 48 << 20
    finally:
        process.communicate("")


async def test_without_proc(tmp_path: Path):
    assert await ServerMemory("127.0.0.1", 9000, proc=tmp_path).read() == Reading()
    assert await ServerMemory("not-an-address", 9000, proc=tmp_path).read() == Reading()


async def test_the_server_says_it_where_its_processes_are_not_seen(tmp_path: Path):
    server, _ = start_http_server(0, "127.0.0.1")
    try:
        memory = ServerMemory("127.0.0.1", 9000, server.server_port, tmp_path)
        seen = await memory.read()
        assert seen.with_files
        assert seen.used_bytes == seen.resident_bytes > 8 << 20
        assert seen.process == (await memory.read()).process != ""
    finally:
        server.shutdown()
        server.server_close()
    assert await memory.read() == Reading()


async def test_metrics_that_say_nothing_of_memory(tmp_path: Path):
    server, _ = start_http_server(0, "127.0.0.1", registry=CollectorRegistry())
    try:
        assert await ServerMemory("127.0.0.1", 9000, server.server_port, tmp_path).read() == Reading()
    finally:
        server.shutdown()
        server.server_close()
