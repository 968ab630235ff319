"""Small files of the node: written whole or not at all, and readable by the owner only.

Used by every module of the node that keeps something on disk.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def make_directory(path: Path) -> Path:
    """Makes the directory, and those above it, for the owner only."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o600) -> None:
    """Readers see the old content or the new, never a part."""
    make_directory(path.parent)
    draft = path.with_name(f".{path.name}.draft")
    data = content.encode() if isinstance(content, str) else content
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    draft.chmod(mode)  # an old draft keeps its mode
    draft.replace(path)


def write_when_changed(path: Path, content: str) -> None:
    """As `write_atomically`, but leaves an equal file alone: watchers of it see real changes only."""
    with suppress(OSError):
        if path.read_text() == content:
            return
    write_atomically(path, content)


def read_json(path: Path) -> Any:
    """The parsed content; None where the file is absent or not whole."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
