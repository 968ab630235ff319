"""Is the program of a container there at all? Asked before each start; the answer is for people."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bailie.workloads.node.pods import ProcessSpec


def missing_program(spec: ProcessSpec) -> str | None:
    """Returns a sentence about a program that is missing for the process; None when it is there."""
    name = spec.argv[0]
    path = (
        Path(spec.cwd, name) if "/" in name else Path(shutil.which(name, path=spec.env.get("PATH")) or name)
    )
    if path.is_file() and os.access(path, os.X_OK):
        return None
    if spec.program is None:
        return f"there is no program {name}"
    hint = f": {spec.program.hint}" if spec.program.hint else ""
    return f"{spec.program.title} is not installed at {name}{hint}"
