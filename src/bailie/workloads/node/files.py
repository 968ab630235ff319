"""Small files of the node: written whole or not at all, and readable by the owner only.

The modules of the node keep their files on disk by it.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_MODE = 0o600


def make_directory(path: Path) -> Path:
    """Makes the directory, and those above it, for the owner only."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def below(root: Path, inner: str) -> Path | None:
    """Returns the path `inner` below `root`; None where it would lead elsewhere: out of it, or through a
    link."""
    parts = PurePosixPath(inner).parts
    if not parts or inner.startswith("/") or ".." in parts or "\0" in inner:
        return None
    path = root
    for part in parts:
        path /= part
        if path.is_symlink():
            return None
    return path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file of the user's alone, whose readers see the old content or the new, never a part."""
    make_directory(path.parent)
    draft = path.with_name(f".{path.name}.draft")
    data = content.encode() if isinstance(content, str) else content
    # Processes of pods write here, too: a link that stands in the draft's place must not be followed.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(draft, flags, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    draft.chmod(_MODE)  # an old draft keeps its mode
    draft.replace(path)


def write_when_changed(path: Path, content: str) -> None:
    """Writes as `write_atomically` does, but leaves an equal file alone: its watchers see real changes
    only."""
    with suppress(OSError):
        if path.read_text() == content:
            return
    write_atomically(path, content)


def read_json(path: Path) -> Any:
    """Returns the parsed content; None where the file is absent or not whole."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
