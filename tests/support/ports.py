"""Ports for servers that must be told theirs: Envoy, MLServer, rclone."""

from __future__ import annotations

import itertools
import os
import socket

_FIRST, _COUNT = 10_000, 20_000
"""Below what the kernel gives to outgoing connections, which could otherwise take a port just found free."""
_turns = itertools.count(os.getpid() * 101)


def free_port() -> int:
    """Returns a TCP port that nobody on 127.0.0.1 has, and that this process is not given twice soon."""
    for turn in itertools.islice(_turns, _COUNT):
        port = _FIRST + turn % _COUNT
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")
