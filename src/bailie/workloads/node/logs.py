"""Container logs: `<namespace>/<pod>/<container>.log`, written by the processes themselves.

A start moves the log of the run before to `<container>.previous.log` (`kubectl logs --previous`). A log that
grows too large is moved to `<container>.1.log`. Because a process holds its file open, moving means
copying and emptying: processes append, so they go on at the start of the emptied file.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TAIL_BYTES = 4096
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
    """Moves a log aside when it is larger than `max_bytes`; returns whether it did."""
    try:
        if path.stat().st_size <= max_bytes:
            return False
        shutil.copyfile(path, path.with_name(f"{path.stem}.1.log"))
        os.truncate(path, 0)
    except FileNotFoundError:
        return False
    return True


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
