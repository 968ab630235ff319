"""Functions in processes of their own, so that what measures takes no time from what is measured.

Called by the benchmarks. Such a function gets the other end of a pipe; it ends with the block. Its process
has a session of its own, because kernels share processors among sessions.
"""

from __future__ import annotations

import multiprocessing
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

_SPAWN = multiprocessing.get_context("spawn")


@contextmanager
def spawned(target: Callable[..., None], *arguments: Any) -> Iterator[tuple[Connection, int]]:
    """Runs `target(*arguments, pipe)` in its own process; the value is our end of its pipe, and its pid."""
    ours, theirs = _SPAWN.Pipe()
    started = _SPAWN.Process(target=_apart, args=(target, *arguments, theirs), daemon=True)
    started.start()
    theirs.close()
    try:
        yield ours, started.pid or 0
    finally:
        started.kill()
        started.join()


def _apart(target: Callable[..., None], *arguments: Any) -> None:
    os.setsid()
    target(*arguments)


def ask(pipe: Connection, *message: Any) -> Any:
    """Sends a message and returns the answer."""
    pipe.send(message)
    return pipe.recv()
