"""How the agent has a server restarted that answers nothing any more: by a file on the volume of both.

`monitor` says when. The server's container has a liveness probe that asks whether the file is there; nothing
else ends a server, so that no load and no absence of the agent does.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from bailie.agent.threads import in_thread

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

HUNG_FILE = "models/.server-hung"
"""Below the agent's folder, where the server sees it too; the liveness probes of ServerConfigs name it
(manifests/defaults.py, charts)."""


class RestartRequest:
    """The file. An earlier agent may have left one."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / HUNG_FILE
        self._made: bool | None = None

    async def make(self, wanted: bool) -> None:
        """Sees to it that the server is restarted, or is not. What fails is tried again the next time."""
        if wanted == self._made:
            return
        try:
            await in_thread(self._create if wanted else self._delete)
        except OSError as error:
            log.warning("file for the liveness probe not changed", wanted=wanted, error=str(error))
            return
        self._made = wanted

    def _create(self) -> None:
        # Models' code can write to the volume: a link that it put here is not followed.
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))

    def _delete(self) -> None:
        self._path.unlink(missing_ok=True)
