"""Reads and writes small files in folders that other processes may write to, and follows no link there.

`store` and `repository` use it. The code of models can write to the models' folder; a link in that folder
must not become a way to read or write the agent's files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_TEXT = 1 << 20
"""Bytes of a settings or configuration file."""


class TextTooLarge(ValueError):  # noqa: N818 - a verdict on a file
    """The file has more bytes than are read."""


def read_text(path: Path, most: int = LARGEST_TEXT) -> str:
    """Returns a plain file's text; neither the file nor its folder may be a link.

    Raises:
        OSError: it cannot be read, or is no plain file.
        ValueError: it is larger than `most` bytes (TextTooLarge), or no UTF-8.
    """
    folder = open_folder(path.parent)
    try:
        file = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    with os.fdopen(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "no plain file", str(path))
        content = opened.read(most + 1)
    if len(content) > most:
        raise TextTooLarge(f"is larger than {most} bytes")
    return content.decode()


def write_text(path: Path, text: str) -> None:
    """Puts a new file in the place of an older one, or of a link, in one step. Raises OSError."""
    new = f"{path.name}.new"
    folder = open_folder(path.parent)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new, dir_fd=folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, 0o644, dir_fd=folder), "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(new, path.name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)


def open_folder(path: Path) -> int:
    """Opens a folder that is no link, by descriptor. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
