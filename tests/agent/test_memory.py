"""Resident sets from /proc."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from bailie.agent.memory import ServerMemory

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


def test_process_behind_a_port():
    process, port = listening(32)
    try:
        memory = ServerMemory("127.0.0.1", port)
        assert 32 << 20 < memory.resident_bytes() < 128 << 20
        assert ServerMemory("127.0.0.9", port).resident_bytes() == 0
    finally:
        process.communicate("")
    assert memory.resident_bytes() == 0


def test_own_process_with_its_children():
    process, _ = listening(48)
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            assert ServerMemory("127.0.0.1", server.getsockname()[1]).resident_bytes() > 48 << 20
    finally:
        process.communicate("")


def test_without_proc(tmp_path: Path):
    assert ServerMemory("127.0.0.1", 9000, tmp_path).resident_bytes() == 0
    assert ServerMemory("not-an-address", 9000, tmp_path).resident_bytes() == 0
