"""Folders that the code of a model can write to, removed whatever it made there.

Used by the agent for versions and by the node of a laptop for pods. Until Python 3.13 `shutil.rmtree` calls
itself for each level, so a thousand folders in one another ended the process that removed them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from pathlib import Path


def remove_folder(path: Path) -> None:
    """Removes a folder and all that is in it, as far as this process may. No link is followed.

    Each folder inside is moved beside `path` before it is emptied: there is no depth, and no long path.
    """
    with suppress(OSError):
        beside = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            left = [path.name]
            while left:
                left += _empty(left.pop(), beside)
        finally:
            os.close(beside)


def _empty(name: str, beside: int) -> list[str]:
    """Removes a folder; returns the names, beside it, of those that were inside."""
    moved: list[str] = []
    with suppress(OSError):
        folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=beside)
        try:
            with os.scandir(folder) as found:
                entries = list(found)
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        there = f".removed-{uuid4().hex}"
                        os.rename(entry.name, there, src_dir_fd=folder, dst_dir_fd=beside)
                        moved.append(there)
                    else:
                        os.unlink(entry.name, dir_fd=folder)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=beside)
    return moved
