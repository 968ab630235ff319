"""Small files in the models' folder, where the code of models can put anything in their place.

Used by `bailie_filenames` and `bailie_under_way`, under the Python of MLServer's environment. A pipe would
keep the server from its start for ever, and a link or a very long file would lead to other memory: no file is
opened that is not a plain one, and new ones are new.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def read_plain(path: Path, most: int) -> bytes:
    """Returns the first bytes of a plain file. Raises OSError for one that is none, or not there."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(f"{path} is no plain file")
        return opened.read(most)


def new_file(path: Path, mode: int = 0o644) -> int:
    """Opens a new file for reading and writing, in place of whatever has its name. Raises OSError."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)


def put_text(path: Path, text: str) -> None:
    """Puts a new file in the place of an older one, in one step. Raises OSError."""
    new = path.with_name(f"{path.name}.new")
    with os.fdopen(new_file(new), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(new, path)  # noqa: PTH105 - says that it replaces
