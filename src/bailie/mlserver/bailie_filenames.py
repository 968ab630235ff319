"""Tells the agent which file names the installed runtimes look for in a model's folder, in a file of theirs.

Used by `start`, under the Python of MLServer's environment. The runtimes' modules are read and not imported:
their libraries take seconds and hundreds of megabytes, and most servers need one of them.
"""

from __future__ import annotations

import ast
import json
import logging
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

if TYPE_CHECKING or __name__.startswith("bailie."):
    from bailie.mlserver.bailie_files import put_text
else:
    from bailie_files import put_text

FILE = ".filenames.json"
"""In the models' folder. The agent knows the name, too (agent/repository/server_words.py)."""
_PREFIX = "mlserver_"
_CONSTANT = "WELLKNOWN_MODEL_FILENAMES"
"""So all runtimes of MLServer call the list."""
log = logging.getLogger("mlserver")


def tell_filenames(models: Path) -> None:
    """Writes the names of all runtimes into the models' folder; a full disk is no reason to stop."""
    try:
        put_text(models / FILE, json.dumps(filenames(), sort_keys=True))
    except OSError as error:
        log.warning("The agent is not told the runtimes' file names: %s", error)


def filenames() -> dict[str, list[str]]:
    """Returns the names by the package of the runtime, each list in the runtime's own order."""
    found = {}
    for module in pkgutil.iter_modules():
        if module.ispkg and module.name.startswith(_PREFIX):
            folder = Path(getattr(module.module_finder, "path", "")) / module.name
            if names := [name for path in sorted(folder.glob("*.py")) for name in _names_in(path)]:
                found[module.name] = names
    return found


def _names_in(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(each, ast.Name) and each.id == _CONSTANT for each in targets):
            items = getattr(getattr(node, "value", None), "elts", ())
            values = [item.value for item in items if isinstance(item, ast.Constant)]
            yield from (value for value in values if isinstance(value, str))
