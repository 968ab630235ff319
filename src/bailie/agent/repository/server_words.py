"""Facts about the server that is to load a model: its workers, and the words that it left for its agent.

Made by `loading` for each load. Our MLServer writes at its start which file names its runtimes look for
(`bailie_filenames` of `bailie.mlserver`). Models' code can write to the same folder: the words are taken only
as far as they are names of files, and no name among them leads out of an artifact.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from bailie.agent.files import read_text

if TYPE_CHECKING:
    from pathlib import Path

    from bailie.agent.repository.model_files import Filenames

FILE = ".filenames.json"
"""Name of the file, in the models' folder."""
_MOST_NAMES = 50
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, slots=True)
class ServerWords:
    """`server`: the Server's name. `workers`: its parallel workers, 0 where models run in its own process."""

    server: str
    workers: int
    filenames: Filenames = field(default_factory=dict)


def read_filenames(models: Path) -> Filenames:
    """Returns the file names by the package of a runtime; none for a server that does not tell them."""
    try:
        told = msgspec.json.decode(read_text(models / FILE), type=dict[str, list[str]])
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return {}
    return {package: names for package, names in told.items() if _are_names(names)}


def _are_names(names: list[str]) -> bool:
    return 0 < len(names) <= _MOST_NAMES and all(map(_PLAIN.fullmatch, names))
