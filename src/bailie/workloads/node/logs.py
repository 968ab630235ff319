"""Container logs: `<namespace>/<pod>/<container>.log`, written by the processes themselves.

A start moves the log of the run before to `<container>.previous.log` (`kubectl logs --previous`). A log that
grows too large is moved to `<container>.1.log`, as much of its end as a log may have. Because a process holds
its file open, moving means copying and emptying: processes append, so they go on at the start of the emptied
file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_TAIL_BYTES = 4096
_BLOCK_BYTES = 1 << 20
_LONGEST = 400
_FRAME = " \t|+-"


def log_path(logs_dir: Path, namespace: str, pod: str, container: str) -> Path:
    """Returns the file of a container's output, which the API server reads."""
    return logs_dir / namespace / pod / f"{container}.log"


def begin(path: Path) -> None:
    """Keeps the last run's log as the previous one."""
    with suppress(FileNotFoundError):
        if path.stat().st_size:
            path.rename(path.with_name(f"{path.stem}.previous.log"))


def rotate(path: Path, max_bytes: int) -> bool:
    """Moves the end of a log aside when it is larger than `max_bytes`; returns whether it did.

    So many bytes are kept, however long the log has become: a program may write faster than a copy, or make
    its log a terabyte of nothing (`ftruncate`). Where they cannot be kept, since the disk is full, the log is
    emptied all the same.
    """
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return False
    with file:
        size = os.fstat(file.fileno()).st_size
        if size <= max_bytes:
            return False
        try:
            file.seek(size - max_bytes)
            _keep(file, path.with_name(f"{path.stem}.1.log"), max_bytes)
        finally:
            os.truncate(file.fileno(), 0)
    return True


def _keep(file: BinaryIO, kept: Path, size: int) -> None:
    with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as copy:
        while size > 0 and (block := file.read(min(size, _BLOCK_BYTES))):
            copy.write(block)
            size -= len(block)


def last_line(path: Path) -> str:
    """Returns the last line that is not blank, cut to `_LONGEST` characters; empty when there is none.

    The frame that Python draws around a group of exceptions says nothing.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    said = (line.strip(_FRAME) for line in reversed(lines))
    return next((line[:_LONGEST] for line in said if line), "")
