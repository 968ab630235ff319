"""The files in which a laptop's node says where Services are, as Envoy needs them: they must be there.

Used by `envoy` for the scheduler's file, and by the scheduler's process (bailie.cli.data_planes) for the file
of another mesh. Envoy refuses a cluster whose file does not exist, so a file without endpoints takes its
place until the node has written it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from bailie.kube.discovery import node_file
from bailie.manifests.endpoints import endpoints_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bailie.routing.table import Elsewhere


def ensure(path: Path, port: int) -> None:
    """Makes the file, without endpoints, unless it is there. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), path.open("x", encoding="utf-8") as file:
        json.dump(endpoints_file(path.stem, [], port), file)


def finder(folder: Path | None) -> Callable[[Elsewhere], Path | None]:
    """Returns what finds, and ensures, the file of a mesh; on a cluster, without a folder, there is none."""
    return partial(_found, folder)


def _found(folder: Path | None, mesh: Elsewhere) -> Path | None:
    if folder is None:
        return None
    path = node_file(folder, "", mesh.host, "json")
    ensure(path, mesh.port)
    return path
