"""Ports for servers that must be told theirs: Envoy, MLServer, rclone."""

from __future__ import annotations

import itertools
import os
import socket
from collections import deque

_FIRST, _COUNT = 10_000, 20_000
"""Below what the kernel gives to outgoing connections, which could otherwise take a port just found free."""
_KEPT = 256
"""Ports that this process keeps others from; the servers of older ones have long been started."""
_turns = itertools.count(os.getpid() * 101)
_claims: deque[socket.socket] = deque()


def free_port() -> int:
    """Returns a TCP port that nobody on 127.0.0.1 has, and that no other test is given soon.

    The server binds the port only later. Until then an abstract Unix socket keeps it from other processes
    that look for one: two Envoys would share it without an error.
    """
    for turn in itertools.islice(_turns, _COUNT):
        port = _FIRST + turn % _COUNT
        if _is_free(port):
            return port
    raise OSError("no port is free")


def _is_free(port: int) -> bool:
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket.socket() as probe:
        try:
            claim.bind(f"\0bailie-test-port-{port}")
            probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            return False
    _claims.append(claim)
    if len(_claims) > _KEPT:
        _claims.popleft().close()
    return True
