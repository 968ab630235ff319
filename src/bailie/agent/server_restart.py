"""Asks the kubelet to restart a server that answers nothing any more, by a file on their common volume.

`monitor` decides when. The liveness probe of the server's container fails while the file exists. The probe
looks at nothing else, so neither a long load nor an absent agent ends a server.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from bailie.agent.threads import in_thread
from bailie.kube.folders import remove_folder

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

HUNG_FILE = "models/.server-hung"
"""Path below the agent's folder, on the volume that the server mounts too; the liveness probes of
ServerConfigs name it (manifests/defaults.py, charts)."""


class RestartRequest:
    """The file that asks for a restart. An earlier agent may have left one, and so may a model's code."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / HUNG_FILE
        self._made: bool | None = None

    async def make(self, wanted: bool) -> None:
        """Makes or removes the file; if the disk refuses, the next call tries again.

        To be called at each look, for a file that a model's code made once would restart the server for ever.
        """
        try:
            stranger = await in_thread(self._create if wanted else self._delete)
        except OSError as error:
            log.warning("file for the liveness probe not changed", wanted=wanted, error=str(error))
            return
        if stranger and self._made is False:
            log.warning("file for the liveness probe removed, which code of a model made", path=HUNG_FILE)
        self._made = wanted

    def _create(self) -> bool:
        # Models' code can write to the volume: a link that it put here is not followed.
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        return False

    def _delete(self) -> bool:
        """Returns whether there was a file."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        except IsADirectoryError:
            remove_folder(self._path)
        return True
